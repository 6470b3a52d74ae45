"""The models that a visitor may choose from. Only a few are in memory at a time."""

import json
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

from ..evaluation.expression_map import ExpressionMap
from ..model.errors_tergan import InvalidInputError
from ..model.pipeline_tergan import TerGanPipeline
from .edit_session import EditSession


HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LARGEST_BYTES = 500_000_000
LARGEST_TEXT_BYTES = 5_000_000  # of a configuration or a card
MAX_OTHER_MODELS = 2  # in memory beside the server's own


class Models:
    """
    Edit sessions by the name of their model.

    The name is a Hub id, or the last part of a folder's path: visitors do not see where a server keeps its folders.

    Args:
        own: folder or Hub id of the model that the server starts with.
        pipe: its pipeline.
        offered: further folders or Hub ids; default: `TERGAN_MODELS`, separated by commas.
    """

    def __init__(self, own: str, pipe: TerGanPipeline, offered: list[str] | None = None):
        if offered is None:
            offered = [name.strip() for name in os.environ.get("TERGAN_MODELS", "").split(",") if name.strip()]
        self._locations: dict[str, str] = {}
        for location in dict.fromkeys([own, *offered]):
            self._locations[self._free_name(location)] = location
        self.own = self.names[0]
        self._own = EditSession(self.own, pipe, ExpressionMap.from_pretrained(own, pipe.model.config))
        self._others: OrderedDict[str, EditSession] = OrderedDict()
        self._lock = threading.Lock()  # of `_others`
        self._loading = threading.Lock()  # one at a time; nobody who uses a loaded model waits for it

    @property
    def names(self) -> list[str]:
        """The offered models, the server's own first."""
        return list(self._locations)

    def location(self, name: str) -> str:
        """The folder or Hub id of a model."""
        return self._locations.get(name, name)

    def token(self, name: str) -> bool | None:
        """The `token` for the Hub: that of this machine for the offered models. What visitors name must be public."""
        return None if name in self._locations else False

    def __getitem__(self, name: str | None) -> EditSession:
        """
        The session of a model, which is loaded if needed. `None` is the server's own model.

        Raises:
            InvalidInputError: there is no such model, it is not a TER-GAN, or it is too large. The message is for
                visitors.
        """
        if name in (None, "", self.own):
            return self._own
        if (session := self._loaded(name)) is not None:
            return session
        with self._loading:
            if (session := self._loaded(name)) is not None:
                return session
            session = self._load(name)
            with self._lock:
                self._others[name] = session
                while len(self._others) > MAX_OTHER_MODELS:
                    self._others.popitem(last=False)
            return session

    def _loaded(self, name: str) -> EditSession | None:
        with self._lock:
            if name in self._others:
                self._others.move_to_end(name)
            return self._others.get(name)

    def _load(self, name: str) -> EditSession:
        # What was checked is loaded, and not what somebody pushes meanwhile.
        revision = self._check(name)
        location, token = self.location(name), self.token(name)
        try:
            pipe = TerGanPipeline.from_pretrained(location, token=token, revision=revision)
        except (OSError, ValueError) as error:
            raise InvalidInputError(
                f"The model {name} cannot be loaded: its files are damaged or incomplete"
            ) from error
        return EditSession(name, pipe, ExpressionMap.from_pretrained(location, pipe.model.config, token))

    def _free_name(self, location: str) -> str:
        name = Path(location).resolve().name if Path(location).is_dir() else location
        taken = sum(known == name or known.startswith(f"{name} (") for known in self._locations)
        return f"{name} ({taken + 1})" if taken else name

    def _check(self, name: str) -> str | None:
        """The commit of a model on the Hub that may be loaded, `None` for a folder."""
        if name in self._locations and Path(self._locations[name]).is_dir():
            return None
        if len(name) > 200 or not HUB_ID.fullmatch(name) or Path(name).exists():
            raise InvalidInputError(f"{name[:80]!r} is not a model id. Write it as owner/name, as on huggingface.co")
        token = self.token(name)
        with _foreseen_hub_errors(name):
            info = HfApi(token=token).model_info(name, files_metadata=True)
        files = info.siblings or []
        texts = [file.size or 0 for file in files if file.rfilename.endswith((".json", ".md"))]
        if max(texts, default=0) > LARGEST_TEXT_BYTES:
            raise InvalidInputError(f"The model {name} has a configuration or a card that is too large")
        with _foreseen_hub_errors(name):
            config = json.loads(
                Path(hf_hub_download(name, "config.json", token=token, revision=info.sha)).read_text(encoding="utf-8")
            )
        if not isinstance(config, dict) or config.get("model_type") != "tergan":
            raise InvalidInputError(f"The model {name} is not a TER-GAN")
        if sum(file.size or 0 for file in files if file.rfilename.endswith(".safetensors")) > LARGEST_BYTES:
            raise InvalidInputError(f"The model {name} is too large for this server")
        return info.sha


@contextmanager
def _foreseen_hub_errors(name: str) -> Iterator[None]:
    """Turn the Hub's errors about a model into sentences for visitors."""
    try:
        yield
    except GatedRepoError as error:
        raise InvalidInputError(f"The model {name} is private or gated") from error
    except RepositoryNotFoundError as error:
        raise InvalidInputError(f"There is no public model {name} on the Hub") from error
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError) as error:
        raise InvalidInputError(f"The model {name} cannot be reached, or is not a TER-GAN") from error
