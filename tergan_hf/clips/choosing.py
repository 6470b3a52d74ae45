"""Choose who performs: portraits and heads by their names, and the people from whom smiles are learnt."""

from dataclasses import dataclass
from pathlib import Path

from ..data.building import BuildError
from ..portraits.people import PortraitPerson, find_people, named_people
from ..rendering.library import head_files
from .clip_settings import ClipSettings


@dataclass(frozen=True)
class Choice:
    """
    The performers of a set. Nobody is in both lists of people.

    Args:
        people: people whose portraits perform.
        teaching: people from whom smiles may be learnt.
        heads: name → file of the heads that perform.
        folders: the sources of these heads.
    """

    people: list[PortraitPerson]
    teaching: list[PortraitPerson]
    heads: dict[str, Path]
    folders: list[Path]


def holds_heads(source: Path) -> bool:
    """Whether a folder holds 3D heads, at any depth. Other folders hold portraits."""
    return any(not path.name.startswith(".") for path in source.rglob("*.glb"))


def choose_performers(sources: list[Path], settings: ClipSettings) -> Choice:
    """
    Choose the performers from folders of portraits and folders of heads.

    Raises:
        BuildError: a source is empty, a name is unknown or belongs to two performers, or nobody is left to perform or
            to learn smiles from.
    """
    folders = [source for source in sources if holds_heads(source)]
    heads = [head_files(folder) for folder in folders]
    portraits = [find_people(source) for source in sources if source not in folders]
    only, excluded = _named_portraits(portraits, heads, settings)
    offered = _choose_heads(heads, settings)
    people: list[PortraitPerson] = []
    for group in portraits:
        free = [one for one in group if one not in excluded and (one in only or not settings.only)]
        people += free[: settings.people]
    everybody = [one for group in portraits for one in group]
    teaching = [one for one in everybody if one not in excluded | only | set(people)]
    names = [one.identity for one in people] + [name for group in offered for name in group]
    if not names:
        raise BuildError("--exclude leaves nobody to show")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BuildError(f"two sources have a {twice[0]}: rename the folder or file of one of them")
    if people and not teaching:
        raise BuildError(
            "everybody would be shown, and nobody is left to learn smiles from: name the people to show with --only, "
            "or set --people"
        )
    chosen = {name: path for group in offered for name, path in group.items()}
    return Choice(people, teaching, chosen, [folder for folder, group in zip(folders, offered) if group])


def _choose_heads(heads: list[dict[str, Path]], settings: ClipSettings) -> list[dict[str, Path]]:
    """The heads of each source that perform: name → file."""
    only, excluded = set(settings.only), set(settings.exclude) - set(settings.only)
    chosen = []
    for group in heads:
        names = [name for name in group if name not in excluded and (name in only or not only)]
        chosen.append({name: group[name] for name in names[: settings.people]})
    return chosen


def _named_portraits(
    portraits: list[list[PortraitPerson]], heads: list[dict[str, Path]], settings: ClipSettings
) -> tuple[set[PortraitPerson], set[PortraitPerson]]:
    """The people that `--only` and `--exclude` name, apart from the names of heads. `--only` has precedence."""
    everybody = [one for people in portraits for one in people]
    known = {name for group in heads for name in group}
    found = []
    for option in ("only", "exclude"):
        others = tuple(name for name in getattr(settings, option) if name not in known)
        if others and not everybody:
            raise BuildError(
                f"--{option} {others[0]}: no head has that name; the heads are {', '.join(sorted(known))}"
            )
        found.append(set(named_people(everybody, others, f"--{option}")))
    only, excluded = found
    return only, excluded - only
