"""Contact sheets: pictures in rows, with captions."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..model.atomic_file_tergan import write_whole
from ..model.errors_tergan import InvalidInputError
from ..model.face_alignment_tergan import crop_face, zoom_out
from ..model.face_detection_tergan import FaceDetector


CAPTION_HEIGHT = 18
SHOWN_MARGIN = 1.5  # side of a picture cropped around a face, in sides of the aligned crop


def check_sheet_name(path: str | Path):
    """
    Check that a contact sheet can have this name.

    Raises:
        InvalidInputError: Pillow writes no image with this extension.
    """
    if Image.registered_extensions().get(Path(path).suffix.lower()) not in Image.SAVE:
        raise InvalidInputError(f"{path} does not have the extension of an image: choose a name that ends in .png")


def crop_around_faces(
    detector: FaceDetector, rows: Sequence[Sequence[Image.Image | None]], side: int = 256
) -> list[list[Image.Image | None]]:
    """Crop each row's pictures to `side` pixels around the face of its first one. Rows without a face stay whole."""
    cropped: list[list[Image.Image | None]] = []
    for row in rows:
        faces = detector.detect(row[0]) if row[0] is not None else []
        if faces:
            crop_transform = zoom_out(faces[0].crop_transform, SHOWN_MARGIN)
            cropped.append([image and crop_face(image, crop_transform, side) for image in row])
        else:
            cropped.append([*row])
    return cropped


def save_contact_sheet(
    rows: Sequence[Sequence[Image.Image | None]],
    path: str | Path,
    column_titles: list[str] | None = None,
    captions: Sequence[Sequence[str]] | None = None,
    side: int = 128,
):
    """
    Write a contact sheet as an image file, a PNG for instance.

    Args:
        path: the file to write. Missing folders are made.
        rows, column_titles, captions, side: as for `draw_contact_sheet`.
    """
    sheet = draw_contact_sheet(rows, column_titles, captions, side)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    sheet.save(content, Image.registered_extensions()[Path(path).suffix.lower()])
    write_whole(path, content.getvalue())


def draw_contact_sheet(
    rows: Sequence[Sequence[Image.Image | None]],
    column_titles: list[str] | None = None,
    captions: Sequence[Sequence[str]] | None = None,
    side: int = 128,
) -> Image.Image:
    """
    Draw a contact sheet.

    Args:
        rows: images, each shown at side×side pixels; `None` leaves a gap.
        column_titles: text above the columns.
        captions: text below each image.
    """
    columns = max(len(row) for row in rows)
    header = CAPTION_HEIGHT if column_titles else 0
    height = side + (CAPTION_HEIGHT if captions else 0)
    sheet = Image.new("RGB", (columns * side, header + len(rows) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for column, title in enumerate(column_titles or []):
        draw.text((column * side + 3, 2), title, fill="black", font=font)
    for line, row in enumerate(rows):
        for column, image in enumerate(row):
            if image is not None:
                shown = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
                sheet.paste(shown, (column * side, header + line * height))
            if captions:
                position = (column * side + 3, header + line * height + side + 2)
                draw.text(position, captions[line][column], fill="black", font=font)
    return sheet
