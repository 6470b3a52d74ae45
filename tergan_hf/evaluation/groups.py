"""Who is in a set, and who is hardly in it: people counted and measured by group."""

import re

import numpy as np
from datasets import Dataset


# The VALID avatars are named for the ancestry and gender they were made to show: White_F_1, X_AIAN_M_2.
HEAD_NAME = re.compile(r"(?:X_)?(?P<ethnicity>[A-Za-z]+)_(?P<gender>[FM])_\d+")
GENDERS = {"F": "female", "M": "male"}
AGE_BANDS = ((0, 25, "under 25"), (25, 35, "25 to 34"), (35, 200, "35 and older"))


def people_groups(photos: Dataset) -> dict[str, dict[str, set[str]]]:
    """
    column → group → identities in it, for the columns `gender`, `ethnicity`, `age`, and for `heads` by the names of
    the heads a face is blended from (a blend is in several groups).
    """
    identities, found = photos["identity"], {}
    for column in ("gender", "ethnicity", "age", "heads"):
        if column not in photos.column_names:
            continue
        for identity, value in zip(identities, photos[column]):
            for kind, group in _groups(column, value):
                found.setdefault(kind, {}).setdefault(group, set()).add(identity)
    return found


def _groups(column: str, value) -> list[tuple[str, str]]:
    if value in (None, ""):
        return [(column, "not given")]
    if column == "heads":
        named = [HEAD_NAME.fullmatch(head) for head in str(value).split("+")]
        return [pair for match in named if match for pair in (
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
    """column → group → people in it, the largest first."""
    return {
        column: {group: len(people) for group, people in sorted(groups.items(), key=lambda item: -len(item[1]))}
        for column, groups in people_groups(photos).items()
    }


def accuracy_by_group(photos: Dataset, right: np.ndarray) -> dict[str, dict[str, dict[str, float]]]:
    """column → group → `people` and `accuracy`.

    Args:
        right: (N,) whether the expression of each photo was named.
    """
    identities = np.array(photos["identity"])
    return {
        column: {
            group: {"people": len(people), "accuracy": float(right[np.isin(identities, list(people))].mean())}
            for group, people in sorted(groups.items(), key=lambda item: -len(item[1]))
        }
        for column, groups in people_groups(photos).items()
    }


def means_by_group(photos: Dataset, of_person: dict[str, dict[str, float]]) -> dict[str, dict[str, dict[str, float]]]:
    """column → group → `people` and the mean of every number that was measured of each person."""
    means: dict = {}
    for column, groups in people_groups(photos).items():
        for group, people in sorted(groups.items(), key=lambda item: -len(item[1])):
            rows = [of_person[name] for name in sorted(people) if name in of_person]
            if rows:
                numbers = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
                means.setdefault(column, {})[group] = {"people": len(rows), **numbers}
    return means
