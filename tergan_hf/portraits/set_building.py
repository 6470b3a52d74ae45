"""Plan and render the rows of the set `portraits`."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from datasets import Array2D, Features, Image, List, Value

from ..data.building import BuildError, Plan, Shard, require_positive, require_seed
from ..data.dataset_card import SetDescription
from ..data.flow_maps import encode_fine_flow_map
from ..data.image_cells import image_cell
from ..data.seeds import name_seed
from ..expressions.blendshapes import BLENDSHAPES, COLUMN_ORDER, Expression, to_vector
from ..expressions.sampling import OTHER, expression_set
from .assets import PICTURES, PortraitAssets, donor_credit, fit_portrait, list_files, prepare_assets
from .people import PortraitPerson, description_of, find_people, named_people, require_distinct
from .portrait import Portrait
from .rendering import Rendering, Session
from .smile_prior import SMILE
from .view_sampling import draw_views


PEOPLE_PER_SHARD = 6
JPEG_QUALITY = 95
FLOW_MAP_REDUCTION = 2
FIRST_PHOTO_ID = 1_000_000  # expression_id of a photo that is not neutral, plus the person's number
FIRST_PARTIAL_ID = 2_000_000  # added to the expression_id if spectacles keep the brows still


@dataclass(frozen=True)
class PortraitSettings:
    """
    Settings of the set.

    Args:
        people: number of people of each source; None for all.
        sessions: number of sessions per person. The first has the view of the photo.
        expressions: number of expressions per session, in addition to the neutral face.
        expression_sets: number of different sets of expressions. Sessions with the same set give pairs of people with
            exactly the same expression.
        size: side of the pictures in pixels. margin: side / side of the aligned face.
        exclude: people to leave out, also of the smile statistics.
        validation: people of the split `validation`. The smile statistics leave them out.
        seed: seed of all random choices.
    """

    people: int | None = None
    sessions: int = 2
    expressions: int = 40
    expression_sets: int = 20
    size: int = 256
    margin: float = 1.4
    exclude: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self):
        require_positive(self, "people", "sessions", "expressions", "expression_sets")
        require_seed(self.seed)
        PICTURES.check(self.size, self.margin)


def plan_portraits(
    sources: list[Path], ict: Path, landmarker: Path, settings: PortraitSettings, description: SetDescription
) -> Plan:
    """
    Plan the set, and learn the smile prior from its people unless it is cached.

    Raises:
        BuildError: a source, the face model, the landmarker or an excluded person is missing.
    """
    found = {source: find_people(source) for source in sources}
    everybody = [one for people in found.values() for one in people]
    require_distinct(everybody)
    excluded = set(named_people(everybody, settings.exclude, "--exclude"))
    validation = set(named_people(everybody, settings.validation, "--validation"))
    teaching = [one for one in everybody if one not in excluded | validation]
    offered = ([one for one in people if one not in excluded] for people in found.values())
    rendered = [one for people in offered for one in people[: settings.people]]
    splits = {
        "train": [one for one in rendered if one not in validation],
        "validation": [one for one in rendered if one in validation],
    }
    if not splits["train"]:
        raise BuildError("--exclude and --validation leave nobody for the split train")
    assets = prepare_assets(teaching, ict, landmarker)
    rows = settings.sessions * (settings.expressions + 1) + 1
    number_of = {one: number for number, one in enumerate(rendered)}
    shards = [
        Shard(split, ([(number_of[one], one) for one in part], settings, assets), len(part) * rows)
        for split, people in splits.items()
        for part in (people[at : at + PEOPLE_PER_SHARD] for at in range(0, len(people), PEOPLE_PER_SHARD))
    ]
    written = {key: value for key, value in asdict(settings).items() if value is not None}
    description = description_of(everybody, description)
    attribution = f"{description.attribution}{donor_credit(assets)} {COLUMN_ORDER}"
    return Plan(
        description=replace(description, attribution=attribution),
        features=features(),
        shards=shards,
        make_rows=render_people,
        settings=written,
        source=list_files([*teaching, *splits["validation"]], ict, landmarker),
        expected=[one.file_name for one in rendered],
    )


def features() -> Features:
    """Columns of the set."""
    return Features({
        "image": Image(), "file_name": Value("string"), "identity": Value("string"), "session": Value("int32"),
        "expression_id": Value("int32"), "expression": Value("string"), "intensity": Value("float32"),
        "mixed_with": Value("string"), "blendshapes": List(Value("float32")), "flow": Image(), "uncovered": Image(),
        "landmarks": Array2D((5, 2), "float32"),
    })  # fmt: skip


def render_people(job: tuple[list[tuple[int, PortraitPerson]], PortraitSettings, PortraitAssets]) -> list[dict]:
    """Render all rows of some numbered people."""
    people, settings, assets = job
    cv2.setNumThreads(1)
    rows = []
    for number, person in people:
        rows += _render_person(number, person, settings, assets)
    return rows


def _render_person(
    number: int, person: PortraitPerson, settings: PortraitSettings, assets: PortraitAssets
) -> list[dict]:
    """The rows of a person. Empty without a face or without a plausible fit."""
    portrait = fit_portrait(person, assets, settings.size, settings.margin, settings.seed)
    if portrait is None:
        return []
    random = np.random.default_rng((settings.seed, 0, name_seed(settings.seed, person.identity)))
    rows = []

    def add(session: int, identifier: int, expression: Expression, vector: np.ndarray, rendering: Rendering):
        rows.append({
            "image": image_cell(rendering.image, "JPEG", quality=JPEG_QUALITY),
            "file_name": person.file_name, "identity": person.identity, "session": session,
            "expression_id": identifier, "expression": expression.label, "intensity": expression.intensity,
            "mixed_with": expression.mixed_with, "blendshapes": vector.tolist(),
            "flow": image_cell(_flow_map(rendering.flow), "PNG"),
            "uncovered": image_cell(rendering.uncovered.astype(np.uint8) * 255, "PNG"),
            "landmarks": rendering.landmarks.astype(np.float32),
        })  # fmt: skip

    if portrait.posed:
        own = _own_expression(portrait)
        add(0, FIRST_PHOTO_ID + number, own, to_vector(own), Session(portrait).photo())
    for number_of_session, view in enumerate(draw_views(random, settings.sessions)):
        session = Session(portrait, view)
        chosen = int(random.integers(settings.expression_sets))
        for identifier, expression in expression_set(settings.seed, chosen, settings.expressions):
            vector = to_vector(expression)
            possible = np.append(portrait.renderable(vector[: len(BLENDSHAPES)]), vector[len(BLENDSHAPES) :])
            if not np.array_equal(possible, vector):
                identifier, vector = identifier + FIRST_PARTIAL_ID, possible
            add(number_of_session, identifier, expression, vector, session.render(vector[: len(BLENDSHAPES)]))
    return rows


def _own_expression(portrait: Portrait) -> Expression:
    """The fitted expression of a photo that is not neutral."""
    own = portrait.fit.expression
    smile = float(own[SMILE].mean())
    weights = {name: float(weight) for name, weight in zip(BLENDSHAPES, own) if weight > 0.01}
    return Expression("happiness" if smile > 0.3 else OTHER, min(1.0, smile / 0.7), weights)


def _flow_map(flow: np.ndarray) -> np.ndarray:
    """Encode flow (size, size, 2) in pixels as (size / 2, size / 2, 4) uint8. Half the side costs 2 % of the accuracy
    and saves two thirds of the bytes."""
    side = len(flow) // FLOW_MAP_REDUCTION
    reduced = cv2.resize(flow, (side, side), interpolation=cv2.INTER_AREA)
    return encode_fine_flow_map(np.moveaxis(reduced, -1, 0) / len(flow))
