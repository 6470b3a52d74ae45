"""Publish the app as a Gradio Space."""

import shutil
import tempfile
from pathlib import Path

from huggingface_hub import HfApi, SpaceHardware
from huggingface_hub.repocard import metadata_load, metadata_save

from .hub import ROOT, check_login
from .hub_errors import PublishError, check_repo_id, one_sentence


TEMPLATE = ROOT / "space"
PARTS = ("app.py", "LICENSE", "assets", "tergan_hf")
WEIGHTS = "weights/ter-gan"
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.pyi", "*.egg-info")
ZERO = "zero"
HARDWARE = (ZERO, *(flavor.value for flavor in SpaceHardware if flavor is not SpaceHardware.ZERO_A10G))
# ZeroGPU has two versions of Python, this one and 3.10.13.
ZERO_PYTHON, PYTHON = "3.12.12", "3.12"
MODEL_VARIABLE = "TERGAN_MODEL"  # what app.py opens instead of the weights in the Space
THUMBNAIL = "assets/held_out_people.jpg"
REFUSED = (402, 403)  # HTTP: payment required, forbidden


def write_space(folder: str | Path, repo_id: str, hardware: str = ZERO, model_id: str | None = None) -> Path:
    """
    Lay out a Gradio Space. `pip install -r requirements.txt` and `python app.py` run it in the folder.

    Args:
        folder: the Space; created if needed.
        repo_id: `owner/name` of the Space.
        hardware: one of `HARDWARE`.
        model_id: the model on the Hub that the Space opens; default: the weights in this repository, as a copy.

    Returns:
        `folder`.

    Raises:
        PublishError: this is not a checkout of the repository, or there is no such hardware.
    """
    folder = Path(folder)
    flavor = hardware_flavor(hardware)
    parts = PARTS if model_id else (*PARTS, WEIGHTS)
    if absent := [part for part in (*parts, TEMPLATE.name) if not (ROOT / part).exists()]:
        raise PublishError(f"push-space needs a checkout of the repository; {ROOT} has no {', '.join(absent)}")
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [(ROOT / part, folder / part) for part in parts]
    for path, copy in [*pairs, *((path, folder / path.name) for path in TEMPLATE.iterdir())]:
        if path.is_dir():
            shutil.copytree(path, copy, ignore=IGNORED, dirs_exist_ok=True)
        else:
            shutil.copy(path, copy)
    settings = metadata_load(folder / "README.md")
    assert settings is not None
    settings["python_version"] = ZERO_PYTHON if hardware == ZERO else PYTHON
    settings["suggested_hardware"] = flavor.value
    settings["thumbnail"] = f"https://huggingface.co/spaces/{repo_id}/resolve/main/{THUMBNAIL}"
    if model_id:
        settings["models"] = settings["preload_from_hub"] = [model_id]
    metadata_save(folder / "README.md", settings)
    return folder


def push_space(
    repo_id: str,
    hardware: str = ZERO,
    model_id: str | None = None,
    private: bool | None = None,
    token: str | None = None,
) -> str:
    """
    Publish the app as a Gradio Space. Files of an earlier push are removed.

    Args:
        repo_id: `owner/name`; the Space is created if needed.
        hardware, model_id: as for `write_space`.
        private: make a new Space private.
        token: as for `push_model`.

    Returns:
        the address of the commit.

    Raises:
        PublishError: this is not a checkout of the repository, there is no such hardware or no valid token, or the Hub
            cannot be reached or refuses the push. If it refuses the hardware, the message names the static Space.
    """
    flavor = hardware_flavor(hardware)
    with one_sentence(repo_id), tempfile.TemporaryDirectory() as folder:
        check_repo_id(repo_id)
        write_space(folder, repo_id, hardware, model_id)
        api = check_login(token)
        _create(api, repo_id, flavor, private)
        if model_id:
            api.add_space_variable(repo_id, MODEL_VARIABLE, model_id)
        elif MODEL_VARIABLE in api.get_space_variables(repo_id):
            api.delete_space_variable(repo_id, MODEL_VARIABLE)
        commit = api.upload_folder(
            repo_id=repo_id, repo_type="space", folder_path=folder, commit_message="App", delete_patterns="**",
        )  # fmt: skip
        return str(commit.commit_url)


def hardware_flavor(hardware: str) -> SpaceHardware:
    """
    The Hub's own name of a Space's hardware.

    Raises:
        PublishError: there is no such hardware.
    """
    if hardware == ZERO:
        return SpaceHardware.ZERO_A10G
    try:
        return SpaceHardware(hardware)
    except ValueError:
        raise PublishError(
            f"there is no hardware {hardware!r} for Spaces: choose one of {', '.join(HARDWARE)}"
        ) from None


def _create(api: HfApi, repo_id: str, flavor: SpaceHardware, private: bool | None):
    """Create the Space, or request the hardware for one that exists."""
    try:
        with one_sentence(repo_id):
            if not api.repo_exists(repo_id, repo_type="space"):
                api.create_repo(
                    repo_id, repo_type="space", space_sdk="gradio", space_hardware=flavor, private=private
                )  # fmt: skip
            elif api.get_space_runtime(repo_id).requested_hardware != flavor.value:
                api.request_space_hardware(repo_id, flavor)
    except PublishError as error:
        if getattr(getattr(error.__cause__, "response", None), "status_code", None) in REFUSED:
            raise PublishError(
                f"{error}. The hardware {flavor.value} may also need a plan or credit that this account lacks. The "
                "page that runs in the browser needs no hardware: run `make web`, then `python -m tergan_hf.hub "
                f"push-space --static {repo_id}`"
            ) from error
        raise
