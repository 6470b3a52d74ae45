"""Find the heads: in a clone of the VALID avatars' repository, or in any folder of `.glb` files."""

from collections.abc import Iterable
from pathlib import Path

from ..data.building import BuildError
from ..data.dataset_card import SetDescription, of_another_source


# The heads of the sets behind the published weights, as `NAME_Casual.glb`. The library has more heads, and each in
# other clothes too.
HEADS = (
    "AIAN_F_1", "AIAN_M_1", "AIAN_M_2", "Asian_F_1", "Asian_F_2", "Asian_F_3", "Asian_M_1", "Asian_M_3", "Black_F_1",
    "Black_F_2", "Black_F_3", "Black_M_1", "Black_M_3", "Hispanic_F_1", "Hispanic_F_2", "Hispanic_M_1",
    "Hispanic_M_2", "Hispanic_M_3", "MENA_F_1", "MENA_F_2", "MENA_M_1", "MENA_M_2", "NHPI_M_1", "NHPI_M_2",
    "White_F_1", "White_F_2", "White_M_1", "White_M_3", "X_AIAN_F_1", "X_AIAN_M_1", "X_NHPI_F_1", "X_NHPI_F_2",
    "X_NHPI_F_3", "X_NHPI_M_1",
)  # fmt: skip
CLOTHES = "_Casual"


def head_name(path: Path) -> str:
    """The name of a head in columns and options: the name of its file without the common ending `_Casual`."""
    return path.stem.removesuffix(CLOTHES)


def head_files(source: str | Path, exclude: tuple[str, ...] = (), only: tuple[str, ...] = ()) -> dict[str, Path]:
    """
    Find the heads: head name → file, sorted by file name, without the excluded ones.

    Args:
        source: a clone of the library, or a folder with `.glb` files.
        exclude: names of heads to leave out.
        only: names of the heads to use. Default: all.

    If `source` holds any of `HEADS` at any depth, only these are used, so a clone and a folder of copies give the same
    people. Otherwise every `.glb` file directly in `source` is used.

    Raises:
        BuildError: there is no head, or `exclude` or `only` names an unknown one, or they leave none.
    """
    # macOS writes hidden ._*.glb files beside them.
    visible = [path for path in Path(source).rglob("*.glb") if not path.name.startswith(".")]
    found = sorted(visible, key=lambda path: (path.name, path))
    known = [path for path in found if path.stem.endswith(CLOTHES) and head_name(path) in HEADS]
    files: dict[str, Path] = {}
    for path in known or (path for path in found if path.parent == Path(source)):
        files.setdefault(head_name(path), path)
    if not files:
        raise BuildError(
            f"{source} holds no .glb file: set --source to the folder of the heads, or to a clone of "
            "https://github.com/c-frame/valid-avatars-glb"
        )
    for option, names in (("exclude", exclude), ("only", only)):
        unknown = sorted(set(names) - set(files))
        if unknown:
            raise BuildError(
                f"--{option} names heads that do not exist: {', '.join(unknown)}; the heads are {', '.join(files)}"
            )
    kept = {name: path for name, path in files.items() if name not in exclude and (name in only or not only)}
    if not kept:
        raise BuildError("--exclude leaves no head to render")
    return kept


def description_of(heads: Iterable[str], description: SetDescription) -> SetDescription:
    """The description of a set of these heads, without the licence of `HEADS` if some are others."""
    return of_another_source(description, "heads") if set(heads) - set(HEADS) else description


def missing_heads(files: dict[str, Path], exclude: tuple[str, ...] = ()) -> list[str]:
    """One sentence if some of `HEADS` are missing. None if all are there, or none is because the heads are others."""
    absent = [name for name in HEADS if name not in files and name not in exclude]
    if not absent or not set(files) & set(HEADS):
        return []
    return [
        f"{len(absent)} of {len(HEADS)} heads; without them the rendered people are different: {', '.join(absent)}"
    ]
