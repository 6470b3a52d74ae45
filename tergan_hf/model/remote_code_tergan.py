"""The code that travels with weights, for users who load them without this package."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path


# Of `push_to_hub`, which `save_pretrained(push_to_hub=True)` takes, too.
PUSH_OPTIONS = (
    "repo_id", "commit_message", "commit_description", "private", "token", "revision", "create_pr", "max_shard_size",
    "tags",
)  # fmt: skip


@contextmanager
def code_beside(saved, folder: str | PathLike, options: dict, wanted: bool = True) -> Iterator[None]:
    """
    A context in which a model or pipeline is saved. At its end the code is copied, if it is wanted, and then, if
    `push_to_hub=True` was asked for, all of it is pushed: transformers alone would push before the code is there.

    Args:
        saved: what is saved; it has `push_to_hub`.
        folder: where to.
        options: of `save_pretrained`. Those of the push are taken out. Only the main process writes the code.
    """
    pushes = options.pop("push_to_hub", False)
    of_push = {name: options.pop(name) for name in PUSH_OPTIONS if pushes and name in options}
    # A pipeline saves its model first, beside which the code of its task is missing.
    tasks = getattr(getattr(saved, "model", saved).config, "custom_pipelines", None)
    yield
    if wanted and options.get("is_main_process", True):
        _copy_code(Path(folder), tasks)
    if pushes:
        saved.push_to_hub(of_push.pop("repo_id", Path(folder).name), **of_push)


def _copy_code(folder: Path, tasks: dict | None):
    """
    Copy this code beside the weights in a folder. A pipeline whose code is not here is dropped from their
    `config.json`, which would name a file that is missing.

    Args:
        tasks: `custom_pipelines` of what is saved. Default: those that `config.json` names.
    """
    for module in Path(__file__).parent.glob("*.py"):
        target = folder / module.name
        own = module.stem.endswith("_tergan") or module.stem == "torchvision_compat"
        if own and target.resolve() != module.resolve():
            shutil.copy(module, target)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    named = tasks or config.get("custom_pipelines")
    if not named:
        return
    found = {
        task: entry for task, entry in named.items() if (folder / f"{entry['impl'].partition('.')[0]}.py").is_file()
    }
    if found != config.get("custom_pipelines"):
        config["custom_pipelines"] = found
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


__all__ = ["code_beside"]
