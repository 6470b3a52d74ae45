"""The data sets behind the published weights: content, origin and licence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownSet:
    """
    One data set behind the published weights.

    Args:
        title: the name its makers use.
        about: its content.
        licence: its licence.
        address: its page.
        hub_name: its name in `model-index`.
    """

    title: str
    about: str
    licence: str
    address: str
    hub_name: str


_AVATARS = "https://github.com/google/valid-avatar-library"
# By the first folder in the path of a source.
KNOWN_SETS = {
    "rendered": KnownSet(
        "Rendered faces", "people blended from open 3D heads, two sessions of 21 expressions each, with exact ground "
        "truth (`python -m tergan_hf.data avatars`)", "MIT (VALID avatars)", _AVATARS, "rendered-valid-avatars",
    ),
    "rendered_plain": KnownSet(
        "Rendered faces, plain", "people blended from the same heads, without shadows, in front of one colour "
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
    """The entry for the path of a source, or `None`."""
    return KNOWN_SETS.get(path.split("/")[0].removesuffix(".parquet"))
