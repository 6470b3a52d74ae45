"""Publish models and data sets on the Hub.

A model repository loads without this package. It holds the weights, and a copy of `tergan_hf/model/` as remote code.
`auto_map` and `custom_pipelines` in `config.json` name its classes.
"""

import json
import re
import shutil
import tempfile
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from ..model.modeling_tergan import TerGanModel
from ..model.transfer_pipeline_tergan import TASK, FacialExpressionTransferPipeline
from .card import CARD, MODEL_ID, TEMPLATE, build_card
from .card_examples import GALLERY
from .dataset_repository import write_dataset_repository
from .eval_results import FOLDER as EVAL_RESULTS
from .eval_results import write_eval_results
from .hub_errors import LOG_IN, PublishError, check_repo_id, one_sentence


ROOT = Path(__file__).resolve().parents[2]
REMOTE_CODE = Path(__file__).resolve().parents[1] / "model"
WEIGHT_FILES = (
    "config.json", "preprocessor_config.json", "training.yaml", "report.json", "notes.yaml",
    "expression_map.safetensors", "compute.yaml", "examples.json", "benchmark.json",
)  # fmt: skip
AUTO_MAP = {
    "AutoConfig": "configuration_tergan.TerGanConfig",
    "AutoModel": "modeling_tergan.TerGanModel",
    "AutoModelForImageClassification": "modeling_tergan.TerGanForImageClassification",
}
# What a push removes if it does not have it: it would be that of other weights or of another set.
LEFT_BEHIND = {
    "model": ["model*.safetensors*", *WEIGHT_FILES, f"{GALLERY}/*", f"{EVAL_RESULTS}/*"],
    "dataset": ["*.parquet", "clips/*"],
}
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
IMAGE_PROCESSOR = "image_processing_tergan.TerGanImageProcessor"
CUSTOM_PIPELINES = {
    TASK: {
        "impl": f"{FacialExpressionTransferPipeline.__module__.split('.')[-1]}.FacialExpressionTransferPipeline",
        "pt": ["AutoModel"],
        "type": "image",
    }
}


def write_model_repository(
    weights: str | Path,
    folder: str | Path,
    half: bool = False,
    repo_id: str = MODEL_ID,
    benchmark: str | None = None,
) -> Path:
    """
    Lay out a model repository.

    Args:
        weights: folder that `save_pretrained` wrote.
        folder: the repository; created if needed.
        half: add the weights as half-precision tensors for `from_pretrained(..., variant="fp16")`, whatever the
            precision of the main file.
        repo_id: `owner/name` for the examples of the card and for the notebook.
        benchmark: a benchmark's id on the Hub; the scores in `benchmark.json` are filed under it.

    Returns:
        `folder`.

    Raises:
        PublishError: the weights are incomplete.
        ReportMismatchError: `report.json` was made with other weights.
        MissingFileError: there are no scores on the benchmark.
    """
    weights, folder = Path(weights), Path(folder)
    if not weights.is_dir():
        raise PublishError(f"there is no folder {weights}: name the folder that save_pretrained or the trainer wrote")
    tensors = sorted(weights.glob("model*.safetensors*"))
    missing = [name for name in WEIGHT_FILES[:2] if not (weights / name).is_file()]
    if missing or not tensors:
        lacking = ", ".join(missing + ([] if tensors else ["model.safetensors"]))
        raise PublishError(f"{weights} is not a complete saved model: it has no {lacking}")
    saved_as = json.loads((weights / "config.json").read_text(encoding="utf-8")).get("architectures") or []
    if saved_as and TerGanModel.__name__ not in saved_as:
        raise PublishError(
            f"{weights} holds a {saved_as[0]} and no whole {TerGanModel.__name__}: publish it with its push_to_hub"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*tensors, *(weights / name for name in WEIGHT_FILES)]:
        if path.is_file():
            shutil.copy(path, folder / path.name)
    if half:
        TerGanModel.from_pretrained(weights, use_safetensors=True).half().save_pretrained(folder, variant="fp16")
        shutil.copy(weights / "config.json", folder / "config.json")  # save_pretrained changed its dtype to float16
    for module in sorted(REMOTE_CODE.glob("*.py")):
        if module.name != "__init__.py":
            shutil.copy(module, folder / module.name)
    _change_json(folder / "config.json", {"auto_map": AUTO_MAP, "custom_pipelines": CUSTOM_PIPELINES})
    _change_json(folder / "preprocessor_config.json", {"auto_map": {"AutoImageProcessor": IMAGE_PROCESSOR}})
    card = (weights / CARD).read_text(encoding="utf-8") if (weights / CARD).is_file() else ""
    if not card and TEMPLATE.is_file():
        card = build_card(weights)
    if card:
        (folder / CARD).write_text(_named(card, repo_id), encoding="utf-8")
    if (weights / GALLERY).is_dir():
        shutil.copytree(weights / GALLERY, folder / GALLERY, dirs_exist_ok=True)
    if NOTEBOOK.is_file():  # the Hub opens it in Colab
        (folder / "notebook.ipynb").write_text(_named(NOTEBOOK.read_text(encoding="utf-8"), repo_id), encoding="utf-8")
    if benchmark:
        write_eval_results(weights, folder, benchmark)
    if (ROOT / "LICENSE").is_file():
        shutil.copy(ROOT / "LICENSE", folder / "LICENSE")
    if (ROOT / "assets").is_dir():
        shutil.copytree(ROOT / "assets", folder / "assets", dirs_exist_ok=True)
    return folder


def push_model(
    weights: str | Path,
    repo_id: str,
    private: bool | None = None,
    revision: str | None = None,
    tag: str | None = None,
    token: str | None = None,
    half: bool = False,
    benchmark: str | None = None,
) -> str:
    """
    Publish saved weights with code, card, licence and example photos.

    Repeat an interrupted push to complete it. Files that have arrived are not sent again, and nothing is visible
    before all files have arrived.

    Args:
        weights: folder that `save_pretrained` wrote.
        repo_id: `owner/name`; the repository is created if needed.
        private: make a new repository private.
        revision: branch to push to; it is created if needed.
        tag: tag for the commit, for example the name of the training run. An existing tag moves.
        token: default: the token of `hf auth login`, or `HF_TOKEN`.
        half: add the weights in half precision.
        benchmark: as for `write_model_repository`.

    Returns:
        the address of the commit.

    Raises:
        PublishError: the weights are incomplete, there is no valid token, or the Hub cannot be reached or refuses the
            push.
        ReportMismatchError: `report.json` was made with other weights.
    """
    with one_sentence(repo_id), tempfile.TemporaryDirectory() as folder:
        check_repo_id(repo_id)
        write_model_repository(weights, folder, half, repo_id, benchmark)
        api = check_login(token)
        return _upload(api, folder, repo_id, "model", private, revision, tag, "Weights, code and card")


def push_dataset(
    folder: str | Path,
    repo_id: str,
    public: bool = False,
    without: tuple[str, ...] = (),
    revision: str | None = None,
    tag: str | None = None,
    token: str | None = None,
) -> str:
    """
    Publish a built data set, or a benchmark. An interrupted push is completed as that of a model.

    Args:
        folder: the set, as for `write_dataset_repository`.
        repo_id: `owner/name`; the repository is created if needed.
        public: let everybody see the repository. Default: it is private, since it shows faces. One that exists must be
            what is asked for.
        without: leave out people whose names begin with one of these.
        revision, tag, token: as for `push_model`.

    Returns:
        the address of the commit.

    Raises:
        PublishError: as for `push_model` and `write_dataset_repository`; or the repository exists, and is private or
            public other than asked for.
    """
    with one_sentence(repo_id), tempfile.TemporaryDirectory() as repository:
        check_repo_id(repo_id)
        write_dataset_repository(folder, repository, repo_id, without, public)
        api = check_login(token)
        require_visibility(api, repo_id, public, "add --public" if not public else "leave out --public")
        return _upload(api, repository, repo_id, "dataset", not public, revision, tag, "Data and card")


def require_visibility(api: HfApi, repo_id: str, public: bool, otherwise: str):
    """
    Check that a repository of a data set, if it exists, is public or private as asked for. Creating it again would
    not change it.

    Args:
        otherwise: what to do if it is to stay as it is, for the message.

    Raises:
        PublishError: it is not.
    """
    try:
        is_public = not api.repo_info(repo_id, repo_type="dataset").private
    except RepositoryNotFoundError:
        return
    if is_public != public:
        found, wanted = ("public", "private") if is_public else ("private", "public")
        raise PublishError(
            f"{repo_id} exists already and is {found}: make it {wanted} in its settings on the Hub, choose another "
            f"name, or {otherwise}"
        )


def _upload(api: HfApi, folder: str, repo_id: str, kind: str, private, revision, tag, message: str) -> str:
    api.create_repo(repo_id, repo_type=kind, private=private, exist_ok=True)
    if revision:
        api.create_branch(repo_id, branch=revision, repo_type=kind, exist_ok=True)
    commit = api.upload_folder(
        repo_id=repo_id, repo_type=kind, folder_path=folder, revision=revision, commit_message=message,
        delete_patterns=LEFT_BEHIND[kind],
    )  # fmt: skip
    if tag:
        # The Hub cannot move a tag.
        if tag in {known.name for known in api.list_repo_refs(repo_id, repo_type=kind).tags}:
            api.delete_tag(repo_id, tag=tag, repo_type=kind)
        api.create_tag(repo_id, tag=tag, revision=commit.oid, repo_type=kind)
    return str(commit.commit_url)


def check_login(token: str | None = None) -> HfApi:
    """
    A client of the Hub that is logged in.

    Raises:
        PublishError: there is no token, the Hub does not accept it, or it cannot be reached.
    """
    api = HfApi(token=token)
    try:
        with one_sentence():
            api.whoami()
    except UnicodeEncodeError as error:
        raise PublishError(f"the token holds letters that no token has: {LOG_IN}") from error
    except json.JSONDecodeError as error:
        raise PublishError(
            f"{api.endpoint} does not answer like the Hub; perhaps this network asks you to log in first"
        ) from error
    except (ValueError, ImportError) as error:
        raise PublishError(f"the settings of the proxy or the token cannot be used ({error})") from error
    return api


def _named(text: str, repo_id: str) -> str:
    """A text with the id of a repository instead of the example's, which may also be the end of another id."""
    return re.sub(rf"(?<![\w.-]){re.escape(MODEL_ID)}(?![\w-])", repo_id, text)


def _change_json(path: Path, changes: dict):
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, **changes}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def run_tag(output_dir: str | Path) -> str:
    """A tag for a training run: the name of its folder, limited to the characters that a Git tag may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(output_dir).name).strip("-.") or "run"
