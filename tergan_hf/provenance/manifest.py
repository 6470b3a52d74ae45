"""The C2PA manifest of a result: how it was made, and of which files. Needs c2pa-python."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from ..model.errors_tergan import MissingFileError, MissingPackageError, OutputFileError, shown_name
from ..model.image_loading_tergan import open_unlimited
from ..model.provenance_tergan import NOTICE, SOURCE_TYPE
from ..model.video_container_tergan import HEAD_BYTES, container_format
from ..version import __version__


AGENT = {"name": "TER-GAN", "version": __version__}
PARENT, INPUT = "parentOf", "inputTo"
TITLES = {PARENT: "the photo or clip that was changed", INPUT: "the photo or clip that shows the expression"}
VIDEO_TYPES = {"mov": "video/mp4", "avi": "video/avi", "matroska": "video/x-matroska"}
UNKNOWN_TYPE = "application/octet-stream"
SETTINGS: dict[str, Any] = {
    "version": 1,
    # A file must not decide which addresses this machine calls.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    # A thumbnail of a photo would show what was changed.
    "builder": {"thumbnail": {"enabled": False}},
}


def load_c2pa() -> ModuleType:
    """
    Import c2pa-python.

    Raises:
        MissingPackageError: it is not installed, or too old.
    """
    try:
        import c2pa
    except ImportError as error:
        raise MissingPackageError(
            'C2PA manifests need c2pa-python: pip install "c2pa-python>=0.37.6" or -e ".[c2pa]"'
        ) from error
    if not hasattr(c2pa, "Context"):
        raise MissingPackageError(
            'the installed package c2pa is too old or another one: pip install "c2pa-python>=0.37.6"'
        )
    return c2pa


def media_type(path: Path) -> str:
    """
    The media type of a photo or clip, by its content.

    Raises:
        MissingFileError: there is no such file.
    """
    name = shown_name(path)
    try:
        with open(path, "rb") as file:
            container = container_format(file.read(HEAD_BYTES))
        with open_unlimited(path) as image:
            return Image.MIME.get(image.format or "", UNKNOWN_TYPE)
    except FileNotFoundError as error:
        raise MissingFileError(f"no such file: {name}") from error
    except (UnidentifiedImageError, SyntaxError, ValueError):
        return VIDEO_TYPES.get(container or "", UNKNOWN_TYPE)
    except OSError as error:
        raise MissingFileError(f"{name} cannot be read ({error.strerror or error})") from error


def new_builder(parent: Path | None, inputs: Sequence[Path]):
    """
    Make the builder of a manifest.

    The manifest has the actions `c2pa.opened` and `c2pa.edited`, or `c2pa.created` without a parent. They carry IPTC's
    digital source type. An ingredient that has a manifest keeps it. Of any other ingredient only the media type is
    told.

    Args:
        parent: the photo or clip that was changed.
        inputs: the photos or clips that show the expression.

    Returns:
        a `c2pa.Builder`.

    Raises:
        MissingPackageError: c2pa-python is missing.
        MissingFileError: an ingredient is not there.
    """
    c2pa = load_c2pa()
    ingredients = [(PARENT, parent)] if parent is not None else []
    ingredients += [(INPUT, path) for path in inputs]
    described = [
        {"title": TITLES[relationship], "format": media_type(path), "relationship": relationship, "label": str(number)}
        for number, (relationship, path) in enumerate(ingredients)
    ]
    signed = [_has_manifest(c2pa, path) for _, path in ingredients]
    definition = {
        "claim_generator_info": [AGENT],
        "title": NOTICE,
        "ingredients": [entry for entry, has_manifest in zip(described, signed) if not has_manifest],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": _actions(described)}}],
    }
    builder = c2pa.Builder(definition, context=c2pa.Context.from_dict(SETTINGS))
    for entry, has_manifest, (_, path) in zip(described, signed, ingredients):
        if has_manifest:
            with open(path, "rb") as file:
                builder.add_ingredient(entry, entry["format"], file)
    return builder


def _actions(ingredients: list[dict]) -> list[dict]:
    """The actions that led from the ingredients to the result."""
    labels = {
        relationship: [entry["label"] for entry in ingredients if entry["relationship"] == relationship]
        for relationship in (PARENT, INPUT)
    }
    change: dict[str, Any] = {
        "digitalSourceType": SOURCE_TYPE,
        "softwareAgent": AGENT,
        "description": "A neural network changed the expression of a face.",
    }
    if labels[INPUT]:
        change["parameters"] = {"ingredientIds": labels[INPUT]}
    if not labels[PARENT]:
        return [{"action": "c2pa.created", **change}]
    return [
        {"action": "c2pa.opened", "parameters": {"ingredientIds": labels[PARENT]}},
        {"action": "c2pa.edited", **change},
    ]


def _has_manifest(c2pa: ModuleType, path: Path) -> bool:
    """Whether a file holds a manifest. Warns of one that does not hold."""
    try:
        with open(path, "rb") as file:
            reader = c2pa.Reader.try_create(file, context=c2pa.Context.from_dict(SETTINGS))
            if reader is None:
                return False
            with reader:
                state = reader.get_validation_state()
    except c2pa.C2paError:  # another kind of file, or a manifest that is not in the file
        return False
    if state == "Invalid":
        warnings.warn(f"{shown_name(path)}: its C2PA manifest does not hold, and the result says so", stacklevel=2)
    return True


def sign_stream(builder, signer, kind: str, source: BinaryIO, destination: BinaryIO, name: str):
    """
    Copy a photo or clip with a signed manifest.

    Args:
        builder: of `new_builder`; it serves once. signer: a `c2pa.Signer`.
        kind: media type. source, destination: binary files that can seek.
        name: of the result, for messages.

    Raises:
        OutputFileError: it cannot be written.
    """
    c2pa = load_c2pa()
    try:
        builder.sign(signer, kind, source, destination)
    except c2pa.C2paError as error:
        raise OutputFileError(f"{name} cannot be signed ({error})") from error
