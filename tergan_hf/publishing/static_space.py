"""Publish the page in the browser as a static Space, which needs no server."""

from pathlib import Path

from .hub import ROOT, check_login
from .hub_errors import PublishError, check_repo_id, one_sentence


PAGE = ROOT / "build" / "web"
PARTS = ("README.md", "index.html", "service-worker.js", "build.json", "model/model.json")


def push_static_space(
    repo_id: str, page: str | Path = PAGE, private: bool | None = None, token: str | None = None
) -> str:
    """
    Publish the built page. Files of an earlier build are removed.

    Args:
        repo_id: `owner/name`; the Space is created if needed.
        page: folder that `make web` built.
        private: make a new Space private.
        token: as for `push_model`.

    Returns:
        the address of the commit.

    Raises:
        PublishError: the page is not built, there is no valid token, or the Hub cannot be reached or refuses the push.
    """
    page = Path(page)
    absent = [part for part in PARTS if not (page / part).is_file()]
    if absent:
        raise PublishError(f"{page} is no built page, it has no {', '.join(absent)}: run `make web` first")
    with one_sentence(repo_id):
        check_repo_id(repo_id)
        api = check_login(token)
        api.create_repo(repo_id, repo_type="space", space_sdk="static", private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id, repo_type="space", folder_path=page, commit_message="Page", delete_patterns="**",
        )  # fmt: skip
        return str(commit.commit_url)
