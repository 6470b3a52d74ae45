"""Find the people in a folder of portraits, in the published layouts or with one photo of each person."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..data.building import BuildError
from ..data.dataset_card import SetDescription, of_another_source


NEUTRAL_FOLDERS, SMILE_FOLDERS = ("neutral_front", "neutral"), ("smiling_front", "happiness")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class PortraitPerson:
    """
    A person with a portrait.

    Args:
        identity: names of folder and file, such as `london_014`.
        photo: the portrait. smile: a smiling photo of the same person, or None.
        file_name: path of the portrait relative to its source.
    """

    identity: str
    photo: Path
    file_name: str
    smile: Path | None = field(default=None)


def find_people(source: Path) -> list[PortraitPerson]:
    """
    Find the people of one source by file names.

    Args:
        source: a folder with `neutral/` (or `neutral_front/`) and, for smiles, `happiness/` (or `smiling_front/`); or
            a folder with one portrait of each person.

    Raises:
        BuildError: the source holds no photos.
    """
    neutral = next((source / name for name in NEUTRAL_FOLDERS if (source / name).is_dir()), source)
    smiles = next((source / name for name in SMILE_FOLDERS if (source / name).is_dir()), None)
    smiling = {_person(path): path for path in _photos(smiles)} if smiles else {}
    people = [
        PortraitPerson(
            f"{source.resolve().name}_{_person(path)}", path, path.relative_to(source).as_posix(),
            smiling.get(_person(path)),
        )
        for path in _photos(neutral)
    ]  # fmt: skip
    if not people:
        raise BuildError(f"{source} holds no portraits: expected neutral/ and happiness/, or one photo of each person")
    return people


def named_people(people: list[PortraitPerson], names: tuple[str, ...], option: str) -> list[PortraitPerson]:
    """
    The people with some identities (`london_014`) or file names (`014`), in the order of `people`.

    Args:
        option: the command-line option that gave the names, for the message.

    Raises:
        BuildError: no person has one of the names.
    """
    found: set[PortraitPerson] = set()
    for name in names:
        path = Path(name)
        wanted = path.stem if path.suffix.lower() in SUFFIXES else name
        matching = [one for one in people if wanted in (one.identity, _person(one.photo), one.photo.stem)]
        if not matching:
            raise BuildError(f"{option} {name}: no person has that name; use names such as {people[0].identity}")
        found.update(matching)
    return [one for one in people if one in found]


def require_distinct(people: list[PortraitPerson]):
    """
    Raises:
        BuildError: two photos would be one person, and one's expressions the truth for the other.
    """
    photo_of: dict[str, Path] = {}
    for one in people:
        other = photo_of.setdefault(one.identity, one.photo)
        if other != one.photo:
            raise BuildError(f"{other} and {one.photo} would both be {one.identity}: rename a file or its folder")


def is_of_a_known_set(person: PortraitPerson) -> bool:
    """Whether folder and file are named as documented for the London Set (`london_014`), Young Adult White Faces
    (`canada_003f`) or the portraits of the US Congress (`congress_A000014`)."""
    return re.fullmatch(r"london_\d{3}|canada_\d{3}[fm]|congress_[A-Z]\d{6}", person.identity) is not None


def description_of(people: Iterable[PortraitPerson], description: SetDescription) -> SetDescription:
    """The description of a set of these people, without the licence of the known sets if some are not of them."""
    return description if all(map(is_of_a_known_set, people)) else of_another_source(description, "portraits")


def _photos(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def _person(path: Path) -> str:
    """The person of a file: `014` for `014.jpg`, and for `014_03.jpg` and `014_08.jpg` (poses of the London Set)."""
    return re.sub(r"^(\d{3})_\d\d$", r"\1", path.stem)
