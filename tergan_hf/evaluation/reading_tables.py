"""Tables of votes and blendshapes, for the report and the model card."""

from ..model.blendshapes_tergan import GAZE_NAMES, SIDES
from .markdown import markdown_table
from .systems import FROM_PROBABILITIES, MEAN, MODEL


BLENDSHAPE_SYSTEMS = (MODEL, FROM_PROBABILITIES, MEAN)


def votes_table(measured: dict) -> str:
    """
    A table of one set's recognition against people's votes, and against the labels from before the votes.

    Args:
        measured: of the set, with `recognition`, `votes` and perhaps `original_labels`.
    """
    recognition, votes = measured["recognition"], measured["votes"]
    rows = [_summary_row("FER+, majority", recognition, recognition["photos"])]
    if clear := votes.get("clear"):
        rows.append(_summary_row("FER+, clear majority", clear, clear["photos"]))
    if original := measured.get("original_labels"):
        row = original["rows"]["f(e)"]
        photos = original.get("photos", recognition["photos"])  # older reports count all
        rows.append(_summary_row("FER2013's own labels, shallow classifier on f(e)", row, photos))
    labels = list(dict.fromkeys(label for row in rows for label in row["recall"]))
    lines = [
        [row["title"], str(row["photos"]), f"**{row['accuracy']:.1%}**", f"{row['balanced']:.1%}",
         *(f"{row['recall'][label]:.0%}" if label in row["recall"] else "—" for label in labels), row["error"]]
        for row in rows
    ]  # fmt: skip
    head = ["labels", "photos", "accuracy", "balanced accuracy", *labels, "calibration error"]
    return markdown_table(head, lines)


def votes_note(measured: dict) -> str:
    """Sentences with the baselines of `votes_table`."""
    votes, sentences = measured["votes"], ["A majority is clear if it has more than half of all votes."]
    sentences.append(f"The most frequent label has {measured['recognition']['majority']:.1%} of the majorities.")
    if "cross_entropy" in votes:
        sentences.append(
            f"Cross-entropy with the votes: **{votes['cross_entropy']:.3f}** nats. Always predicting the mean "
            f"distribution has {votes['constant']:.3f}; the least possible is the votes' own entropy, "
            f"{votes['entropy']:.3f}."
        )
    if original := measured.get("original_labels"):
        sentences.append(
            f"FER2013's own labels: the classifier is fitted on {original['fitted_on']} photos of the training split. "
            f"With grey pixels instead of f(e) it has {original['rows']['pixels']['accuracy']:.1%}; the model's own "
            f"classifier has {original['own_classifier']:.1%}, and the most frequent label {original['majority']:.1%}."
        )
    return " ".join(sentences)


def _summary_row(title: str, summary: dict, photos: int) -> dict:
    return {
        "title": title, "photos": photos, "accuracy": summary["accuracy"], "balanced": summary["balanced_accuracy"],
        "recall": summary["recall"], "error": f"{summary['calibration_error']:.3f}",
    }  # fmt: skip


def blendshape_table(found: dict) -> str:
    """
    A table of the blendshapes that move, one row per name. Left and right share a row.

    Args:
        found: as `compare_blendshapes` returns it.
    """
    systems = {name: found["systems"][name] for name in BLENDSHAPE_SYSTEMS}
    bases = list(dict.fromkeys(_base(name) for name in found["moving"]))
    lines = []
    for base in bases:
        names = [name for name in found["moving"] if _base(name) == base]
        unit = "°" if base in GAZE_NAMES else ""
        digits = 1 if unit else 2

        def cell(row, key, names=names, digits=2, unit=""):
            return " / ".join(f"{row['names'][name][key]:.{digits}f}{unit}" for name in names)

        lines.append([
            f"{base} (left / right)" if len(names) > 1 else names[0],
            " / ".join(f"{found['deviation'][name]:.{digits}f}{unit}" for name in names),
            cell(systems[MODEL], "r"), cell(systems[MODEL], "slope"),
            *(cell(systems[name], "error", digits=digits, unit=unit) for name in (MODEL, MEAN)),
            cell(systems[FROM_PROBABILITIES], "r"), cell(systems[FROM_PROBABILITIES], "slope"),
        ])  # fmt: skip
    if bases:
        means = [f"{systems[name][key]:.2f}" for name in (MODEL, FROM_PROBABILITIES) for key in ("r", "slope")]
        lines.append(["**mean**", "", f"**{means[0]}**", f"**{means[1]}**", "", "", *means[2:]])
    head = [
        "blendshape", "deviation", "r", "slope", "error", "error of the mean", "r from class probabilities",
        "slope from class probabilities",
    ]  # fmt: skip
    return markdown_table(head, lines)


BLENDSHAPE_NOTE = (
    "`deviation` is the standard deviation of the true value, `slope` that of the regression of the predicted on the "
    "true value (1 is perfect), `r` Pearson's, and `error` the mean absolute error, gaze in degrees. Only blendshapes "
    "that move in this set are listed. `error of the mean` is that of always predicting the mean, whose r is 0. "
    "The last two columns are a linear regression from the class probabilities, fitted on other people of this set: "
    "they show how much the label alone reveals."
)


def _base(name: str) -> str:
    """The name without its side."""
    for side in SIDES:
        name = name.removesuffix(side)
    return name
