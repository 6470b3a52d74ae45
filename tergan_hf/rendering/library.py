"""Where the heads are: a clone of the VALID avatars' repository, or any folder of `.glb` files."""

from pathlib import Path

from ..data.building import BuildError


# Those that the sets behind the published weights are made of, as `NAME_Casual.glb`. The library has others, and all
# of them in other clothes too.
HEADS = (
    "AIAN_F_1", "AIAN_M_1", "AIAN_M_2", "Asian_F_1", "Asian_F_2", "Asian_F_3", "Asian_M_1", "Asian_M_3", "Black_F_1",
    "Black_F_2", "Black_F_3", "Black_M_1", "Black_M_3", "Hispanic_F_1", "Hispanic_F_2", "Hispanic_M_1",
    "Hispanic_M_2", "Hispanic_M_3", "MENA_F_1", "MENA_F_2", "MENA_M_1", "MENA_M_2", "NHPI_M_1", "NHPI_M_2",
    "White_F_1", "White_F_2", "White_M_1", "White_M_3", "X_AIAN_F_1", "X_AIAN_M_1", "X_NHPI_F_1", "X_NHPI_F_2",
    "X_NHPI_F_3", "X_NHPI_M_1",
)  # fmt: skip
CLOTHES = "_Casual"


def head_name(path: Path) -> str:
    """What a head is called in the columns and options: its file's name, without what all share."""
    return path.stem.removesuffix(CLOTHES)


def head_files(source: str | Path, exclude: tuple[str, ...] = ()) -> dict[str, Path]:
    """
    Head name → file, sorted by file name, without those excluded. Where `source` holds any of `HEADS`, at whatever
    depth, only these are taken, so that a clone and a folder of copies give the same people; else every `.glb` file
    that lies directly in it.

    Raises:
        BuildError: no head, or `exclude` names an unknown one or leaves none.
    """
    found = sorted(Path(source).rglob("*.glb"), key=lambda path: (path.name, path))
    known = [path for path in found if path.stem.endswith(CLOTHES) and head_name(path) in HEADS]
    files: dict[str, Path] = {}
    for path in known or (path for path in found if path.parent == Path(source)):
        files.setdefault(head_name(path), path)
    if not files:
        raise BuildError(
            f"{source} holds no .glb file: give --source the folder with the avatars' heads, or a clone of "
            "https://github.com/c-frame/valid-avatars-glb"
        )
    unknown = sorted(set(exclude) - set(files))
    if unknown:
        raise BuildError(
            f"--exclude names heads that are not there: {', '.join(unknown)}; there are {', '.join(files)}"
        )
    kept = {name: path for name, path in files.items() if name not in exclude}
    if not kept:
        raise BuildError("--exclude leaves no head to render")
    return kept


def missing_heads(files: dict[str, Path], exclude: tuple[str, ...] = ()) -> list[str]:
    """A sentence where only some of `HEADS` are there."""
    absent = [name for name in HEADS if name not in files and name not in exclude]
    if not absent or not set(files) & set(HEADS):
        return []
    return [f"{len(absent)} of {len(HEADS)} heads, without which other people are drawn: {', '.join(absent)}"]
