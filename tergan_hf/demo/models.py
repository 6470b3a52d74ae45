"""The models a visitor may choose from. Few are in memory at a time."""

import json
import os
import re
import threading
from collections import OrderedDict
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

from ..evaluation.expression_map import ExpressionMap
from ..model.errors_tergan import InvalidInputError
from ..model.pipeline_tergan import TerGanPipeline
from .edit_session import EditSession


HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LARGEST_BYTES = 500_000_000
VISITORS_MODELS = 2  # in memory beside the server's own


class Models:
    """
    Workbenches by the name of their model: a Hub id, or a folder's own name, as where a server keeps its folders is
    none of a visitor's business.

    Args:
        own: the folder or Hub id of the model the server starts with. pipe: over it.
        offered: further folders or Hub ids to choose from; default: `TERGAN_MODELS`, separated by commas.
    """

    def __init__(self, own: str, pipe: TerGanPipeline, offered: list[str] | None = None):
        if offered is None:
            offered = [name.strip() for name in os.environ.get("TERGAN_MODELS", "").split(",") if name.strip()]
        self._places: dict[str, str] = {}
        for place in dict.fromkeys([own, *offered]):
            self._places[self._free_name(place)] = place
        self.own = self.names[0]
        self._own = EditSession(self.own, pipe, ExpressionMap.from_pretrained(own))
        self._others: OrderedDict[str, EditSession] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """What is offered, the server's own first."""
        return list(self._places)

    def place_of(self, name: str) -> str:
        """The folder or Hub id of a model."""
        return self._places.get(name, name)

    def __getitem__(self, name: str | None) -> EditSession:
        """
        The workbench of a model, loaded where it is not yet.

        Raises:
            InvalidInputError: there is no such model, it is no TER-GAN, or it is too large. The message is for visitors.
        """
        if name in (None, "", self.own):
            return self._own
        with self._lock:
            if name not in self._others:
                self._check(name)
                place = self.place_of(name)
                try:
                    pipe = TerGanPipeline.from_pretrained(place)
                except (OSError, ValueError) as error:
                    raise InvalidInputError(
                        f"The model {name} cannot be loaded: its files are damaged or incomplete"
                    ) from error
                self._others[name] = EditSession(name, pipe, ExpressionMap.from_pretrained(place))
            self._others.move_to_end(name)
            while len(self._others) > VISITORS_MODELS:
                self._others.popitem(last=False)
            return self._others[name]

    def _free_name(self, place: str) -> str:
        name = Path(place).resolve().name if Path(place).is_dir() else place
        taken = sum(known == name or known.startswith(f"{name} (") for known in self._places)
        return f"{name} ({taken + 1})" if taken else name

    def _check(self, name: str):
        if name in self._places and Path(self._places[name]).is_dir():
            return
        if not HUB_ID.fullmatch(name) or Path(name).exists():
            raise InvalidInputError(f"{name[:80]!r} is no model id: write it as owner/name, as on huggingface.co")
        try:
            files = HfApi().model_info(name, files_metadata=True).siblings or []
            config = json.loads(Path(hf_hub_download(name, "config.json")).read_text(encoding="utf-8"))
        except GatedRepoError as error:
            raise InvalidInputError(f"The model {name} is not open to everybody") from error
        except RepositoryNotFoundError as error:
            raise InvalidInputError(f"There is no public model {name} on the Hub") from error
        except (HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError) as error:
            raise InvalidInputError(f"The model {name} cannot be reached, or is no TER-GAN") from error
        if not isinstance(config, dict) or config.get("model_type") != "tergan":
            raise InvalidInputError(f"The model {name} is no TER-GAN")
        if sum(file.size or 0 for file in files if file.rfilename.endswith(".safetensors")) > LARGEST_BYTES:
            raise InvalidInputError(f"The model {name} is too large for this server")
