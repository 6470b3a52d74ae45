"""People of a set by group: how many there are, and how well the model does on each group."""

import re
from itertools import chain

import numpy as np
from datasets import Dataset


# The names of the VALID avatars say which ancestry and gender they show: White_F_1, X_AIAN_M_2.
HEAD_NAME = re.compile(r"(?:X_)?(?P<ethnicity>[A-Za-z]+)_(?P<gender>[FM])_\d+")
GENDERS = {"F": "female", "M": "male"}
LOWEST = "lowest"  # the number of a person that is a minimum, not a mean
AGE_BANDS = ((0, 25, "under 25"), (25, 35, "25 to 34"), (35, 200, "35 and older"))


def people_groups(photos: Dataset) -> dict[str, dict[str, set[str]]]:
    """
    Identities by column and group.

    The columns are `gender`, `ethnicity` and `age`. The column `heads` names the heads that a rendered face is blended
    from, and so its ethnicities and genders: such a face may be in several groups.
    """
    identities = photos["identity"]
    groups: dict[str, dict[str, set[str]]] = {}
    for column in ("gender", "ethnicity", "age", "heads"):
        if column not in photos.column_names:
            continue
        for identity, value in zip(identities, photos[column]):
            for kind, group in _groups(column, value):
                groups.setdefault(kind, {}).setdefault(group, set()).add(identity)
    return groups


def _groups(column: str, value) -> list[tuple[str, str]]:
    if value in (None, ""):
        return [(column, "not given")]
    if column == "heads":
        names = [HEAD_NAME.fullmatch(head) for head in str(value).split("+")]
        return [pair for match in names if match for pair in (
            ("ethnicity", match["ethnicity"]), ("gender", GENDERS[match["gender"]])
        )]  # fmt: skip
    if column == "age":
        try:
            years = float(value)
        except ValueError:
            return [(column, "not given")]
        return [(column, name) for low, high, name in AGE_BANDS if low <= years < high]
    return [(column, str(value).strip().lower())]


def count_groups(photos: Dataset) -> dict[str, dict[str, int]]:
    """column → group → number of people, the largest group first."""
    return {
        column: {group: len(people) for group, people in sorted(groups.items(), key=lambda item: -len(item[1]))}
        for column, groups in people_groups(photos).items()
    }


def accuracy_by_group(photos: Dataset, correct: np.ndarray) -> dict[str, dict[str, dict[str, float]]]:
    """
    column → group → `people` and `accuracy`.

    Args:
        correct: (N,) bool, whether the expression of each photo was recognised.
    """
    identities = np.array(photos["identity"])
    return {
        column: {
            group: {"people": len(people), "accuracy": float(correct[np.isin(identities, list(people))].mean())}
            for group, people in sorted(groups.items(), key=lambda item: -len(item[1]))
        }
        for column, groups in people_groups(photos).items()
    }


def means_by_group(photos: Dataset, by_person: dict[str, dict[str, float]]) -> dict[str, dict[str, dict[str, float]]]:
    """
    column → group → `people` with numbers, and the mean of every measured number; of `lowest` the minimum.

    Args:
        by_person: identity → numbers. Some or all may be missing, if no face was found.
    """
    means: dict = {}
    for column, groups in people_groups(photos).items():
        for group, people in sorted(groups.items(), key=lambda item: -len(item[1])):
            rows = [by_person[name] for name in sorted(people) if by_person.get(name)]
            values = {key: [row[key] for row in rows if key in row] for key in dict.fromkeys(chain(*rows))}
            if values:
                numbers = {key: float(np.min(own) if key == LOWEST else np.mean(own)) for key, own in values.items()}
                means.setdefault(column, {})[group] = {"people": len(rows), **numbers}
    return means
