"""Errors of publishing in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import validate_repo_id

from ..model.errors_tergan import TerGanError
from ..model.model_loading_tergan import REQUEST_ERROR


LOG_IN = "run `hf auth login`, or set HF_TOKEN to a token with write access (https://huggingface.co/settings/tokens)"


class PublishError(TerGanError):
    """Weights, files, a token or a connection that publishing needs are missing. The message says what to do."""


@contextmanager
def one_sentence(repo_id: str = "") -> Iterator[None]:
    """
    Reword the errors of requests to the Hub.

    Args:
        repo_id: the repository that the requests are about.

    Raises:
        PublishError: the Hub cannot be reached, or refuses the request.
    """
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise PublishError(f"publishing needs a token: {LOG_IN}") from error
    except OfflineModeIsEnabled as error:
        raise PublishError("the Hub cannot be reached while HF_HUB_OFFLINE is set: unset it to publish") from error
    except HFValidationError as error:
        raise PublishError(f"{repo_id!r} is no name of a repository (owner/name): {error}") from error
    except HfHubHTTPError as error:
        raise PublishError(_refusal(error, repo_id)) from error
    except (REQUEST_ERROR, ConnectionError) as error:
        raise PublishError(
            f"the Hub ({constants.ENDPOINT}) cannot be reached ({_reason(error)}): check the network, HTTPS_PROXY and "
            "HF_ENDPOINT, then repeat the command"
        ) from error
    except RuntimeError as error:  # of the upload of one file among several
        if not isinstance(error.__cause__, (HfHubHTTPError, REQUEST_ERROR, ConnectionError)):
            raise
        raise PublishError(
            f"{_reason(error)} ({_reason(error.__cause__)}): repeat the command, which sends only what is missing"
        ) from error


def check_repo_id(repo_id: str):
    """
    Check a name, within `one_sentence`.

    Raises:
        HFValidationError: it is no name.
        PublishError: it has no owner. The Hub would make a repository of the name alone, and not find it again.
    """
    validate_repo_id(repo_id)
    if "/" not in repo_id:
        raise PublishError(f"{repo_id!r} is no name of a repository: write it with its owner, me/{repo_id}")


def _refusal(error: HfHubHTTPError, repo_id: str) -> str:
    status = getattr(error.response, "status_code", None)
    if status == 401:
        return f"the Hub does not accept the token ({_reason(error)}): {LOG_IN}"
    about = f"the Hub refuses {repo_id}" if repo_id else "the Hub answers with an error"
    needed = ": the token needs write access to this repository" if status == 403 else ""
    return f"{about} ({_reason(error)}){needed}"


def _reason(error: Exception) -> str:
    said = getattr(error, "server_message", None) or str(error) or type(error).__name__
    return said.strip().splitlines()[0].rstrip(".:")
