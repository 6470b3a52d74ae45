"""The items that one process of a run draws: `python -m tests.shares SET.parquet FOLDER 4` in each of them.

Each process iterates over photos and pairs as the training loop does, with `batch_size` items at a time. It writes
`FOLDER/rank.json`: for each step the numbers of its items and a hash of their contents.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, Dataset

from tergan_hf.data.loading import load_photos
from tergan_hf.data.padded_crops import make_padded_crops, padded_crop_size
from tergan_hf.data.photo_set import label_photo_sets
from tergan_hf.data.sampling import BalancedPhotos, ExpressionPairs
from tergan_hf.model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL


ITEMS = 32
KINDS = {"photos": BalancedPhotos, "pairs": ExpressionPairs}


class Numbered(Dataset):
    """The number of each item and a hash of its contents."""

    def __init__(self, items):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict:
        digest = hashlib.sha256()
        for key, value in sorted(self.items[index].items()):
            digest.update(key.encode() + torch.as_tensor(value).numpy().tobytes())
        return {"number": index, "digest": digest.hexdigest()}


def steps_seen(parquet: str, accelerator: Accelerator, batch_size: int, workers: int = 0) -> dict[str, list]:
    """List the steps for photos and pairs. A step is a list of (number, hash)."""
    photos = make_padded_crops(load_photos(parquet), 32, align=False)
    sets, _ = label_photo_sets({"set": photos}, list(EXPRESSIONS_WITH_NEUTRAL))
    seen = {}
    for name, kind in KINDS.items():
        items = Numbered(kind(sets, ITEMS, padded_crop_size(32), seed=5))
        loader = accelerator.prepare(DataLoader(items, batch_size, num_workers=workers, drop_last=True))
        seen[name] = [list(zip(batch["number"].tolist(), batch["digest"])) for batch in loader]
    return seen


def main():
    parquet, folder, batch_size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    accelerator = Accelerator()
    assert accelerator.num_processes > 1, "start several processes"
    with accelerator.main_process_first():
        seen = steps_seen(parquet, accelerator, batch_size)
    (folder / f"{accelerator.process_index}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
