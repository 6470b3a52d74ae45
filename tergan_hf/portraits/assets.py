"""What portraits share beyond their photo: face model, landmarker, and a smile prior learnt from other people."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import datasets

from ..data.building import PictureLimits, list_source
from ..data.seeds import name_seed
from .face_model import model_files, read_face_model
from .fitting import Fitter
from .landmarks import Landmarker
from .people import PortraitPerson
from .portrait import Portrait, has_plausible_fit
from .smile_learning import SmilePair, find_frame, learn_smile_prior
from .smile_prior import SmilePrior, load_smile_prior, save_smile_prior


PICTURES = PictureLimits(multiple=8, smallest=32, largest=1024)
# Part of the cache key. Raise it with each change of the learning.
SMILE_PRIOR_VERSION = 2


@dataclass(frozen=True)
class PortraitAssets:
    """Paths that every process needs: the folder of the face model, the landmarker and the smile prior."""

    ict: Path
    landmarker: Path
    smile_prior: Path


def prepare_assets(teaching: list[PortraitPerson], ict: Path, landmarker: Path) -> PortraitAssets:
    """
    Learn the smile prior of some people unless it is cached.

    Args:
        teaching: people whose photos may be learnt from. Nobody who is kept out is among them.
        ict: folder of the face model. landmarker: MediaPipe's file.

    Raises:
        BuildError: the face model or the landmarker is missing.
    """
    return PortraitAssets(ict, landmarker, cached_smile_prior(teaching, ict, landmarker))


def list_files(people: list[PortraitPerson], ict: Path, landmarker: Path) -> list[str]:
    """Name and size of the face model, the landmarker and all photos of some people, for `Plan.source`."""
    photos = [path for one in people for path in (one.photo, one.smile) if path is not None]
    files = [*model_files(ict), landmarker, *photos]
    return [line for path in files if path.is_file() for line in list_source(path.parent.parent, [path])]


def donor_credit(assets: PortraitAssets) -> str:
    """A sentence that names the people whose teeth the set may show, with a space before it; "" without any."""
    donors = load_smile_prior(assets.smile_prior, read_face_model(assets.ict))[0].donors
    return f" Donors of teeth: {', '.join(donor.owner for donor in donors)}." if donors else ""


def fit_portrait(
    person: PortraitPerson, assets: PortraitAssets, size: int, margin: float, seed: int
) -> Portrait | None:
    """
    Fit the face model to a person's photo.

    Args:
        size: side of the rendered pictures in pixels. margin: side / side of the aligned face.
        seed: of the set.

    Returns:
        None without a face or without a plausible fit.
    """
    fitter, smile_prior, landmarker = load_assets(assets)
    frame = find_frame(landmarker, person.photo, size, margin)
    if frame is None:
        return None
    portrait = Portrait(fitter, frame, smile_prior, name_seed(seed, person.identity), person.identity)
    return portrait if has_plausible_fit(portrait) else None


@lru_cache(maxsize=1)
def load_assets(assets: PortraitAssets) -> tuple[Fitter, SmilePrior, Landmarker]:
    """Load the fitter, the smile prior and the landmarker."""
    model = read_face_model(assets.ict)
    smile_prior, correspondence = load_smile_prior(assets.smile_prior, model)
    return Fitter(model, correspondence), smile_prior, Landmarker(assets.landmarker)


def cached_smile_prior(people: list[PortraitPerson], ict: Path, landmarker: Path) -> Path:
    """Path of the smile prior of these people. Learns it unless it is cached."""
    lines = [str(SMILE_PRIOR_VERSION), *list_files(people, ict, landmarker), *(one.identity for one in people)]
    digest = hashlib.sha256("\n".join(lines).encode())
    path = Path(datasets.config.HF_DATASETS_CACHE) / "tergan_portraits" / f"{digest.hexdigest()[:20]}.npz"
    if not path.is_file():
        cv2.setNumThreads(1)
        pairs = [SmilePair(one.identity, one.photo, one.smile) for one in people if one.smile is not None]
        resting = [pair.neutral for pair in pairs] or [one.photo for one in people]
        prior, correspondence = learn_smile_prior(read_face_model(ict), Landmarker(landmarker), pairs, resting)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_smile_prior(path, prior, correspondence)
    return path
