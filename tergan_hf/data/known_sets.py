"""What the data sets behind our weights are, where they come from, and under which licence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownSet:
    """
    Args:
        title: as its makers call it.
        about: what is in it.
        licence, address: of the set.
        hub_name: what `model-index` calls it.
    """

    title: str
    about: str
    licence: str
    address: str
    hub_name: str


_AVATARS = "https://github.com/google/valid-avatar-library"
# By the first folder of a source's path.
KNOWN_SETS = {
    "rendered": KnownSet(
        "Rendered faces", "people blended from open 3D heads, 21 expressions in each of two sessions, with exact "
        "ground truth (`python -m tergan_hf.data avatars`)", "MIT (VALID avatars)", _AVATARS, "rendered-valid-avatars",
    ),
    "rendered_plain": KnownSet(
        "Rendered faces, plain", "people blended from the same heads, without shadows, before one colour "
        "(`--look plain`)", "MIT (VALID avatars)", _AVATARS, "rendered-valid-avatars",
    ),
    "avatars_rendered": KnownSet(
        "Rendered faces, earlier", "240 people blended from the same heads, 42 expressions each",
        "MIT (VALID avatars)", _AVATARS, "rendered-valid-avatars",
    ),
    "london": KnownSet(
        "Face Research Lab London Set", "photos of 82 adults, neutral and smiling (DeBruine & Jones 2017)",
        "CC BY 4.0", "https://doi.org/10.6084/m9.figshare.5047666.v5", "face-research-lab-london-set",
    ),
    "fer2013": KnownSet(
        "FER2013", "48-pixel photos from the web with noisy labels (Goodfellow et al. 2013)",
        "DbCL 1.0 as distributed on Kaggle", "https://www.kaggle.com/c/challenges-in-representation-learning-facial-"
        "expression-recognition-challenge", "fer2013",
    ),
}  # fmt: skip


def known_set(path: str) -> KnownSet | None:
    """The entry for a source's path, if there is one."""
    return KNOWN_SETS.get(path.split("/")[0].removesuffix(".parquet"))
