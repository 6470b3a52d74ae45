"""FER+: ten people's votes on the expression in each photo of FER2013 (Barsoum et al. 2016)."""

from dataclasses import replace
from pathlib import Path

from datasets import List, Value

from ...model.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL
from ...model.errors_tergan import InvalidInputError
from ..building import BuildError
from ..dataset_card import SetDescription
from ..tables import read_csv
from .fer2013_source import SPLITS, FerPhoto


NO_FACE = "NF"
ANSWERS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", NO_FACE,
)  # fmt: skip
TREATMENT = (
    "The label is the answer with the most votes. A tie goes to the original label if it is among the first, and "
    "otherwise to one of the seven expressions.",
    "As in the code of FER+ (Barsoum et al. 2016), photos with unknown or no face as their majority are left out. "
    "Contempt is an eighth expression in FER+; it is not one of the seven, so its photos are left out too.",
    "`label_distribution` does not count votes for contempt, unknown and no face; `votes` has them all.",
)
CITATION = (
    "@inproceedings{barsoum2016training,\n"
    "  title = {Training deep networks for facial expression recognition with crowd-sourced label distribution},\n"
    "  author = {Barsoum, Emad and Zhang, Cha and Canton Ferrer, Cristian and Zhang, Zhengyou},\n"
    "  booktitle = {ACM International Conference on Multimodal Interaction},\n  pages = {279--283},\n"
    "  year = {2016}\n}"
)


COLUMNS = {
    "original_expression": Value("string"),
    "label_distribution": List(Value("float32"), length=len(EXPRESSIONS_WITH_NEUTRAL)),
    "votes": List(Value("int32"), length=len(ANSWERS)),
}
# Votes agree with 63 % of the original labels; votes of other photos would agree with less than a quarter.
LEAST_AGREEMENT, ENOUGH_PHOTOS = 0.4, 1000


def describe_votes(description: SetDescription) -> SetDescription:
    """Add the licence and citation of the votes to the description of FER2013."""
    return replace(
        description,
        licence=f"{description.licence} The votes are FER+ (Microsoft, MIT).",
        citation=f"{description.citation}\n{CITATION}",
    )


def read_votes(table: Path) -> list[tuple[str, tuple[int, ...]]]:
    """
    Read `fer2013new.csv`.

    Returns:
        usage and number of votes for each of `ANSWERS`, in the order of the rows of fer2013.csv. The image names are
        not read, because the number in a name is not that of the row.

    Raises:
        BuildError: the table is missing or is not that of FER+.
    """
    if not table.is_file():
        raise BuildError(f"there is no {table}: expected fer2013new.csv of github.com/microsoft/FERPlus")
    try:
        lines = list(read_csv(table, ("Usage", *ANSWERS)))
    except InvalidInputError as error:
        raise BuildError(f"{error}: expected fer2013new.csv of github.com/microsoft/FERPlus") from error
    rows = []
    for line, row in lines:
        cells = [row[name] for name in ANSWERS]
        if not all(cell.isdecimal() for cell in cells):
            raise BuildError(f"{table}, line {line}: votes must be whole numbers, not {','.join(cells)}")
        rows.append((row["Usage"], tuple(map(int, cells))))
    return rows


def label_photos(splits: dict[str, list[FerPhoto]], table: Path) -> dict[str, list[FerPhoto]]:
    """
    Label photos by their votes.

    Args:
        splits: split → photos of a table of FER2013.
        table: the table of the votes.

    Returns:
        the same photos with `COLUMNS`. `expression` is the answer with the most votes, one of `ANSWERS`.

    Raises:
        BuildError: the votes do not belong to these photos.
    """
    votes, total = read_votes(table), sum(map(len, splits.values()))
    advice = "--votes needs Kaggle's fer2013.csv with all rows in their order"
    if any(photo.row < 0 for photos in splits.values() for photo in photos):
        raise BuildError(f"the rows of {table.name} belong to those of a table, not to folders: {advice}")
    if len(votes) != total:
        raise BuildError(f"{table} has {len(votes)} rows and the table of pixels {total}: {advice}")
    labelled: dict[str, list[FerPhoto]] = {}
    agreeing = 0
    for split, photos in splits.items():
        for photo in photos:
            usage, counts = votes[photo.row]
            if SPLITS.get(usage) != split:
                raise BuildError(f"{table}, row {photo.row + 1}: usage '{usage}', not that of {split}: {advice}")
            answer = winner(counts, photo.expression)
            agreeing += answer == photo.expression
            extra = {
                "original_expression": photo.expression, "label_distribution": distribution(counts), "votes": counts,
            }  # fmt: skip
            labelled.setdefault(split, []).append(replace(photo, expression=answer, extra=extra))
    if total >= ENOUGH_PHOTOS and agreeing < LEAST_AGREEMENT * total:
        raise BuildError(
            f"{table}: the votes agree with only {agreeing / total:.0%} of the labels, so the order of their rows is "
            f"another one: {advice}"
        )
    return labelled


def winner(votes: tuple[int, ...], original: str) -> str:
    """
    The answer with the most votes, one of `ANSWERS`.

    A tie goes to the original label if it is among the first, and otherwise to the earlier one in `ANSWERS`, so that
    the seven expressions go before contempt, unknown and no face.
    """
    first = [answer for answer, count in zip(ANSWERS, votes) if count == max(votes) > 0] or ["unknown"]
    return original if original in first else first[0]


def distribution(votes: tuple[int, ...]) -> list[float]:
    """The share of each of `EXPRESSIONS_WITH_NEUTRAL` in the votes for one of them. All 0 without such votes."""
    counts = [votes[ANSWERS.index(label)] for label in EXPRESSIONS_WITH_NEUTRAL]
    return [count / max(sum(counts), 1) for count in counts]
