"""Read what the metadata of a photo or clip say about where it comes from."""

import html
import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from ..model.errors_tergan import VideoInputError
from ..model.image_loading_tergan import open_unlimited
from ..model.provenance_tergan import NOTICE
from ..model.video_container_tergan import HEAD_BYTES, Deadline, VideoLimits, container_format, open_container


MOST_XMP_BYTES = 1 << 20
OPENING_SECONDS = 10
# XMP writes a property as an attribute, as the text of an element, or as its rdf:resource. Patterns read all three.
# Unlike an XML parser, they cannot be led to expand entities; their repeats are bounded, so that no text takes long.
SOURCE_TYPE_PATTERN = re.compile(
    r"""\bDigitalSourceType\s{0,20}(?:=\s{0,20}["']|>\s{0,200}|\s[^>]{0,200}?rdf:resource\s{0,20}=\s{0,20}["'])"""
    r"""\s{0,200}([^"'<>\s]+)"""
)
DESCRIPTION_PATTERN = re.compile(r"<dc:description>\s{0,200}<rdf:Alt>\s{0,200}<rdf:li[^>]{0,200}>([^<]{0,10000})<")
# The IPTC's terms for media that are made by a model or an algorithm, https://cv.iptc.org/newscodes/digitalsourcetype/
SYNTHETIC_SOURCE_TYPES = {
    "trainedAlgorithmicMedia": "made by a trained model",
    "compositeWithTrainedAlgorithmicMedia": "partly made by a trained model",
    "algorithmicMedia": "made by an algorithm",
    "compositeSynthetic": "composed of captured and synthetic parts",
    "dataDrivenMedia": "made from data",
    "virtualRecording": "a recording of a virtual scene",
}


@dataclass
class MetadataClaims:
    """
    What the metadata of a file say. Whoever has the file can change or remove them.

    Args:
        description: of EXIF, XMP or MP4's tags.
        source_type: IPTC's digital source type, the last part of its address.
    """

    description: str | None = None
    source_type: str | None = None

    @property
    def synthetic(self) -> bool:
        """Whether they say that the file is synthetic."""
        return self.description == NOTICE or self.source_type in SYNTHETIC_SOURCE_TYPES


def read_metadata(path: Path) -> MetadataClaims:
    """
    Read the metadata of a photo or clip. Nothing is claimed by a file that is neither, or that is damaged.

    Raises:
        MissingPackageError: it is a clip, and PyAV is missing.
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        container = container_format(file.read(HEAD_BYTES))
    try:
        with open_unlimited(path) as image:
            claims = _parse_xmp(_xmp_of_image(image))
            with suppress(Exception):  # EXIF may be damaged where XMP is whole
                description = image.getexif().get(ExifTags.Base.ImageDescription)
                if isinstance(description, str) and description:
                    claims.description = description
            return claims
    except (OSError, SyntaxError, ValueError, EOFError, struct.error):
        return _read_clip_metadata(path) if container else MetadataClaims()


def _read_clip_metadata(path: Path) -> MetadataClaims:
    try:
        with open_container(path, VideoLimits(), Deadline(OPENING_SECONDS, str(path))) as container:
            tags = container.metadata
    except VideoInputError:  # damaged
        return MetadataClaims()
    claims = _parse_xmp(tags.get("xmp", "").encode())
    claims.description = claims.description or tags.get("comment") or tags.get("description")
    return claims


def _xmp_of_image(image: Image.Image) -> bytes:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return xmp.encode() if isinstance(xmp, str) else bytes(xmp)


def _parse_xmp(xmp: bytes) -> MetadataClaims:
    text = xmp[:MOST_XMP_BYTES].decode("utf-8", "replace")
    source_type, description = SOURCE_TYPE_PATTERN.search(text), DESCRIPTION_PATTERN.search(text)
    return MetadataClaims(
        html.unescape(description[1]).strip() or None if description else None,
        source_type[1].rstrip("/").rpartition("/")[2] or None if source_type else None,
    )
