"""Publish the result as a data set on the Hub."""

import json
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import RepositoryNotFoundError

from ..data.loading import HUB_PREFIX
from ..publishing.hub import check_login, require_visibility
from ..publishing.hub_errors import check_repo_id, one_sentence
from .photo_source import split_hub_name
from .run_folder import CARD, FACES, RECORD, WITHOUT, OutputError, difference


def work_folder(repo_id: str) -> Path:
    """The folder in which a result is made before it is published."""
    return Path(constants.HF_HOME) / "tergan" / "recognize" / repo_id.replace("/", "--")


def destination_id(output: str, source: str) -> str:
    """
    `hub://owner/name` → `owner/name`.

    Raises:
        OutputError: it has another form, or is the source.
    """
    repo_id, config = split_hub_name(output)
    if config is not None:
        raise OutputError(f"{output} is no name for a new data set: write {HUB_PREFIX}owner/name")
    if source.startswith(HUB_PREFIX) and split_hub_name(source)[0].lower() == repo_id.lower():
        raise OutputError(f"{output} is the source and would be written over: choose another output")
    return repo_id


def prepare(repo_id: str, record: dict, private: bool | None, overwrite: bool) -> bool:
    """
    Check that a result can be published, and make the repository. Hours of work must not end with a missing token.

    Args:
        record: of the run. private: make a new repository private. overwrite: allow another result to be replaced.

    Returns:
        whether the result of this run is there already.

    Raises:
        PublishError: there is no token, or the Hub refuses it or cannot be reached.
        OutputError: the repository holds something else.
    """
    with one_sentence(repo_id):
        check_repo_id(repo_id)
        api = check_login()
        try:
            files = set(api.list_repo_files(repo_id, repo_type="dataset")) - {".gitattributes"}
        except RepositoryNotFoundError:
            files = set()
            api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        if private:
            require_visibility(api, repo_id, False, "leave out --private, if its photos may be seen")
        found = _published_record(repo_id) if RECORD in files else None
    if found == record:
        return True
    if files and not overwrite:
        reason = f"was made from {difference(found, record)}" if found is not None else "holds something else"
        raise OutputError(
            f"{HUB_PREFIX}{repo_id} exists already and {reason}: add --overwrite, or choose another output"
        )
    return False


def publish(folder: Path, repo_id: str) -> str:
    """
    Publish the result in one commit. What arrived in an interrupted upload is not sent again.

    Returns:
        the address of the commit.

    Raises:
        PublishError: the Hub refuses it or cannot be reached.
    """
    with one_sentence(repo_id):
        commit = HfApi().upload_folder(
            repo_id=repo_id, repo_type="dataset", folder_path=folder,
            allow_patterns=[f"{FACES}/*", f"{WITHOUT}/*", CARD, RECORD],
            delete_patterns=[f"{FACES}/*", f"{WITHOUT}/*"], commit_message="Faces recognised by TER-GAN",
        )  # fmt: skip
    return str(commit.commit_url)


def _published_record(repo_id: str) -> dict | None:
    try:
        path = hf_hub_download(repo_id, RECORD, repo_type="dataset")
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return None
