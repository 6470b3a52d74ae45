"""The example photos that ship with the repository."""

from pathlib import Path


ASSETS = Path(__file__).resolve().parents[2] / "assets"


def example_photos(expression: str | None = None) -> list[str]:
    """Paths of the example photos, `<person>_<expression>.jpg`, all or those of one expression; may be empty."""
    return [str(path) for path in sorted((ASSETS / "examples").glob(f"*_{expression or '*'}.jpg"))]
