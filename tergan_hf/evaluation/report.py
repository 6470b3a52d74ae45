"""Write the report: `report.json`, and `report.md` with its words and tables."""

import json
from pathlib import Path

from ..model.atomic_file_tergan import write_whole
from .markdown import markdown_table
from .metrics import INTENSITIES
from .reading_tables import BLENDSHAPE_NOTE, blendshape_table, votes_note, votes_table
from .systems import BASELINE, COPY_TARGET, MODEL, RANDOM


SYSTEM_COLUMNS = {
    "gain": ("expression gain", "{:.3f}"),
    "psnr": ("PSNR, dB", "{:.1f}"),
    "lpips": ("LPIPS", "{:.3f}"),
    "kid": ("KID", "{:.4f}"),
    "judged": ("recognised as the expression", "{:.1%}"),
    "to_target": ("SFace to target", "{:.3f}"),
    "to_source": ("SFace to source", "{:.3f}"),
}
EDIT_COLUMNS = {
    "cosine": ("SFace to the photo", "{:.3f}"),
    "lowest": ("lowest", "{:.3f}"),
    "judged": ("recognised as the label", "{:.0%}"),
}
FIGURE_TITLES = {
    "recognition": "confusion and calibration",
    "misses": "photos whose expression was not recognised",
    "tsne": "t-SNE of f(e) and f(i)",
    "transfer": "transfer, like the paper's figure 3",
    "editing": "editing, like the paper's figure 4",
    "intensity": "intensity",
}


def write_report(report: dict, folder: str | Path) -> str:
    """Write `report.json` and `report.md` to a folder. Returns the text of `report.md`."""
    text = to_markdown(report)
    whole = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    for name, content in (("report.json", whole), ("report.md", text)):
        write_whole(Path(folder) / name, content.encode("utf-8", "backslashreplace"))
    return text


def to_markdown(report: dict) -> str:
    """The text of `report.md`."""
    model, cost = report["model"], report["cost"]
    parts = [
        f"# Evaluation of {model['name']}",
        f"{model['parameters'] / 1e6:.1f} M parameters, {model['image_size']} px, weights SHA-256 "
        f"`{model['sha256'][:16]}…`. Made by `{report['command']}` in {cost['minutes']:.1f} minutes "
        f"({cost['processor_minutes']:.1f} of processor time) with at most "
        f"{cost['peak_memory_gib']:.1f} GiB on {cost['device']}.",
        "Every number is measured on photos that the model was not trained on. Rows of untrained or copying systems "
        "show what a number is worth.",
    ]
    if report["unavailable"]:
        parts.append("Not measured:\n\n" + "\n".join(f"- {n}: {why}" for n, why in report["unavailable"].items()))
    for name, measured in report["sets"].items():
        parts += [f"## {name}", _set_summary(measured), *_set_sections(name, measured, model)]
    return "\n\n".join(parts) + "\n"


def _set_summary(measured: dict) -> str:
    people = f"{measured['people']} people, " if measured["people"] else ""
    kept, duplicates = measured["kept_out"], measured["duplicates"]
    sentences = [f"{people}{measured['photos']} photos."]
    sentences.append(
        f"Kept out of training: {', '.join(kept)}." if kept else "The whole set was kept out of training."
    )
    if duplicates:
        sentences.append(f"Not counted, because the training split has exactly the same pixels: {duplicates} more.")
    elif duplicates == 0:
        sentences.append("None has exactly the pixels of a photo of the training split.")
    return " ".join(sentences)


def _set_sections(name: str, measured: dict, model: dict) -> list[str]:
    parts = []

    def picture(kind: str) -> str:
        return f"![{FIGURE_TITLES[kind]}](figures/{name}_{kind}.png)" if kind in measured["figures"] else ""

    if recognition := measured.get("recognition"):
        parts += ["### Recognition", _recognition(recognition), picture("recognition"), picture("misses")]
    if measured.get("votes"):
        parts += ["### Against people's votes", votes_table(measured), votes_note(measured)]
    if found := measured.get("blendshapes"):
        parts += [f"### Blendshapes ({found['photos']} photos)", blendshape_table(found), BLENDSHAPE_NOTE]
    if measured["cross_validation"]:
        parts += ["### Shallow classifier on f(e)", cross_validation_table(measured), baseline_note(measured, model)]
    if published := measured.get("published"):
        parts.append(published_table(measured, published))
    if groups := measured.get("groups"):
        parts += ["### By group", group_table(groups, measured.get("trained_on"))]
    if measured.get("disentanglement"):
        probes = probe_table(measured["disentanglement"])
        parts += ["### Disentanglement", probes, _probe_note(model), picture("tsne")]
    if transfer := measured.get("transfer"):
        parts += [
            f"### Transfer between people ({transfer['pairs']} pairs)", system_table(transfer["rows"], SYSTEM_COLUMNS),
            "Expression gain is 1 − Σ|x̄ − truth| / Σ|x_t − truth|. 1 is perfect; handing the target back scores 0. "
            "The last row has the judges' answers to the true images: no result can be expected to do better. "
            "Transfer and editing are measured with their defaults, which include test-time augmentation.",
            _gain_by_expression(transfer["rows"]), _gain_on_crops(transfer), _intensity(measured["intensity"]),
        ]  # fmt: skip
    if new := measured.get("nothing_seen"):
        gain = f", expression gain {new['gain']:.3f}" if "gain" in new else ""
        parts.append(
            f"The {new['people']} people whose groups were all kept out of training: recognition "
            f"{new['accuracy']:.1%}{gain}."
        )
    if editing := measured.get("editing"):
        parts += ["### Editing of neutral photos", editing_table(editing)]
        if editing["by_group"]:
            parts.append(edit_group_table(editing["by_group"]))
    if strangers := measured.get("strangers"):
        columns = {key: SYSTEM_COLUMNS[key] for key in ("judged", "to_target", "to_source")}
        parts += [
            "### A stranger's smile", system_table(strangers, columns),
            "`real` is the target's own smile. Its similarity to the source is that of two smiling strangers. The "
            "similarity of `copy of the target` is that of two strangers, one of whom smiles.",
        ]  # fmt: skip
    if own := measured.get("own_expression_gain"):
        parts.append(
            "Giving the neutral photo the same person's own smile: expression gain "
            f"{own['face']:.3f} in the face, in the photo's light, {own['crop']:.3f} over the whole crop, and "
            f"{own['registered']:.3f} in the face after the two photos are registered by brows, eyes and nose. "
            "The photos differ in more than the smile; handing the photo back scores 0."
        )
    parts += [picture(kind) for kind in ("editing", "transfer", "intensity")]
    if ceiling := measured.get("judge_ceiling"):
        rows = [[label, f"{one['judged']:.0%}", str(one["photos"])] for label, one in ceiling.items()]
        table = markdown_table(["label", "recall", "photos"], rows)
        parts += ["### Recall of the expression judge on these photos", table]
    return [part for part in parts if part]


def _recognition(recognition: dict) -> str:
    recall = [f"{label} {value:.1%}" for label, value in recognition["recall"].items()]
    missing = recognition["photos_without_a_face"]
    return (
        f"The model's own classifier, with the whole pipeline, is right for **{recognition['accuracy']:.1%}** of "
        f"{recognition['photos']} photos (always naming the most frequent label: {recognition['majority']:.1%}). "
        f"Expected calibration error: {recognition['calibration_error']:.3f}. Balanced accuracy, the mean recall: "
        f"{recognition['balanced_accuracy']:.1%}. Recall: {', '.join(recall)}."
        + (f" {missing} photos without a detected face count as wrong." if missing else "")
    )


def cross_validation_table(measured: dict) -> str:
    """A table of the shallow classifiers, one row per kind of features."""
    found = measured["cross_validation"]
    rows = [
        [key, f"{100 * row['mean']:.2f} ± {100 * row['deviation']:.2f}", f"{row['calibration_error']:.3f}",
         ", ".join(f"{label} {value:.0%}" for label, value in row["recall"].items())]
        for key, row in found["rows"].items()
    ]  # fmt: skip
    rows.append(["most frequent label", f"{100 * found['majority']:.2f}", "", ""])
    missing = measured.get("photos_without_a_face")
    return (
        f"Logistic regression on frozen features, {found['count']} folds of {found['by']}, {found['classes']} "
        "expressions, accuracy in percent, mean ± deviation over the folds"
        + (f"; {missing} photos without a detected face count as wrong" if missing else "")
        + ":\n\n"
    ) + markdown_table(["features", "accuracy", "calibration error", "recall"], rows)


def baseline_note(measured: dict, model: dict) -> str:
    """A sentence about the CNN baseline."""
    given = measured["cross_validation"]["baseline"] == BASELINE
    if model["freeze_expression_encoder"]:
        note = (
            "The CNN baseline of the paper, G_es after stage 1, is this very network: stage 2 left G_es as stage 1 "
            "made it (`freeze_expression_encoder`). Its row is that of f(e)."
        )
        return f"{note} `CNN baseline` is another network, which `--baseline` named." if given else note
    if given:
        return "`CNN baseline` is G_es after stage 1."
    return "No other G_es after stage 1 was given as CNN baseline (`--baseline runs/…/stages/expression.safetensors`)."


def published_table(measured: dict, published: dict[str, float]) -> str:
    """The paper's Table 1 with our rows, or a sentence about why there are none."""
    if not measured["cross_validation"]:
        return (
            "The paper's Table 1 is not measured: its folds need two people and two expressions at least, and this "
            f"set has {measured['people'] or 'no'} named people whom the weights were not trained on. "
            "`benchmarks/folds.py` trains the network on each fold's people instead."
        )
    ours = {
        f"**{key} (this evaluation)**": 100 * row["mean"] for key, row in measured["cross_validation"]["rows"].items()
    }
    rows = sorted({**published, **ours}.items(), key=lambda item: -item[1])
    return (
        "Table 1 of the paper (Oulu-CASIA, six expressions, mean of eight folds) with these results. The paper trains "
        "the whole network on each fold's people; here only the shallow classifier is fitted to them:\n\n"
    ) + markdown_table(["method", "accuracy, %"], [[name, f"{value:.2f}"] for name, value in rows])


def group_table(groups: dict, trained: dict | None) -> str:
    """A table of recognition by group, with the number of people trained on."""
    rows = []
    for column, by_group in groups.items():
        counted = (trained or {}).get(column, {})
        for group in dict.fromkeys([*counted, *by_group]):
            measured = by_group.get(group)
            rows.append([
                f"{column}: {group}", str(counted.get(group, 0)) if trained else "—",
                str(measured["people"]) if measured else "0", f"{measured['accuracy']:.1%}" if measured else "—",
            ])  # fmt: skip
    return markdown_table(["group", "people trained on", "people here", "recognition"], rows)


def edit_group_table(groups: dict) -> str:
    """A table of the judges' answers to edited photos by group."""
    rows = [
        [f"{column}: {group}", str(row["people"]), *(_cell(row, key, form) for key, (_, form) in EDIT_COLUMNS.items())]
        for column, by_group in groups.items()
        for group, row in by_group.items()
    ]
    return markdown_table(["edits by group", "people", *(title for title, _ in EDIT_COLUMNS.values())], rows)


def probe_table(found: dict) -> str:
    """A table of the linear probes, one row per factor and one column per code."""
    titles = {
        "expression": "expression, on new people",
        "expression_of_new_ids": "expression, on new expression ids",
        "identity": "identity",
    }
    codes = [code for code in found["expression"] if code not in ("values", "chance")]
    names = {"expression": "f(e)", "identity": "f(i)"}
    rows = [
        [title, str(found[factor]["values"]), f"{found[factor]['chance']:.1%}", *(
            f"{found[factor][code]['accuracy']:.1%} ({found[factor][code]['information']:.2f})" for code in codes
        )]
        for factor, title in titles.items() if factor in found
    ]  # fmt: skip
    return (
        "Accuracy of a linear probe, and adjusted mutual information of factor and prediction (0 is chance, 1 is "
        "perfect):\n\n"
        + markdown_table(["factor", "values", "chance", *(names.get(code, code) for code in codes)], rows)
        + f"\n\nMutual information gap between the right and the wrong code of each factor: {found['gap']:.2f} (1 is "
        "perfect, 0 is no separation)."
    )


def _probe_note(model: dict) -> str:
    if not model["freeze_expression_encoder"]:
        return "Ideal: expression from f(e) near 100 %, identity from f(e) near chance."
    return (
        "Ideal: expression from f(e) near 100 %, identity from f(e) near chance. If f(e) still tells people apart, "
        "the reason is that G_es stays the expression classifier of stage 1 (`freeze_expression_encoder`): no loss "
        "asks it to forget identity."
    )


def system_table(rows: dict[str, dict], columns: dict[str, tuple[str, str]]) -> str:
    """A table with one row per system, and one column per number that any system has."""
    present = [key for key in columns if any(row.get(key) is not None for row in rows.values())]
    lines = [
        [f"**{name}**" if name == MODEL else name, *(_cell(row, key, columns[key][1]) for key in present)]
        for name, row in rows.items()
    ]
    return markdown_table(["system", *(columns[key][0] for key in present)], lines)


def _gain_on_crops(transfer: dict) -> str:
    if "gain_on_crops" not in transfer:
        return ""
    return (
        f"The same pairs as aligned crops, `detect=False`: expression gain **{transfer['gain_on_crops']:.3f}**. "
        "The gain on whole photos also counts the surroundings of the crop, and compression noise that resampling "
        "removes from a crop."
    )


def _gain_by_expression(rows: dict[str, dict]) -> str:
    gains = rows[MODEL]["gain_by_expression"]
    return "By the source's expression: " + ", ".join(f"{label} {gain:.3f}" for label, gain in gains.items()) + "."


def _intensity(found: dict[str, dict]) -> str:
    columns = {"monotone": ("advances at every step", "{:.0%}")}
    table = {
        name: {**dict(zip(INTENSITIES, row["progress"])), "monotone": row["monotone"]} for name, row in found.items()
    }
    by_intensity: dict = {alpha: (f"α = {alpha:g}", "{:.2f}") for alpha in INTENSITIES}
    columns = {**by_intensity, **columns}
    return "Progress from the target (0) to the truth (1) at each intensity:\n\n" + system_table(table, columns)


def editing_table(editing: dict) -> str:
    """A table of edits by label, with the unchanged photo, an untrained network, and the judges' ceiling."""
    systems = editing["systems"]
    known = systems[MODEL]["all"]
    # The cosine of the unchanged photo is always 1.
    shown = [(MODEL, "cosine"), (MODEL, "lowest"), (MODEL, "judged"), (COPY_TARGET, "judged")]
    shown += [(RANDOM, "cosine"), (RANDOM, "judged")]
    shown = [(name, key) for name, key in shown if name in systems and key in known]
    real = [key for key in ("cosine", "judged") if key in known]
    titles = {"cosine": "SFace", "lowest": "lowest SFace", "judged": "recognised"}
    lines = [
        [
            "all but neutral" if label == "all" else label,
            *(_cell(systems[name][label], key, EDIT_COLUMNS[key][1]) for name, key in shown),
            *(_cell(editing["real"].get(label, {}), key, EDIT_COLUMNS[key][1]) for key in real),
        ]
        for label in systems[MODEL]
    ]
    head = [f"{name}: {titles[key]}" for name, key in shown] + [f"real photos: {titles[key]}" for key in real]
    return (
        "SFace is the mean cosine to the photo before the edit. `recognised` is how often FaceExpressionNet "
        "recognises the label. Real photos of the same people show how far both judges can be trusted:\n\n"
    ) + markdown_table(["edited to", *head], lines)


def _cell(row: dict, key, form: str) -> str:
    return form.format(row[key]) if row.get(key) is not None else "—"
