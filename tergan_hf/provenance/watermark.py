"""An invisible mark in the pixels of a picture, by TrustMark (Bui et al. 2023, arXiv:2311.18297)."""

from contextlib import redirect_stdout
from io import StringIO

from PIL import Image

from ..model.errors_tergan import MissingFileError, MissingPackageError


TEXT = "TER-GAN"  # TrustMark holds eight characters at this error correction
HINT = "pip install trustmark"


class Watermark:
    """
    Add and find the mark. It survives saving as JPEG, resizing and moderate crops, and metadata that were removed.
    It says only that TER-GAN made the picture.

    TrustMark fetches its models from its authors' server when it is used for the first time.

    Raises:
        MissingPackageError: TrustMark is not installed.
        MissingFileError: its models are not there and cannot be fetched.
    """

    def __init__(self):
        try:
            from trustmark import TrustMark
        except ImportError as error:
            raise MissingPackageError(f"an invisible mark needs the package trustmark ({error}): {HINT}") from error
        try:
            with redirect_stdout(StringIO()):  # it reports downloads there, and commands print results there
                self._trustmark = TrustMark(
                    verbose=False, model_type="Q", encoding_type=TrustMark.Encoding.BCH_5, loadRemover=False
                )
        except OSError as error:
            raise MissingFileError(
                f"TrustMark cannot fetch its models ({error}): connect once, or leave out the invisible mark"
            ) from error

    def add(self, image: Image.Image) -> Image.Image:
        """Mark a picture: RGB → RGB of the same size, with its colour profile."""
        marked = self._trustmark.encode(image.convert("RGB"), TEXT)
        if profile := image.info.get("icc_profile"):
            marked.info["icc_profile"] = profile
        return marked

    def is_in(self, image: Image.Image) -> bool:
        """Whether a picture has the mark."""
        text, found, _ = self._trustmark.decode(image.convert("RGB"))
        return bool(found) and text == TEXT
