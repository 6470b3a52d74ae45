"""The models that a visitor may choose from. Only a few are in memory at a time."""

import json
import os
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

from ..evaluation.expression_map import ExpressionMap
from ..model.configuration_tergan import TerGanConfig
from ..model.errors_tergan import InvalidInputError
from ..model.model_loading_tergan import REQUEST_ERROR
from ..model.pipeline_tergan import TerGanPipeline
from .cards import model_card
from .edit_session import EditSession
from .upload_folder import made_upload_folder


HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LARGEST_BYTES = 500_000_000
LARGEST_TEXT_BYTES = 5_000_000  # of a configuration or a card
LARGEST_FEATURE_MAP = 100_000_000  # numbers of one crop; the published weights have up to 19 million
MAX_OTHER_MODELS = 2  # in memory beside the server's own
HUB_SECONDS = 10  # for the Hub's answer
LOADING_SECONDS = 60  # to wait while another model is loaded


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
        expression_map = ExpressionMap.from_pretrained(own, pipe.model.config)
        self._own = EditSession(self.own, pipe, expression_map, model_card(own))
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

    def __getitem__(self, name: str | None) -> EditSession:
        """
        The session of a model in memory, at once: visitors wait in line for whoever asks. `None` is the server's own.

        Raises:
            InvalidInputError: the model is not in memory, perhaps not any more. The message is for visitors.
        """
        name = name or self.own
        if (session := self._loaded(name)) is None:
            raise InvalidInputError(f"The model {name[:80]} is not in memory: choose it again under About")
        return session

    def load(self, name: str | None) -> EditSession:
        """
        The session of a model, which is loaded if needed.

        Raises:
            InvalidInputError: there is no such model, it is not a TER-GAN, it is too large, or another one is loaded
                for too long. The message is for visitors.
        """
        name = name or self.own
        if (session := self._loaded(name)) is not None:
            return session
        if not self._loading.acquire(timeout=LOADING_SECONDS):
            raise InvalidInputError("Another model is being loaded: please try again in a minute")
        try:
            if (session := self._loaded(name)) is not None:
                return session
            session = self._load(name)
            with self._lock:
                self._others[name] = session
                while len(self._others) > MAX_OTHER_MODELS:
                    self._others.popitem(last=False)
            return session
        finally:
            self._loading.release()

    def _loaded(self, name: str) -> EditSession | None:
        if name == self.own:
            return self._own
        with self._lock:
            if name in self._others:
                self._others.move_to_end(name)
            return self._others.get(name)

    def _load(self, name: str) -> EditSession:
        if name in self._locations:
            return self._read(name, {})
        # What visitors name must be public, and does not stay on the disk.
        with tempfile.TemporaryDirectory(dir=made_upload_folder(), ignore_cleanup_errors=True) as cache:
            return self._read(name, {"token": False, "cache_dir": cache})

    def _read(self, name: str, found: dict) -> EditSession:
        """Load a model. `found`: `token` and `cache_dir` for the Hub."""
        location = self.location(name)
        # What was checked is loaded, and not what somebody pushes meanwhile.
        found = {**found, "revision": self._check(name, found)}
        try:
            pipe = TerGanPipeline.from_pretrained(location, **found)
        except (OSError, ValueError) as error:
            raise InvalidInputError(
                f"The model {name} cannot be loaded: its files are damaged or incomplete"
            ) from error
        expression_map = ExpressionMap.from_pretrained(location, pipe.model.config, **found)
        return EditSession(name, pipe, expression_map, model_card(location, **found))

    def _free_name(self, location: str) -> str:
        name = Path(location).resolve().name if Path(location).is_dir() else location
        taken = sum(known == name or known.startswith(f"{name} (") for known in self._locations)
        return f"{name} ({taken + 1})" if taken else name

    def _check(self, name: str, found: dict) -> str | None:
        """The commit of a model on the Hub that may be loaded, `None` for a folder."""
        if name in self._locations and Path(self._locations[name]).is_dir():
            return None
        if len(name) > 200 or not HUB_ID.fullmatch(name) or Path(name).exists():
            raise InvalidInputError(f"{name[:80]!r} is not a model id. Write it as owner/name, as on huggingface.co")
        with _foreseen_hub_errors(name):
            info = HfApi(token=found.get("token")).model_info(name, files_metadata=True, timeout=HUB_SECONDS)
        files = info.siblings or []
        texts = [file.size or 0 for file in files if file.rfilename.endswith((".json", ".md"))]
        if max(texts, default=0) > LARGEST_TEXT_BYTES:
            raise InvalidInputError(f"The model {name} has a configuration or a card that is too large")
        with _foreseen_hub_errors(name):
            path = hf_hub_download(name, "config.json", **{**found, "revision": info.sha})
            config = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(config, dict) or config.get("model_type") != "tergan":
            raise InvalidInputError(f"The model {name} is not a TER-GAN")
        weights = [file.size or 0 for file in files if file.rfilename.endswith(".safetensors")]
        if sum(weights) > LARGEST_BYTES or _largest_feature_map(name, config) > LARGEST_FEATURE_MAP:
            raise InvalidInputError(f"The model {name} is too large for this server")
        return info.sha


def _largest_feature_map(name: str, config: dict) -> int:
    """An upper bound of the numbers in a feature map of one crop: a small file may ask for much memory."""
    with _foreseen_hub_errors(name):
        parsed = TerGanConfig.from_dict(config)
    channels = (*parsed.encoder_channels, *parsed.identity_encoder_channels, *parsed.decoder_channels)
    side = max(parsed.image_size, parsed.expression_image_size)
    return max(*channels, parsed.decoder_detail_channels) * side**2


@contextmanager
def _foreseen_hub_errors(name: str) -> Iterator[None]:
    """Turn the Hub's errors about a model into sentences for visitors."""
    try:
        yield
    except GatedRepoError as error:
        raise InvalidInputError(f"The model {name} is private or gated") from error
    except RepositoryNotFoundError as error:
        raise InvalidInputError(f"There is no public model {name} on the Hub") from error
    except (REQUEST_ERROR, OfflineModeIsEnabled, OSError, ValueError) as error:
        raise InvalidInputError(f"The model {name} cannot be reached, or is not a TER-GAN") from error
