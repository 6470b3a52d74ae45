"""Seeds that depend on names, so that everybody gets the same random choices in every set."""

import hashlib


def name_seed(seed: int, name: str) -> int:
    """A seed for a person or head, from the seed of the set and the name."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "big")
