"""Model cards as the page shows them."""

import re
from pathlib import Path

from huggingface_hub import hf_hub_download


def model_card(location: str, **found) -> str:
    """
    Read the card of a model, without its front matter and its gallery, whose pictures this server does not have.

    Args:
        location: folder or Hub id.
        found: `revision`, `token` and `cache_dir` for the Hub, as in huggingface_hub.

    Returns:
        Markdown, empty if there is no card.
    """
    try:
        is_folder = Path(location).is_dir()
        path = Path(location) / "README.md" if is_folder else Path(hf_hub_download(location, "README.md", **found))
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):  # the Hub's errors are subclasses of these
        return ""
    text = re.sub(r"\A---\n.*?^---\n", "", text, flags=re.DOTALL | re.MULTILINE).strip()
    return re.sub(r"^## Gallery\n.*?(?=^## )", "", text, flags=re.DOTALL | re.MULTILINE)
