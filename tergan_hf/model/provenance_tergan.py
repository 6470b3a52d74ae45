"""Marks a picture or clip as synthetic: in its metadata and, on request, visibly."""

import io
import struct
import uuid
from pathlib import Path

from PIL import ExifTags, Image, ImageDraw, ImageFont, PngImagePlugin


NOTICE = "Synthetic, made with TER-GAN"
# IPTC's term for a photo with parts made by a trained model; verification tools look for it.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}" xmp:CreatorTool="TER-GAN">'
    f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{NOTICE}</rdf:li></rdf:Alt></dc:description>'
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
VIDEO_METADATA = {"comment": NOTICE, "description": NOTICE}  # MP4's own names
XMP_UUID = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac")
KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MARK = "synthetic · TER-GAN"
MARK_HEIGHT = 0.026  # of the picture's shorter side


class SyntheticImage(Image.Image):
    """An image whose `save` writes the notice into the metadata of PNG, JPEG and WEBP files, unless the caller gives
    metadata of its own, and the colour profile of its pixels. What Pillow makes of it by resizing, cropping and so on
    is a plain image again."""

    def save(self, fp, format=None, **params):
        """Save the image, as `PIL.Image.Image.save` does."""
        suffix = Path(str(getattr(fp, "name", fp))).suffix.lower()
        kind = (format or Image.registered_extensions().get(suffix) or "").upper()
        if kind in KINDS.values():
            notice = {} if {"exif", "xmp", "pnginfo"} & set(params) else notice_metadata(kind)
            params = {**_profile(self), **notice, **params}
        super().save(fp, format, **params)


def as_synthetic(image: Image.Image) -> SyntheticImage:
    """Mark a plain image as synthetic, in place."""
    image.__class__ = SyntheticImage
    return image  # type: ignore[return-value]


def notice_metadata(kind: str) -> dict:
    """Arguments of `Image.save` that write the notice; `kind` is PNG, JPEG or WEBP."""
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = NOTICE
    exif[ExifTags.Base.Software] = "TER-GAN"
    if kind != "PNG":
        return {"exif": exif, "xmp": XMP.encode()}
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Description", NOTICE)
    texts.add_text("Software", "TER-GAN")
    texts.add_itxt("XML:com.adobe.xmp", XMP)
    return {"exif": exif, "pnginfo": texts}


def _profile(image: Image.Image) -> dict:
    """Arguments of `Image.save` that keep the colour profile. By itself Pillow keeps it in PNG alone."""
    profile = image.info.get("icc_profile")
    return {"icc_profile": profile} if profile else {}


def xmp_box() -> bytes:
    """The notice as XMP in a `uuid` box, for the top level of an MP4 file (XMP specification, part 3)."""
    content = XMP_UUID.bytes + XMP.encode()
    return struct.pack(">I4s", 8 + len(content), b"uuid") + content


def encode_synthetic(image: Image.Image, kind: str = "PNG", quality: int = 95) -> bytes:
    """Encode a picture with the notice and its colour profile. `kind` is PNG, JPEG or WEBP; `quality` counts for the
    last two."""
    # PNG's default level takes seconds for large photos.
    settings = {"compress_level": 3} if kind == "PNG" else {"quality": quality}
    buffer = io.BytesIO()
    Image.Image.save(image, buffer, kind, **notice_metadata(kind), **_profile(image), **settings)
    return buffer.getvalue()


def is_marked_synthetic(path: str | Path) -> bool:
    """Whether the metadata of a picture hold the notice."""
    with Image.open(path) as image:
        return image.getexif().get(ExifTags.Base.ImageDescription) == NOTICE


def draw_mark(image: Image.Image) -> Image.Image:
    """Copy a picture with a small, half transparent note in the lower right corner."""
    height = max(9, round(MARK_HEIGHT * min(image.size)))
    font = ImageFont.load_default(size=height)
    left, top, right, bottom = font.getbbox(MARK)
    pad = height // 2
    size = (round(right - left) + 2 * pad, round(bottom - top) + 2 * pad)
    note = Image.new("RGBA", size, (0, 0, 0, 110))
    ImageDraw.Draw(note).text((pad - left, pad - top), MARK, fill=(255, 255, 255, 235), font=font)
    marked = image.copy()
    marked.paste(note, (image.width - note.width - pad, image.height - note.height - pad), note)
    return marked
