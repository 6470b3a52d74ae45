"""The example photos that ship with the repository, and their attribution."""

from pathlib import Path


ASSETS = Path(__file__).resolve().parents[2] / "assets"
ATTRIBUTION = (
    "Example photos: [Face Research Lab London Set](https://doi.org/10.6084/m9.figshare.5047666.v5), DeBruine & Jones "
    "2017, [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). Example expressions: rendered from the "
    "[VALID avatars](https://github.com/google/valid-avatar-library), MIT."
)


def example_photos(expression: str | None = None) -> list[str]:
    """Paths of the example photos `<person>_<expression>.jpg`, of one expression or of all. May be empty."""
    return [str(path) for path in sorted((ASSETS / "examples").glob(f"*_{expression or '*'}.jpg"))]


def example_expressions() -> list[str]:
    """Paths `avatar_<expression>.jpg` of a rendered face with each expression. May be empty."""
    return [str(path) for path in sorted((ASSETS / "expressions").glob("avatar_*.jpg"))]


def expression_of(path: str) -> str:
    """The expression in an example's file name."""
    return Path(path).stem.rsplit("_", 1)[-1]


def expression_captions(paths: list[str]) -> list[str]:
    """Captions of example photos: the expression, with a number if it occurs more than once."""
    names = [expression_of(path) for path in paths]
    return [
        f"{name} {names[: index + 1].count(name)}" if names.count(name) > 1 else name
        for index, name in enumerate(names)
    ]


def numbered_captions(name: str, paths: list[str]) -> list[str]:
    """Captions "person 1", "person 2", … for the name "person"."""
    return [f"{name} {number}" for number in range(1, len(paths) + 1)]


def example_clip() -> str | None:
    """Path of a short clip of a rendered face that changes its expression."""
    path = ASSETS / "expressions" / "avatar_clip.mp4"
    return str(path) if path.is_file() else None
