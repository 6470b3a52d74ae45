"""Expressions that are asked for by name: labels, blendshapes and gaze, each with a value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch

from .blendshapes_tergan import (
    ARKIT_BLENDSHAPES,
    EYE_LOOK_NAMES,
    GAZE_LIMIT,
    GAZE_NAMES,
    MAX_WEIGHT,
    SIDES,
    mirror_blendshapes,
)
from .configuration_checks_tergan import is_finite_number
from .errors_tergan import InvalidInputError, MissingFileError, shown_name


# Name → axis and sign. Left and right are the subject's own, as in ARKit's names: its left is the viewer's right.
GAZE_DIRECTIONS = {
    "gazeLeft": ("gazeX", 1.0), "gazeRight": ("gazeX", -1.0), "gazeUp": ("gazeY", 1.0), "gazeDown": ("gazeY", -1.0),
}  # fmt: skip
LARGEST_PRESET = 100_000  # bytes
_OPPOSITES = ("jaw", "mouth")  # jawLeft and jawRight are two motions of one jaw, not its two sides


@dataclass(frozen=True)
class ExpressionRequest:
    """
    A checked request.

    Args:
        labels: share of the way to the prototype of each label; their sum is at most 1.
        blendshapes: the value of each blendshape of the model that is set after that: weights, and gaze in degrees.
    """

    labels: dict[str, float]
    blendshapes: dict[str, float]

    def values(self, blendshape_names: Sequence[str]) -> torch.Tensor:
        """(K,) the values in the order of the model's blendshapes, NaN for those that stay as they are."""
        return torch.tensor([self.blendshapes.get(name, float("nan")) for name in blendshape_names])


def editable_ranges(labels: Sequence[str], blendshape_names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """
    The names that a request may have, with the lowest and highest value of each.

    They are the labels (0 to 1), ARKit's blendshapes but eyeLook (0 to `MAX_WEIGHT`), those with two sides also
    without `Left` or `Right`, `gazeX` and `gazeY` (±`GAZE_LIMIT` degrees), and `GAZE_DIRECTIONS` (0 to `GAZE_LIMIT`).

    Args:
        labels, blendshape_names: of the model.
    """
    sided = [name for name in blendshape_names if name not in (*EYE_LOOK_NAMES, *GAZE_NAMES)]
    both = [name.removesuffix(SIDES[0]) for name in sided if name.endswith(SIDES[0])]
    weights = sorted({*sided, *both} - set(_OPPOSITES))
    axes = [axis for axis in GAZE_NAMES if axis in blendshape_names]
    ways = [name for name, (axis, _) in GAZE_DIRECTIONS.items() if axis in axes]
    return (
        dict.fromkeys(labels, (0.0, 1.0))
        | dict.fromkeys(weights, (0.0, MAX_WEIGHT))
        | dict.fromkeys(axes, (-GAZE_LIMIT, GAZE_LIMIT))
        | dict.fromkeys(ways, (0.0, GAZE_LIMIT))
    )


def parse_request(
    values: Mapping[str, float], labels: Sequence[str], blendshape_names: Sequence[str], name: str = "expression"
) -> ExpressionRequest:
    """
    Check a request, and spell it out in the names of the model. Upper and lower case do not matter.

    Blendshapes that were read from a photo are a request, too: beside the gaze along both axes, the eyeLook
    blendshapes say nothing new and are passed over.

    Args:
        values: name → value, for example `{"neutral": 1, "jawOpen": 0.4, "gazeLeft": 20}`; see `editable_ranges`.
        labels, blendshape_names: of the model.
        name: of the request in messages.

    Raises:
        InvalidInputError: the request is empty; a name is unknown, or cannot be set; a value is no number in its
            range; two names set the same blendshape; or the shares of the labels exceed 1.
    """
    if not isinstance(values, Mapping) or not values:
        raise InvalidInputError(f'{name}: name at least one blendshape or label with a value, like {{"jawOpen": 0.4}}')
    ranges = editable_ranges(labels, blendshape_names)
    spelling = {known.lower(): known for known in reversed(ranges)}
    request = ExpressionRequest({}, {})
    set_by: dict[str, str] = {}
    axes = {GAZE_DIRECTIONS.get(key, (key,))[0] for key in values}
    passed_over = EYE_LOOK_NAMES if axes >= {*GAZE_NAMES} else ()
    for key, value in values.items():
        if key in passed_over:
            continue
        known = spelling.get(key.strip().lower()) if isinstance(key, str) else None
        if known is None:
            raise InvalidInputError(f"{name}: {_unknown(key, ranges, blendshape_names)}")
        lowest, highest = ranges[known]
        if not is_finite_number(value) or not lowest <= value <= highest:
            unit = " degrees" if known in (*GAZE_NAMES, *GAZE_DIRECTIONS) else ""
            raise InvalidInputError(
                f"{name}: {known} must be a number from {lowest:g} to {highest:g}{unit}, got {str(value)[:40]}"
            )
        places, found = (request.labels, {known: value}) if known in labels else (
            request.blendshapes, blendshapes_set_by(known, value, blendshape_names)
        )  # fmt: skip
        for own, amount in found.items():
            if own in set_by:
                raise InvalidInputError(f"{name}: {set_by[own]} and {known} both set {own}: give one of them")
            set_by[own], places[own] = known, float(amount)
    if sum(request.labels.values()) > 1 + 1e-6:
        raise InvalidInputError(f"{name}: the shares of {', '.join(request.labels)} must not exceed 1 together")
    return request


def blendshapes_set_by(known: str, value: float, blendshape_names: Sequence[str]) -> dict[str, float]:
    """The value of each blendshape of the model that a name of `editable_ranges`, other than a label, sets."""
    if known in GAZE_DIRECTIONS:
        axis, sign = GAZE_DIRECTIONS[known]
        return {axis: sign * value}
    return dict.fromkeys([known] if known in blendshape_names else [known + side for side in SIDES], value)


def _unknown(key, ranges: Mapping[str, tuple[float, float]], blendshape_names: Sequence[str]) -> str:
    """What is wrong with a name, as a sentence."""
    text = str(key).strip()
    if text.lower().startswith("eyelook"):
        return (
            f"{text[:40]} cannot be set, because both eyes move together. Use gazeX and gazeY, or gazeLeft, "
            "gazeRight, gazeUp and gazeDown, in degrees"
        )
    everywhere = editable_ranges((), (*ARKIT_BLENDSHAPES, *GAZE_NAMES))
    if not blendshape_names and text.lower() in map(str.lower, everywhere):
        return (
            f"{text} needs weights that read blendshapes, and these read none (config.json has no blendshape_names). "
            f"They know the labels {', '.join(ranges)}"
        )
    close = get_close_matches(text.lower(), [name.lower() for name in ranges], 3, 0.6)
    names = [name for name in ranges if name.lower() in close]
    meant = f" Did you mean {' or '.join(names)}?" if names else ""
    return (
        f"{text[:40]!r} is no known name.{meant} `tergan names` and `pipe.editable_names` list all with their ranges"
    )


def read_preset(path: str | Path, name: str | None = None) -> dict[str, float]:
    """
    Read a preset: a JSON object with values by name. `parse_request` checks names and values.

    Args:
        name: of the file in messages; default: its path.

    Raises:
        MissingFileError: there is no such file.
        InvalidInputError: it is no JSON object, or too large.
    """
    name = name or f"the preset {shown_name(path)}"
    if not Path(path).is_file():
        raise MissingFileError(f"{name} does not exist")
    try:
        content = json.loads(Path(path).read_bytes()[: LARGEST_PRESET + 1])
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not content:
        raise InvalidInputError(f"{name} must be a JSON object with values by name")
    return content


@dataclass
class WantedExpressions:
    """
    The expressions that a batch of targets takes on, each for the target and for its mirror image.

    Args:
        embeddings: (B, 2, D) f(e) to go to.
        shares: (B,) share of the way from the target's own f(e) to it.
        blendshapes: (B, 2, K) blendshapes to set after that, NaN for those that stay. `None` sets none.
    """

    embeddings: torch.Tensor
    shares: torch.Tensor
    blendshapes: torch.Tensor | None = None

    @classmethod
    def of_embeddings(cls, embeddings: torch.Tensor) -> "WantedExpressions":
        """Expressions (B, 2, D) that do not depend on the target's own."""
        return cls(embeddings, embeddings.new_ones(len(embeddings)))

    @classmethod
    def of_request(
        cls,
        request: ExpressionRequest,
        prototypes: torch.Tensor,
        labels: Sequence[str],
        blendshape_names: Sequence[str],
    ) -> "WantedExpressions":
        """
        The expression that a request asks for, a batch of one.

        Args:
            prototypes: (num_labels, D) of the model. labels, blendshape_names: of the model.
        """
        shares = prototypes.new_tensor([request.labels.get(label, 0.0) for label in labels])
        total = shares.sum().clamp(max=1)
        embedding = shares @ prototypes / total.clamp(min=1e-6)
        blendshapes = None
        if request.blendshapes:
            values = request.values(blendshape_names)[None]
            blendshapes = torch.stack([values, mirror_blendshapes(values, blendshape_names)], dim=1).to(prototypes)
        return cls(embedding.expand(1, 2, -1), total[None], blendshapes)

    @classmethod
    def concatenate(cls, parts: Sequence["WantedExpressions"]) -> "WantedExpressions":
        """One batch of several."""
        embeddings, shares = torch.cat([part.embeddings for part in parts]), torch.cat([part.shares for part in parts])
        known = [part.blendshapes for part in parts if part.blendshapes is not None]
        if not known:
            return cls(embeddings, shares)
        kept = torch.full_like(known[0][:1], float("nan"))
        blendshapes = [
            kept.expand(len(part.shares), -1, -1) if part.blendshapes is None else part.blendshapes for part in parts
        ]
        return cls(embeddings, shares, torch.cat(blendshapes))

    @property
    def need_own(self) -> bool:
        """Whether they depend on the target's own f(e)."""
        return self.blendshapes is not None or bool((self.shares < 1).any())

    def __getitem__(self, rows: slice) -> "WantedExpressions":
        return WantedExpressions(
            self.embeddings[rows], self.shares[rows], None if self.blendshapes is None else self.blendshapes[rows]
        )

    def resolve(self, model, own: torch.Tensor) -> torch.Tensor:
        """
        The f(e) to show.

        Args:
            model: a `TerGanModel`.
            own: (B, V, D) f(e) of the targets and, if V is 2, of their mirror images.

        Returns:
            (B, V, D).
        """
        views = own.shape[1]
        own = own.to(self.embeddings.dtype)  # under autocast G_es gives halves
        moved = torch.lerp(own, self.embeddings[:, :views], self.shares[:, None, None].to(own.dtype))
        if self.blendshapes is None:
            return moved
        values = self.blendshapes[:, :views].flatten(0, 1)
        return model.set_blendshapes(moved.flatten(0, 1), values).unflatten(0, own.shape[:2])


__all__ = [
    "GAZE_DIRECTIONS",
    "ExpressionRequest",
    "WantedExpressions",
    "blendshapes_set_by",
    "editable_ranges",
    "parse_request",
    "read_preset",
]
