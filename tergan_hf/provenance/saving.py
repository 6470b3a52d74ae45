"""Save results with the notice that they are synthetic and, with a certificate, a signed C2PA manifest."""

import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from ..model.atomic_file_tergan import AtomicFile, write_whole
from ..model.errors_tergan import InvalidInputError, MissingFileError, OutputFileError, shown_name
from ..model.provenance_tergan import KINDS, draw_mark, encode_synthetic
from .signing import ManifestSigner
from .watermark import Watermark


def save_synthetic(
    image: Image.Image,
    path: str | Path,
    *,
    mark: bool = False,
    watermark: Watermark | None = None,
    quality: int = 95,
    signer: ManifestSigner | None = None,
    parent: str | Path | None = None,
    inputs: Sequence[str | Path] = (),
) -> Path:
    """
    Save a picture with the notice in its EXIF and XMP metadata, in PNG also as text.

    Args:
        image: RGB.
        path: `.png`, `.jpg`, `.jpeg` or `.webp`.
        mark: draw the visible mark.
        watermark: add the invisible mark.
        quality: of JPEG and WebP, 0 to 100.
        signer: add a C2PA manifest, signed by it.
        parent: for the manifest, the photo that was changed. If it has a manifest, this stays in the new one.
        inputs: for the manifest, the photos that show the expression.

    Returns:
        the path.

    Raises:
        InvalidInputError: another kind of file.
        MissingFileError: `parent` or one of `inputs` is not there, or there is no folder for the output.
        OutputFileError: the file cannot be written or signed; nothing is left of it. WebP and JPEG hold no picture of
            any size.
    """
    path = Path(path)
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise InvalidInputError(f"pictures are saved as .png, .jpg or .webp, got {path.name!r}")
    if watermark is not None:
        image = watermark.add(image)
    try:
        encoded = encode_synthetic(draw_mark(image) if mark else image, kind, quality)
    except (OSError, ValueError) as error:
        raise OutputFileError(
            f"{path}: {image.width}×{image.height} pixels cannot be saved as {kind} ({error}): choose .png"
        ) from error
    if signer is not None:
        signed = io.BytesIO()
        signer.sign(io.BytesIO(encoded), signed, Image.MIME[kind], parent, inputs, shown_name(path))
        encoded = signed.getvalue()
    write_whole(path, encoded)
    return path


@contextmanager
def signed_clip(
    output: str | Path,
    signer: ManifestSigner | None,
    parent: str | Path | None = None,
    inputs: Sequence[str | Path] = (),
) -> Iterator[Path]:
    """
    Sign a clip that is written in a `with` block. It appears under its name when it is signed.

    ```python
    with signed_clip("me_talking.mp4", signer, parent="me.jpg", inputs=["driving.mp4"]) as path:
        pipe.transfer_video("driving.mp4", "me.jpg", path)
    ```

    Args:
        output: the `.mp4` file.
        signer: `None` writes the clip without a manifest.
        parent: the photo or clip that was changed. inputs: the photos or clips that show the expression.

    Yields:
        the path to write the clip to. It is in a hidden folder beside `output`, which is removed in the end, or
        `output` itself without a signer.

    Raises:
        MissingFileError: there is no folder for the output, or an ingredient is not there.
        OutputFileError: the clip cannot be written or signed.
    """
    output = Path(output)
    if signer is None:
        yield output
        return
    if not output.parent.is_dir():
        raise MissingFileError(f"no such folder: {shown_name(output.parent)}")
    with _hidden_folder(output) as folder:
        unsigned = Path(folder) / output.name
        yield unsigned
        with open(unsigned, "rb") as source, AtomicFile(output) as file:
            signer.sign(source, file.stream, "video/mp4", parent, inputs, shown_name(output))
            file.commit()


def _hidden_folder(output: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix=".tergan-", dir=output.parent)
    except OSError as error:
        raise OutputFileError(f"{shown_name(output)} cannot be written ({error.strerror})") from error
