"""Random expressions for every renderer."""

import numpy as np

from ..model.blendshapes_tergan import MAX_WEIGHT
from .blendshapes import BLENDSHAPES, NEUTRAL, Expression, expand_sides
from .facs_combinations import ACTIONS, ANTAGONISTS, BASIC_EXPRESSIONS, CONFUSABLE, EMFACS_VARIANTS
from .visemes import VISEMES


KINDS = {"basic": 0.45, "blendshapes": 0.25, "mixture": 0.15, "speech": 0.15}  # probabilities
OTHER = "other"  # label of an expression that is not basic
MIN_INTENSITY, MAX_INTENSITY = 0.2, 1.1
GAZE_LIMITS = (30.0, 20.0)  # degrees, horizontal and vertical


def draw_expression(random: np.random.Generator, kind: str | None = None) -> Expression:
    """Draw an expression of a kind in `KINDS`. The default draws the kind too."""
    kind = kind or str(random.choice(list(KINDS), p=list(KINDS.values())))
    return {
        "basic": draw_basic, "blendshapes": draw_blendshapes, "mixture": draw_mixture, "speech": draw_viseme,
    }[kind](random)  # fmt: skip


def draw_expressions(random: np.random.Generator, count: int) -> list[Expression]:
    """Draw `count` expressions. Kinds follow `KINDS`, and the basic expressions take turns."""
    order = list(random.permutation(len(BASIC_EXPRESSIONS)))
    drawn, turn = [], 0
    for kind in random.choice(list(KINDS), count, p=list(KINDS.values())):
        if kind == "basic":
            drawn.append(draw_basic(random, BASIC_EXPRESSIONS[order[turn % len(order)]]))
            turn += 1
        else:
            drawn.append(draw_expression(random, str(kind)))
    return drawn


def expression_set(seed: int, number: int, count: int) -> list[tuple[int, Expression]]:
    """The neutral face and the `count` expressions of one set by its number, each with its expression_id."""
    drawn = draw_expressions(np.random.default_rng((seed, 1, number)), count)
    return [(0, NEUTRAL), *enumerate(drawn, 1 + number * count)]


def draw_basic(random: np.random.Generator, label: str | None = None, weakest: float = MIN_INTENSITY) -> Expression:
    """Draw a basic expression at an intensity of `weakest` to 1.1. The variant, the strength of each blendshape, the
    asymmetry of the sides and the gaze are random."""
    label = label or str(random.choice(BASIC_EXPRESSIONS))
    intensity = random.uniform(weakest, MAX_INTENSITY)
    weights = _draw_variant(random, label)
    weights = _vary(random, weights)
    return Expression(label, float(intensity), _limit(weights, intensity), _draw_gaze(random))


def draw_mixture(random: np.random.Generator) -> Expression:
    """Draw a mixture of two basic expressions. The stronger one gives the label."""
    label = str(random.choice(BASIC_EXPRESSIONS))
    other = str(random.choice([name for name in BASIC_EXPRESSIONS if name not in (label, CONFUSABLE.get(label))]))
    share, intensity = random.uniform(0.15, 0.45), random.uniform(0.4, MAX_INTENSITY)
    first, second = _draw_variant(random, label), _draw_variant(random, other)
    weights = {
        name: (1 - share) * first.get(name, 0.0) + share * second.get(name, 0.0) for name in sorted({*first, *second})
    }
    return Expression(label, float(intensity), _limit(_vary(random, weights), intensity), _draw_gaze(random), other)


def draw_blendshapes(random: np.random.Generator) -> Expression:
    """Draw one to four blendshapes on one or both sides, a single action such as a blink, or a gaze of up to 30°."""
    intensity = random.uniform(MIN_INTENSITY, MAX_INTENSITY)
    gaze = _draw_gaze(random)
    choice = random.random()
    if choice < 0.25:
        x, y = (float(random.uniform(-limit, limit)) for limit in GAZE_LIMITS)
        gaze = (x, y)
        weights = {}
    elif choice < 0.6:
        weights = expand_sides(ACTIONS[str(random.choice(list(ACTIONS)))])
        if "eyeBlinkLeft" in weights or "eyeBlinkRight" in weights:
            intensity = max(intensity, random.uniform(0.5, 1.0))
    else:
        weights = _draw_single_blendshapes(random, int(random.integers(1, 5)))
    return Expression(OTHER, float(intensity), _limit(weights, intensity), gaze)


def draw_viseme(random: np.random.Generator) -> Expression:
    """Draw a viseme or an interpolation between two."""
    first, second = (VISEMES[str(name)] for name in random.choice(list(VISEMES)[1:], 2))
    share, intensity = random.uniform(0, 0.5), random.uniform(0.5, 1.1)
    weights = expand_sides({
        name: (1 - share) * first.get(name, 0.0) + share * second.get(name, 0.0) for name in sorted({*first, *second})
    })  # fmt: skip
    if random.random() < 0.2:
        weights |= expand_sides({"eyeBlink": random.uniform(0.2, 1.0)})
    return Expression(OTHER, float(intensity), _limit(weights, intensity), _draw_gaze(random))


def _draw_variant(random: np.random.Generator, label: str) -> dict[str, float]:
    variants = list(EMFACS_VARIANTS[label].values())
    return expand_sides(variants[random.integers(len(variants))])


def _draw_single_blendshapes(random: np.random.Generator, count: int) -> dict[str, float]:
    sideways = {"jawLeft", "jawRight", "mouthLeft", "mouthRight"}
    sided = {_stem(name) for name in BLENDSHAPES if name not in sideways and not name.startswith("eyeLook")}
    stems = sorted(sided | sideways)
    weights: dict[str, float] = {}
    barred: set[str] = set()
    for stem in random.permutation(stems):
        if stem in barred:
            continue
        names = [f"{stem}Left", f"{stem}Right"] if f"{stem}Left" in BLENDSHAPES else [str(stem)]
        if len(names) == 2 and random.random() < 0.4:
            names = [names[random.integers(2)]]
        for name in names:
            weights[name] = float(random.uniform(0.6, 1.0))
        for group in ANTAGONISTS:
            if stem in group:
                barred |= group
        if stem == "mouthClose":  # mouthClose seals the lips of an open jaw; alone it makes them intersect
            weights["jawOpen"] = weights["mouthClose"]
            barred.add("jawOpen")
        count -= 1
        if count == 0:
            break
    return weights


def _vary(random: np.random.Generator, weights: dict[str, float]) -> dict[str, float]:
    """Scale each blendshape at random and make the sides asymmetric: a common skew plus noise for each blendshape."""
    skew = random.normal(0, 0.12) if random.random() < 0.85 else random.uniform(-0.6, 0.6)
    stems: dict[str, float] = {}
    varied = {}
    for name, weight in weights.items():
        stem = _stem(name)
        amount = stems.setdefault(stem, random.uniform(0.7, 1.25))
        side = 1 if name.endswith("Left") else -1 if name.endswith("Right") else 0
        varied[name] = weight * amount * (1 + side * skew + (random.normal(0, 0.04) if side else 0))
    return varied


def _stem(name: str) -> str:
    return name.removesuffix("Left").removesuffix("Right")


def _draw_gaze(random: np.random.Generator) -> tuple[float, float]:
    if random.random() < 0.5:
        return (0.0, 0.0)
    return (
        float(np.clip(random.normal(0, 8), -GAZE_LIMITS[0], GAZE_LIMITS[0])),
        float(np.clip(random.normal(0, 4), -GAZE_LIMITS[1], GAZE_LIMITS[1])),
    )


def _limit(weights: dict[str, float], intensity: float) -> dict[str, float]:
    return {name: float(np.clip(weight * intensity, 0, MAX_WEIGHT)) for name, weight in weights.items() if weight > 0}
