"""A digest that ties a report to its weights."""

import hashlib
from pathlib import Path


def weights_digest(folder: str | Path) -> str:
    """SHA-256 of a model folder's weights, as hexadecimal digits. The half-precision variant is left out."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("model*.safetensors")):
        if ".fp16." not in path.name:
            digest.update(path.read_bytes())
    return digest.hexdigest()
