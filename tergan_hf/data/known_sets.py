"""The data sets behind the published weights: content, origin and licence."""

import re
from dataclasses import dataclass


# People who may be trained on and not shown: members of Congress, by the folder of their photos or by their ids.
NOT_TO_BE_SHOWN = re.compile(r"congress_.*|(.*_)?[A-Z]\d{6}")


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
# By the first folder in the path of a source. One that ends in `_blendshapes` has MediaPipe's scores as well.
KNOWN_SETS = {
    "heads": KnownSet(
        "Rendered faces", "people blended from open 3D heads, with exact ground truth (`python -m tergan_hf.data "
        "avatars`)", "MIT (VALID avatars)", _AVATARS, "rendered-valid-avatars",
    ),
    "stand_in": KnownSet(
        "Posed expressions of rendered people", "80 people made from open 3D heads, six expressions each, laid out as "
        "Oulu-CASIA (`python -m tergan_hf.data posed`)", "MIT (VALID avatars)", _AVATARS, "posed-valid-avatars",
    ),
    "portraits": KnownSet(
        "Portraits in any expression", "photos of the London and Canadian sets and of members of Congress, moved by a "
        "fitted 3D face, with exact ground truth (`python -m tergan_hf.data portraits`)",
        "CC BY 4.0 and public domain (photos), MIT (ICT-FaceKit)", "https://github.com/ICT-VGL/ICT-FaceKit",
        "portraits-in-any-expression",
    ),
    "london": KnownSet(
        "Face Research Lab London Set", "photos of 82 of its 102 adults, neutral and smiling (DeBruine & Jones 2017)",
        "CC BY 4.0", "https://doi.org/10.6084/m9.figshare.5047666.v5", "face-research-lab-london-set",
    ),
    "fer2013": KnownSet(
        "FER2013", "48-pixel photos from the web (Goodfellow et al. 2013) with ten people's votes (FER+, Barsoum et "
        "al. 2016)", "DbCL 1.0 as distributed on Kaggle (photos), MIT (votes)", "https://www.kaggle.com/c/challenges-in-representation-learning-facial-"
        "expression-recognition-challenge", "fer2013",
    ),
}  # fmt: skip


def known_set(path: str) -> KnownSet | None:
    """The entry for the path of a source, or `None`."""
    return KNOWN_SETS.get(path.split("/")[0].removesuffix(".parquet").removesuffix("_blendshapes"))
