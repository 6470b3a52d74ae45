"""Sets of driving clips, as they lie on disk."""

from pathlib import Path

from datasets import load_dataset


def table(folder: Path) -> list[dict]:
    """The rows of a set."""
    return list(load_dataset(str(folder), split="test", cache_dir=str(folder.parent / "cache")))


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file's bytes by its path in the folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
