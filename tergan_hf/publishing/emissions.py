"""
The carbon emissions of a training run.

Estimated as Green Algorithms does (Lannelongue, Grealey and Inouye 2021, https://doi.org/10.1002/advs.202100707):
energy = hours · (watts of the processors + 0.3725 W per GB of memory) · PUE, emissions = energy · carbon intensity.
Place and data centre are not recorded, so the world's means stand for both.
"""

import re
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import yaml

from ..model.atomic_file_tergan import write_whole
from ..model.errors_tergan import InvalidInputError, MissingFileError
from .mapping_files import read_mapping


COMPUTE = "compute.yaml"  # beside the weights
WATTS_PER_CORE = 12.0  # Green Algorithms' value for any processor
WATTS_PER_GB = 0.3725
PUE = 1.67  # power usage effectiveness, mean of data centres
GRAMS_PER_KWH = 475.0  # mean of the world, IEA 2019
# Thermal design power by the makers' data sheets. The first one whose words are in the card's name counts.
GPU_WATTS = {
    "A100-SXM4": 400.0, "A100-PCIE-40GB": 250.0, "A100 80GB PCIe": 300.0, "H100 PCIe": 350.0, "H100 NVL": 400.0,
    "H100": 700.0, "H200 NVL": 600.0, "H200": 700.0, "L40S": 350.0, "L40": 300.0, "V100": 300.0, "Tesla T4": 70.0,
    "L4": 72.0,
}  # fmt: skip
METHOD = "estimated with Green Algorithms (Lannelongue et al. 2021)"


@dataclass(frozen=True)
class Emissions:
    """
    Emissions of a run.

    Args:
        grams: CO₂ equivalent.
        source: method and assumptions, or the tool that measured it.
        hours: of training. hardware: in words.
        training_type: `pre-training` or `fine-tuning`.
        place: where; "" if it is not recorded.
        kilowatt_hours: energy; `None` if it was measured elsewhere.
        is_world_mean: whether the carbon intensity is that of the world.
    """

    grams: float
    source: str
    hours: float
    hardware: str
    training_type: str
    place: str
    kilowatt_hours: float | None
    is_world_mean: bool = False

    @property
    def in_words(self) -> str:
        """The emissions with two digits, such as "190 g"."""
        value, unit = (self.grams / 1000, "kg") if self.grams >= 1000 else (self.grams, "g")
        return f"{float(f'{value:.2g}'):g} {unit}"

    def header(self) -> dict:
        """`co2_eq_emissions` of a model card."""
        place = {"geographical_location": self.place} if self.place else {}
        return {
            "emissions": float(f"{self.grams:.3g}"),
            "source": self.source,
            "training_type": self.training_type,
            **place,
            "hardware_used": f"{self.hardware}, {self.hours:.3g} hours",
        }


def read_compute(folder: str | Path) -> dict | None:
    """The hours and hardware of the run that made some weights, or `None` without a record."""
    path = Path(folder) / COMPUTE
    return read_mapping(path, yaml.safe_load) if path.is_file() else None


def write_compute_record(folder: str | Path, compute: dict):
    """
    Write `compute.yaml` beside the weights of a run that did not.

    Raises:
        MissingFileError: there is no such folder.
        InvalidInputError: the estimate needs other values, or a value is wrong.
    """
    if not Path(folder).is_dir():
        raise MissingFileError(f"there is no folder {folder}")
    if emissions_of(compute) is None:
        raise InvalidInputError(
            f"{', '.join(compute)} are not enough to estimate the emissions: give hours, hardware, and cores or watts"
        )
    text = yaml.safe_dump(compute, sort_keys=False, allow_unicode=True)
    write_whole(Path(folder) / COMPUTE, text.encode())


def emissions_of(compute: dict | None) -> Emissions | None:
    """
    The emissions of a run.

    Args:
        compute: contents of `compute.yaml`: `hours`, `hardware`, `training_type`, and `cores` and `memory_gb`, or
            `gpus` and `gpu`. `grams` and `source` are those of a tool that measured them, such as CodeCarbon. `place`
            and `grams_per_kwh` replace the world's mean, `watts` the sum of the processors'.

    Returns:
        `None` if there is no record, or it lacks what the estimate needs.

    Raises:
        InvalidInputError: a value is not a positive number.
    """
    if not compute or "hours" not in compute or "hardware" not in compute:
        return None
    numbers = ("hours", "cores", "memory_gb", "gpus", "grams", "watts", "grams_per_kwh")
    for name in (name for name in numbers if name in compute):
        if isinstance(compute[name], bool) or not isinstance(compute[name], Real) or not compute[name] > 0:
            raise InvalidInputError(f"compute.yaml: {name} must be a positive number, not {compute[name]!r}")
    common = {
        "hours": compute["hours"], "hardware": compute["hardware"], "place": compute.get("place", ""),
        "training_type": compute.get("training_type", "pre-training"),
    }  # fmt: skip
    if "grams" in compute:
        return Emissions(compute["grams"], compute.get("source", "measured"), kilowatt_hours=None, **common)
    watts = compute.get("watts") or _watts(compute)
    if watts is None:
        return None
    energy = compute["hours"] * (watts + WATTS_PER_GB * compute.get("memory_gb", 0)) * PUE / 1000
    intensity = compute.get("grams_per_kwh", GRAMS_PER_KWH)
    source = f"{METHOD}: {watts:g} W, {compute.get('memory_gb', 0):g} GB, PUE {PUE}, {intensity:g} g/kWh"
    is_mean = "grams_per_kwh" not in compute
    return Emissions(energy * intensity, source, kilowatt_hours=energy, is_world_mean=is_mean, **common)


def _has_words(name: str, card: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", card) is not None


def _watts(compute: dict) -> float | None:
    """Watts of the processors at full use. `None` if they are not known."""
    if compute.get("gpu"):
        each = next((watts for name, watts in GPU_WATTS.items() if _has_words(name, str(compute["gpu"]))), None)
        return each and each * compute.get("gpus", 1)
    return WATTS_PER_CORE * compute["cores"] if "cores" in compute else None
