"""Tables of the model card."""

from copy import deepcopy

from ..data.known_sets import known_set
from ..evaluation.markdown import markdown_table
from ..evaluation.reading_tables import BLENDSHAPE_NOTE, blendshape_table, votes_note, votes_table
from ..evaluation.report import (
    SYSTEM_COLUMNS,
    baseline_note,
    edit_group_table,
    editing_table,
    group_table,
    probe_table,
    system_table,
)
from ..evaluation.systems import BASELINE


SCARCE = 0.1  # share of the people trained on; groups with less are named
FOOTNOTE_MARKS = "¹²³⁴⁵⁶⁷⁸⁹"
HEAD_GROUPS = {"AIAN", "MENA", "NHPI"}  # in the names of the rendered heads
HEAD_GROUP_NOTE = (
    "A rendered person is blended from several heads and counts in every group of theirs. AIAN: American Indian or "
    "Alaska Native; MENA: Middle Eastern or North African; NHPI: Native Hawaiian or Pacific Islander."
)


def training_table(record: dict) -> str:
    """The sets that a run was trained on, with their licences."""
    rows = []
    for source in record.get("sources", []):
        known = known_set(source["path"])
        kept_out = record.get("kept_out", {}).get(source["name"]) or []
        used = f"{len(kept_out)} group{'s' * (len(kept_out) != 1)} kept out" if kept_out else "all"
        if source.get("validation_path"):
            used = "its training split"
        rows.append([
            f"[{known.title}]({known.address})" if known else source["name"],
            known.about if known else "not described", known.licence if known else "**not recorded**", used,
        ])  # fmt: skip
    return markdown_table(["set", "content", "licence", "used"], rows) if rows else "Not recorded."


def result_tables(report: dict, notes: dict[str, str], frozen: bool = False) -> dict[str, str]:
    """
    The tables of a report by name. A table without data is empty.

    Args:
        notes: set → footnote to its numbers.
        frozen: stage 2 did not train G_es, so a CNN baseline in the report is the network itself: it is left out.
    """
    if frozen:
        report = _without_baseline(report)
    sets = report["sets"]
    folded = [measured for measured in sets.values() if measured["cross_validation"]]
    noted = [name for name in sets if name in notes]
    marks = dict(zip(noted, FOOTNOTE_MARKS))
    names = {name: f"{name} {marks[name]}" if name in marks else name for name in sets}
    tables = {
        "recognition": _recognition_table(sets, names), "folds": _folds_table(sets, names),
        "baseline": baseline_note(folded[0], report["model"]) if folded else "",
        "notes": "\n".join(f"{marks[name]} {notes[name]}" for name in noted),
    }  # fmt: skip
    transfers, probes, groups, votes, blendshapes = [], [], [], [], []
    editing, strangers, ceilings = {}, {}, {}
    for name, measured in sets.items():
        if "transfer" in measured:
            table = system_table(measured["transfer"]["rows"], SYSTEM_COLUMNS)
            transfers.append(f"**{name}**, {measured['transfer']['pairs']} pairs\n\n{table}")
        if "editing" in measured:
            editing[name] = editing_table(measured["editing"])
        if "strangers" in measured:
            columns = {key: SYSTEM_COLUMNS[key] for key in ("judged", "to_target", "to_source")}
            strangers[name] = system_table(measured["strangers"], columns)
        if ceiling := measured.get("judge_ceiling"):
            ceilings[name] = ", ".join(f"{label} {one['judged']:.0%}" for label, one in ceiling.items())
        if measured.get("votes"):
            votes.append(f"**{name}**\n\n{votes_table(measured)}\n\n{votes_note(measured)}")
        if found := measured.get("blendshapes"):
            blendshapes.append(f"**{name}**, {found['photos']} photos\n\n{blendshape_table(found)}")
        if measured.get("disentanglement"):
            probes.append(f"**{name}**. " + probe_table(measured["disentanglement"]))
        if "groups" in measured:
            groups.append(f"**{name}**\n\n" + group_table(measured["groups"], measured.get("trained_on")))
            if HEAD_GROUPS & set(measured["groups"].get("ethnicity", ())):
                groups.append(HEAD_GROUP_NOTE)
        if by_group := measured.get("editing", {}).get("by_group"):
            groups.append(edit_group_table(by_group))
    tables |= {"editing": _by_set(editing), "strangers": _by_set(strangers)}
    tables["ceiling"], tables["ceiling_set"] = _by_set(ceilings), ", ".join(ceilings)
    tables["transfer"] = "\n\n".join(transfers)
    tables["probes"] = "\n\n".join(probes) or "These sets do not name people."
    tables["groups"] = "\n\n".join(groups) or "These sets do not name groups of people."
    tables["votes"] = "\n\n".join(votes)
    tables["blendshapes"] = "\n\n".join([*blendshapes, BLENDSHAPE_NOTE] if blendshapes else [])
    tables["scarce"] = _scarce_groups(sets)
    return tables


def _by_set(tables: dict[str, str]) -> str:
    """Set → table as one text; the names stand above the tables if there are several."""
    if len(tables) == 1:
        return next(iter(tables.values()))
    return "\n\n".join(f"**{name}**\n\n{table}" for name, table in tables.items())


def _without_baseline(report: dict) -> dict:
    """A report of weights whose G_es stage 2 left as it was: without the CNN baseline, which is the same network."""
    report = deepcopy(report)
    report["model"]["freeze_expression_encoder"] = True
    for measured in report["sets"].values():
        if found := measured["cross_validation"]:
            found["baseline"] = "the same network"
            found["rows"].pop(BASELINE, None)
        for codes in (measured.get("disentanglement") or {}).values():
            if isinstance(codes, dict):
                codes.pop(BASELINE, None)
    return report


def benchmark_table(scores: dict) -> str:
    """The scores on the benchmark, one row per task."""
    rows = [[task, found["metric"], f"{found['value']:.3f}"] for task, found in scores["tasks"].items()]
    return markdown_table(["task", "metric", "value"], rows)


def _recognition_table(sets: dict, names: dict[str, str]) -> str:
    rows = []
    for name, measured in sets.items():
        if recognition := measured.get("recognition"):
            lowest = min(recognition["recall"], key=recognition["recall"].get)
            rows.append([
                names[name], str(measured["people"] or "—"), str(measured["photos"]),
                f"**{recognition['accuracy']:.1%}**", f"{recognition['majority']:.1%}",
                f"{lowest} {recognition['recall'][lowest]:.1%}", f"{recognition['calibration_error']:.3f}",
            ])  # fmt: skip
    head = ["set", "people", "photos", "accuracy", "most frequent label", "lowest recall", "calibration error"]
    return markdown_table(head, rows)


def _folds_table(sets: dict, names: dict[str, str]) -> str:
    features = list(
        dict.fromkeys(key for measured in sets.values() for key in measured["cross_validation"].get("rows", {}))
    )
    rows = []
    for name, measured in sets.items():
        if found := measured["cross_validation"]:
            cells = [found["rows"].get(key) for key in features]
            rows.append([
                f"{names[name]}, {found['count']} folds of {found['by']}",
                *(f"{100 * cell['mean']:.1f} ± {100 * cell['deviation']:.1f}" if cell else "—" for cell in cells),
                f"{100 * found['majority']:.1f}",
            ])  # fmt: skip
    return markdown_table(["set", *features, "most frequent label"], rows)


def _scarce_groups(sets: dict) -> str:
    """A sentence that names the groups with few people among those trained on."""
    scarce = []
    for name, measured in sets.items():
        trained = measured.get("trained_on")
        if not trained:
            continue
        for column, counts in trained.items():
            if column == "people":
                continue
            # Include groups that occur among the people measured only.
            counts = {**dict.fromkeys(measured["groups"].get(column, {}), 0), **counts}
            scarce += [
                f"{group} ({name}: {count} of {trained['people']} people)"
                for group, count in counts.items()
                if count < SCARCE * trained["people"] and group != "not given"
            ]
    if not scarce:
        return "No group that these sets name has less than a tenth of the people trained on."
    return "Under-represented, with less than a tenth of the people trained on: " + "; ".join(scarce) + "."
