"""All photos of a run in the memory of the training device: workers draw row numbers and the device looks them up."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from tqdm.auto import tqdm

from .photo_set import PhotoSet, common_flow_map_shape


CHUNK = 256  # photos that are copied together


class DevicePhotos:
    """
    The padded crops of several sets in one tensor on a device, and their flow maps if any set has them.

    Args:
        side: side of the padded crops in pixels. A photo takes 3 · side² bytes.
        with_flow_maps: keep flow maps too.

    Attributes:
        first_rows: name of a set → row number of its first photo.
    """

    def __init__(self, sets: list[PhotoSet], side: int, device: torch.device, with_flow_maps: bool = False):
        self.first_rows: dict[str, int] = {}
        total = sum(len(photos) for photos in sets)
        self._padded_crops = torch.empty(total, 3, side, side, dtype=torch.uint8, device=device)
        with_flow = [photos for photos in sets if with_flow_maps and photos.has_flow]
        shape = common_flow_map_shape(with_flow)
        self._flow_maps = None
        if with_flow:
            self._flow_maps = torch.empty(total, *shape, dtype=torch.uint8, device=device)
        first = 0
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # PIL decodes without holding the interpreter's lock
            for photos in sets:
                self.first_rows[photos.name] = first
                photos.keep(side)
                progress = tqdm(
                    total=len(photos), desc=f"Copying {photos.name} to {device}", unit="photo", dynamic_ncols=True,
                    mininterval=5,
                )  # fmt: skip
                with progress:
                    for start in range(0, len(photos), CHUNK):
                        rows = range(start, min(start + CHUNK, len(photos)))
                        places = slice(first + rows.start, first + rows.stop)
                        crops = pool.map(partial(photos.pixels, side=side), rows)
                        self._padded_crops[places] = torch.stack(list(crops)).to(device)
                        if self._flow_maps is not None:
                            maps = pool.map(partial(photos.flow_map, shape=shape), rows)
                            self._flow_maps[places] = torch.stack(list(maps)).to(device)
                        progress.update(len(rows))
                first += len(photos)

    def look_up(self, batch: dict) -> dict:
        """
        Replace row numbers by pixels.

        Args:
            batch: collated items whose `padded_crop`, `source`, `target` and `truth` are (B,) row numbers.

        Returns:
            The batch with (B, 3, side, side) uint8 padded crops in these places and, for pairs, with `target_flow_map`
            and `truth_flow_map`.
        """
        found = dict(batch)
        for name in ("padded_crop", "source", "target", "truth"):
            if name in batch:
                found[name] = self._padded_crops[batch[name]]
        if self._flow_maps is not None:
            for name in ("target", "truth"):
                if name in batch:
                    found[f"{name}_flow_map"] = self._flow_maps[batch[name]]
        return found
