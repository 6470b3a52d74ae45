"""All photos of a run in the memory of the device that trains: workers draw row numbers, the device looks them up."""

import torch
from tqdm.auto import tqdm

from .photo_set import PhotoSet, common_flow_map_shape


class DevicePhotos:
    """
    The chips, and flow maps where any set has them, of several sets in one tensor.

    Args:
        side: of the chips in pixels; a photo takes 3 · side² bytes.
        with_flow_maps: keep flow maps as well.

    Attributes:
        first_rows: name of a set → the number its photos begin with.
    """

    def __init__(self, sets: list[PhotoSet], side: int, device: torch.device, with_flow_maps: bool = False):
        self.first_rows: dict[str, int] = {}
        total = sum(len(chips) for chips in sets)
        self._chips = torch.empty(total, 3, side, side, dtype=torch.uint8, device=device)
        moving = [chips for chips in sets if with_flow_maps and chips.has_flow]
        self._flow_map = None
        if moving:
            shape = common_flow_map_shape(moving)
            self._flow_map = torch.empty(total, *shape, dtype=torch.uint8, device=device)
        first = 0
        for chips in sets:
            self.first_rows[chips.name] = first
            for row in tqdm(
                range(len(chips)), desc=f"{chips.name} to {device}", unit="photo", dynamic_ncols=True, mininterval=5
            ):
                self._chips[first + row] = chips.pixels(row, side).to(device)
                if moving:
                    self._flow_map[first + row] = chips.flow_map(row, shape).to(device)
            first += len(chips)

    def look_up(self, batch: dict) -> dict:
        """A collated batch in which `chip`, `source`, `target` and `truth` are (B,) row numbers → the same with
        (B, 3, side, side) uint8 chips and, for pairs, `target_flow_map` and `truth_flow_map`."""
        found = dict(batch)
        for name in ("padded_crop", "source", "target", "truth"):
            if name in batch:
                found[name] = self._chips[batch[name]]
        if self._flow_map is not None:
            for name in ("target", "truth"):
                if name in batch:
                    found[f"{name}_flow_map"] = self._flow_map[batch[name]]
        return found
