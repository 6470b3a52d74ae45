"""Dataset cards: the `README.md` that the Hub and `datasets` read."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from datasets import Features
from huggingface_hub import DatasetCardData
from pyarrow import parquet

from ..model.atomic_file_tergan import write_whole
from .parquet_files import open_parquet


CARD = "README.md"
EVAL = "eval.yaml"  # makes a data set a benchmark
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
NO_LABEL = "(no label)"
UNKNOWN_LICENCE = "unknown"  # as the Hub writes it
COLUMNS = {
    "image": "the photo",
    "file_name": "path of the photo in the source",
    "identity": "the person",
    "session": "number of the person's session; within a session only the expression changes",
    "expression_id": "photos with the same number show exactly the same expression",
    "expression": "the label",
    "original_expression": "the label of the source, before the votes",
    "label_distribution": (
        "share of each expression in the votes for one of the seven, in the order anger, disgust, fear, happiness, "
        "neutral, sadness, surprise"
    ),
    "votes": (
        "numbers of votes for neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, no face"
    ),
    "intensity": "intensity of the expression; 0 is neutral",
    "mixed_with": "the weaker expression of a mixture, or empty",
    "heads": "the heads that the face is blended from, joined by `+`",
    "head_group": "the group of heads that the person is made from; groups share no head",
    "landmarks": "(5, 2) pixels: the left and right eye as the viewer sees them, nose tip, mouth corners",
    "flow": (
        "position of each visible point in the neutral photo of the session, relative to its position here: red is x, "
        "green is y, 128 is no movement and one level is 1/640 of the photo's side. Blue and alpha, if there are any, "
        "add 1/256 of a level each; 128 adds nothing"
    ),
    "uncovered": "255 where the neutral photo does not show what is seen, for example teeth behind closed lips",
    "blendshapes": (
        "weight of each of ARKit's 51 blendshapes, in alphabetical order, and then the gaze to the viewer's right and "
        "up in units of 30°"
    ),
    "sequence": "the recorded sequence",
    "clip": "path of the clip in this folder",
    "frame": "number of the frame in the sequence or clip",
    "seconds": "time of the frame from the start of the clip",
    "performance": "acting (speech, blinks, glances and a basic expression) or range of motion",
    "yaw": "turn of the head to the viewer's right, in degrees, relative to the photo",
    "pitch": "turn of the head upwards, in degrees, relative to the photo",
}


@dataclass(frozen=True)
class SetDescription:
    """
    Description of a public data set.

    Args:
        name: name on the command line.
        title: name for readers.
        home: address of its page.
        licence: the licence in words.
        licence_id: the licence as the Hub writes it.
        attribution: a sentence about its makers.
        citation: BibTeX, or "" without a publication.
        layout: the expected layout of the source folder.
        unit: what a row is.
        task_categories: the Hub's names of tasks that the set serves.
    """

    name: str
    title: str
    home: str
    licence: str
    licence_id: str
    attribution: str
    citation: str
    layout: str
    unit: str = "photo"
    task_categories: tuple[str, ...] = ("image-classification", "image-to-image")


def of_another_source(description: SetDescription, what: str) -> SetDescription:
    """
    The description of a set that is made from other photos or heads than the described ones.

    Args:
        what: they are, in the plural.
    """
    licence = (
        f"Not recorded: not all {what} are of the sources that the command is made for. Write the licence that you "
        "give the set into the header of this card."
    )
    return replace(description, licence=licence, licence_id=UNKNOWN_LICENCE)


@dataclass(frozen=True)
class Counts:
    """Counts of one split: rows, rows per expression and per identity, and the file names."""

    rows: int
    expressions: Counter
    identities: Counter
    file_names: list[str]


def count_rows(folder: Path, splits: list[str]) -> dict[str, Counts]:
    """Count the rows and labels of the shards in a folder. Returns split → counts."""
    counts = {}
    for split in splits:
        expressions: Counter[str] = Counter()
        identities: Counter[str] = Counter()
        names, rows = [], 0
        for path in sorted(folder.glob(f"{split}-*.parquet")):
            with open_parquet(path) as file:
                shard = parquet.ParquetFile(file)
                columns = [c for c in ("expression", "identity", "file_name") if c in shard.schema_arrow.names]
                table = shard.read(columns=columns).to_pydict()
            rows += len(table["expression"])
            expressions.update(table["expression"])
            identities.update(name for name in table.get("identity", []) if name)
            names += table.get("file_name", [])
        counts[split] = Counts(rows, expressions, identities, names)
    return counts


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows."""
    return next((name for limit, name in SIZES if rows < limit), "n>1M")


def write_card(
    folder: Path,
    description: SetDescription,
    features: Features,
    settings: dict,
    counts: dict[str, Counts],
    missing: list[str],
    without_face: list[str],
    notes: list[str],
):
    """
    Write `README.md`. It does not depend on the time or the place of writing.

    Args:
        folder: the folder of the set.
        description: of the set.
        features: the columns.
        settings: the options on the command line.
        counts: split → counts.
        missing: one sentence for each part that the source lacks.
        without_face: names of the photos in which no face was found.
        notes: sentences about what was left out on purpose and about the source.
    """
    total = sum(count.rows for count in counts.values())
    data = DatasetCardData(
        pretty_name=f"{description.title}, prepared for TER-GAN",
        license=description.licence_id,
        task_categories=list(description.task_categories),
        tags=["facial-expression", "faces"],
        size_categories=[size_category(total)],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}-*.parquet"} for split in counts],
            }
        ],
    )
    parts = [
        f"---\n{data.to_yaml()}\n---\n",
        f"# {description.title}, prepared for TER-GAN\n",
        f"{total} {description.unit}s from [{description.title}]({description.home}), made by\n\n```bash\n"
        f"{_command(description.name, settings)}\n```\n\n"
        f'and read by `datasets.load_dataset("FOLDER")`. The same source and options give the same bytes.\n',
        _columns(features),
        expression_section(counts, description.unit),
        identity_section(counts, description.unit),
        _notes(notes),
        _missing(missing, without_face),
        f"## Licence\n\n{description.licence}\n\n{description.attribution}\n",
    ]
    if description.citation:
        parts.append(f"```bibtex\n{description.citation}\n```\n")
    write_whole(folder / CARD, "\n".join(part for part in parts if part).encode())


def _command(name: str, settings: dict) -> str:
    words = [f"python -m tergan_hf.data {name} --source SOURCE --output FOLDER"]
    for key, value in settings.items():
        option = f"--{key.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif isinstance(value, (list, tuple)):
            words += [f"{option} {' '.join(map(str, value))}"] if value else []
        elif value is not None and value is not False:
            words.append(f"{option} {value}")
    return " ".join(words)


def _columns(features: Features) -> str:
    rows = [f"| `{name}` | {COLUMNS.get(name, 'as in the source')} |" for name in features]
    return "\n".join(["## Columns\n", "| column | meaning |", "|---|---|", *rows, ""])


def expression_section(counts: dict[str, Counts], unit: str) -> str:
    """The section with the number of rows of each expression and split."""
    labels = sorted(set().union(*(count.expressions for count in counts.values())))
    lines = [
        f"## {unit.capitalize()}s per expression\n",
        f"| expression | {' | '.join(counts)} |",
        "|---|" + "---|" * len(counts),
    ]
    for label in labels:
        lines.append(
            f"| {label or NO_LABEL} | {' | '.join(str(count.expressions[label]) for count in counts.values())} |"
        )
    lines.append(f"| all | {' | '.join(str(count.rows) for count in counts.values())} |")
    return "\n".join([*lines, ""])


def identity_section(counts: dict[str, Counts], unit: str) -> str:
    """The section with the number of rows of each person."""
    everybody = sum((count.identities for count in counts.values()), Counter())
    if not everybody:
        return "## Identities\n\nThe source does not say who is in the photos.\n"
    names = ", ".join(f"{name}: {everybody[name]}" for name in sorted(everybody))
    return (
        f"## Identities\n\n{len(everybody)} people.\n\n<details><summary>{unit.capitalize()}s of each</summary>\n\n"
        f"{names}\n\n</details>\n"
    )


def _notes(notes: list[str]) -> str:
    return "\n".join(["## Notes\n", *(f"- {sentence}" for sentence in notes), ""]) if notes else ""


def _missing(missing: list[str], without_face: list[str]) -> str:
    lines = [f"- {sentence}" for sentence in missing]
    if without_face:
        lines.append(f"- no face was found in {len(without_face)} photos: {', '.join(without_face)}")
    return "\n".join(["## What is missing\n", *lines, ""]) if lines else ""
