"""The packages depend on each other in one direction, and what travels to the Hub depends on nothing else."""

import ast
from pathlib import Path

import pytest

from .conftest import ROOT


PACKAGE = ROOT / "tergan_hf"
# A package may import the packages before it.
ORDER = [
    "model",
    "provenance",
    "expressions",
    "data",
    "rendering",
    "portraits",
    "clips",
    "training",
    "evaluation",
    "publishing",
    "annotation",
    "demo",
    "cli",
]
APART = {("training", "evaluation"), ("evaluation", "training"), ("demo", "cli"), ("cli", "demo")}


def modules() -> list[Path]:
    """All modules but the doors to commands, which import upwards: `tergan_hf/NAME.py` and `__main__.py`."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE and path.name != "__main__.py"]


def imported(path: Path) -> set[str]:
    """The modules of this package that a module imports, anywhere in it, with dots."""
    inside = ["tergan_hf", *path.relative_to(PACKAGE).with_suffix("").parts]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level] if node.level else []
            module = [*base, *(node.module or "").split(".")] if node.module else base
            names |= {".".join([*module, alias.name]) for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.startswith("tergan_hf.")}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    own = path.relative_to(PACKAGE).parts[0]
    for name in imported(path):
        other = name.split(".")[1]
        if other in ORDER:
            assert ORDER.index(other) <= ORDER.index(own) and (own, other) not in APART, f"{own} imports {name}"
        else:
            assert other in ("version", "__version__") and own != "model", f"{own} imports {name}"


def test_no_two_modules_import_each_other():
    edges = {}
    for path in modules():
        name = ".".join(["tergan_hf", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
        edges[name] = set()
        for target in imported(path):
            parts = target.split(".")
            edges[name] |= {".".join(parts[:count]) for count in range(2, len(parts) + 1)}
    edges = {name: (targets & set(edges)) - {name} for name, targets in edges.items()}
    # A package's own __init__ names its modules, and they need not know it.
    edges = {name: {t for t in targets if not name.startswith(f"{t}.")} for name, targets in edges.items()}
    finished, open_now = set(), []

    def visit(name):
        assert name not in open_now, " → ".join([*open_now[open_now.index(name) :], name])
        if name not in finished:
            open_now.append(name)
            for target in sorted(edges[name]):
                visit(target)
            open_now.pop()
            finished.add(name)

    for name in edges:
        visit(name)


def test_remote_code_is_flat():
    for path in (PACKAGE / "model").glob("*.py"):
        assert path.name == "__init__.py" or path.stem.endswith("_tergan") or path.stem == "torchvision_compat"
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.ImportFrom) or node.level <= 1, path
            assert not isinstance(node, ast.ImportFrom) or node.level == 0 or "." not in (node.module or ""), path


def test_files_are_short():
    python = [path for folder in ("tergan_hf", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    long = {
        str(path.relative_to(ROOT)): count for path in python if (count := len(path.read_text().splitlines())) > 400
    }
    assert not long
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
