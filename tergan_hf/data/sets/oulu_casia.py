"""Oulu-CASIA NIR&VIS: 80 people, six recorded expressions each, from neutral to the peak."""

from argparse import ArgumentParser
from pathlib import Path

from ..building import BuildError, Plan
from ..dataset_card import SetDescription
from .recordings import add_recording_options, plan_recordings


DESCRIPTION = SetDescription(
    name="oulu-casia",
    title="Oulu-CASIA NIR&VIS facial expression database",
    home="https://www.oulu.fi/en/university/faculties-and-units/center-machine-vision-and-signal-analysis",
    licence=(
        "For research only, under the agreement that every user signs with the University of Oulu. The photos and "
        "anything derived from them may not be passed on."
    ),
    licence_id="other",
    attribution="Collected by the University of Oulu and the Chinese Academy of Sciences (CASIA).",
    citation=(
        "@article{zhao2011facial,\n  title = {Facial expression recognition from near-infrared videos},\n"
        '  author = {Zhao, Guoying and Huang, Xiaohua and Taini, Matti and Li, Stan Z. and Pietik{\\"a}inen, Matti},\n'
        "  journal = {Image and Vision Computing},\n  volume = {29},\n  number = {9},\n  pages = {607--619},\n"
        "  year = {2011}\n}"
    ),
    layout="[OriginalImg/]VL/Strong/P001/Anger/000.jpeg, with subjects P001 to P080",
)
SUBJECTS = [f"P{number:03d}" for number in range(1, 81)]


def add_options(parser: ArgumentParser):
    """Add the options of recordings, camera and illumination. The defaults are the paper's choice: visible light,
    strong illumination, the last three frames."""
    parser.add_argument(
        "--camera", choices=("VL", "NI"), default="VL", help="visible light or near infrared (%(default)s)"
    )
    parser.add_argument("--illumination", choices=("Strong", "Weak", "Dark"), default="Strong", help="(%(default)s)")
    add_recording_options(parser, "number of last frames, at the peak,")


def plan(source: Path, options: dict) -> Plan:
    """Plan the set from a licensed copy."""
    camera, illumination = options.pop("camera"), options.pop("illumination")
    root = find_root(source, camera, illumination)
    settings = {"camera": camera, "illumination": illumination}
    return plan_recordings(DESCRIPTION, root, SUBJECTS, lambda files, count: files[-count:], options, settings)


def find_root(source: Path, camera: str, illumination: str) -> Path:
    """Find the folder of the subjects. `source` is this folder or up to three levels above it.

    Raises:
        BuildError: the folder is missing, or there is more than one.
    """
    wanted = Path(camera) / illumination
    if source.name == illumination and source.parent.name == camera:
        return source
    if source.name == camera and (source / illumination).is_dir():
        return source / illumination
    above = [source, *sorted(path for path in source.iterdir() if path.is_dir())]
    found = [folder / wanted for folder in above if (folder / wanted).is_dir()]
    if not found:
        raise BuildError(f"{source} has no {wanted}: expected {DESCRIPTION.layout}")
    if len(found) > 1:
        copies = ", ".join(path.parent.parent.name for path in found)
        raise BuildError(f"{source} holds the photos more than once ({copies}): choose one of these as --source")
    return found[0]
