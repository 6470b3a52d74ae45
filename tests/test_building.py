"""Building data sets from public sources: layouts, reports, errors, continued runs, the card."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from datasets import Features, Value, load_dataset
from huggingface_hub import DatasetCard
from PIL import Image

from tergan_hf.clips.clip_settings import ClipSettings
from tergan_hf.data import __main__ as command
from tergan_hf.data import building
from tergan_hf.data.building import BuildError, Plan, Shard, build_set, is_unfinished
from tergan_hf.data.loading import load_photos
from tergan_hf.data.padded_crops import make_padded_crops
from tergan_hf.data.sets import SETS, fer2013
from tergan_hf.portraits.set_building import PortraitSettings
from tergan_hf.rendering.avatars import AvatarSettings
from tergan_hf.rendering.posed import PosedSettings

from .sources import EMOTIONS, write_face, write_fer2013, write_photo, write_recordings


def run(monkeypatch, name, source, output, *options):
    arguments = [name, "--source", str(source), "--output", str(output), "--processes", "1", *options]
    monkeypatch.setattr(sys, "argv", ["tergan_hf.data", *arguments])
    command.main()
    return load_photos(str(output))


def refusal(monkeypatch, name, source, output, *options) -> str:
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, name, source, output, *options)
    message = str(caught.value.code)
    assert message.startswith("tergan_hf.data: ") and "\n" not in message
    return message


def test_help_lists_every_set_with_licence_and_citation(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tergan_hf.data", "--help"])
    with pytest.raises(SystemExit):
        command.main()
    shown = capsys.readouterr().out
    for name, module in SETS.items():
        assert f"\n{name}\n" in shown
        assert module.DESCRIPTION.licence.split()[0] in shown and module.DESCRIPTION.citation.split("\n")[0] in shown


@pytest.mark.parametrize("above", ["VL/Strong", "OriginalImg/VL/Strong"])
def test_oulu_casia_has_the_papers_selection_by_default(monkeypatch, tmp_path, capsys, above):
    root = write_recordings(tmp_path / "oulu" / above, ["P001", "P002"], EMOTIONS["oulu"])
    for path in (root / "P002" / "Fear").iterdir():
        path.unlink()
    photos = run(monkeypatch, "oulu-casia", tmp_path / "oulu", tmp_path / "out", "--whole", "--neutral")
    counts = Counter(photos["expression"])
    assert counts == {
        "fear": 3,
        "neutral": 11,
        **dict.fromkeys(["anger", "disgust", "happiness", "sadness", "surprise"], 6),
    }
    for row in photos:
        assert row["frame"] == 0 if row["expression"] == "neutral" else row["frame"] in (3, 4, 5)
    reported = capsys.readouterr().err
    assert "78 of 80 subjects: P003" in reported and "P002: 0 frames of fear, 4 needed" in reported
    assert "P002: 0 frames of fear" in (tmp_path / "out" / "README.md").read_text()


def test_bu_4dfe_takes_the_middle_of_each_sequence(monkeypatch, tmp_path, capsys):
    root = write_recordings(tmp_path / "bu", ["F001", "M043"], EMOTIONS["bu"], frames=9, suffix="jpg")
    write_photo(root / "F001" / "Angry" / "000.wrl.png").rename(root / "F001" / "Angry" / "000.wrl")
    photos = run(monkeypatch, "bu-4dfe", root, tmp_path / "out", "--whole")
    assert set(photos["frame"]) == {3, 4, 5} and len(photos) == 2 * 6 * 3
    assert set(photos["identity"]) == {"bu-4dfe_F001", "bu-4dfe_M043"}
    assert "99 of 101 subjects" in capsys.readouterr().err


@pytest.mark.parametrize("name, spaces", [("fer2013.csv", False), ("icml_face_data.csv", True)])
def test_fer2013_tables(monkeypatch, tmp_path, name, spaces):
    write_fer2013(tmp_path / "fer" / name, spaces=spaces)
    photos = run(monkeypatch, "fer2013", tmp_path / "fer", tmp_path / "out")
    assert sorted(photos["expression"]) == sorted(
        ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    )
    whole = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in whole.items()} == {"train": 7, "validation": 1, "test": 1}
    first = next(row for row in whole["train"] if row["file_name"] == "row00000")
    expected = np.random.default_rng(0).integers(0, 256, 48 * 48).reshape(48, 48)
    assert first["expression"] == "anger" and np.array_equal(np.asarray(first["image"]), expected)


def test_fer2013_folders(monkeypatch, tmp_path, capsys):
    for split in ("train", "test"):
        for number, emotion in enumerate(("angry", "happy", "neutral")):
            tone = 40 * number + 20 * (split == "test")
            write_photo(tmp_path / "fer" / split / emotion / "1.jpg", tone, side=48)
    photos = run(monkeypatch, "fer2013", tmp_path / "fer", tmp_path / "out")
    assert sorted(photos["expression"]) == ["anger", "happiness", "neutral"]
    assert len(load_photos(str(tmp_path / "out"), "test")) == 3
    reported = capsys.readouterr().err
    assert "missing: train: 28706 of 28709 photos" in reported
    # A split without any photo is missing too.
    assert "missing: validation: 3589 of 3589 photos" in reported and "missing: test: 3586 of 3589" in reported


def test_the_test_folder_of_fer2013_holds_both_test_splits():
    """With the 7,178 photos in test/ of Kaggle's folders, nothing is missing."""
    whole = {"train": [None] * 28_709, "test": [None] * 7_178}
    assert fer2013._missing(whole) == []
    assert fer2013._missing({**whole, "test": [None] * 7_000}) == ["test: 178 of 7178 photos"]


def test_london_in_the_published_layout(monkeypatch, tmp_path, capsys):
    for folder, suffix, people in (("neutral_front", "03", ("001", "002")), ("smiling_front", "08", ("001",))):
        for person in people:
            write_photo(tmp_path / "london" / folder / f"{person}_{suffix}.jpg")
    (tmp_path / "london" / "london_faces_info.csv").write_text(
        "face_id,face_age,face_sex,face_eth\nX001,24,female,white\n"
    )
    photos = run(monkeypatch, "london", tmp_path / "london", tmp_path / "out", "--whole")
    assert sorted(zip(photos["identity"], photos["expression"], photos["age"])) == [
        ("london_001", "happiness", "24"), ("london_001", "neutral", "24"), ("london_002", "neutral", ""),
    ]  # fmt: skip
    reported = capsys.readouterr().err
    assert "missing: 100 of 102 people" in reported and "1 people without a photo of happiness: 002" in reported


def test_the_papers_crops_and_photos_without_a_face(monkeypatch, tmp_path, capsys):
    for number, expression in enumerate(("happy", "neutral")):
        write_face(tmp_path / "own" / "ann" / expression / "a.jpg", number)
    write_photo(tmp_path / "own" / "bob" / "sad" / "blank.jpg", side=80)
    photos = run(monkeypatch, "folder", tmp_path / "own", tmp_path / "out", "--paper")
    assert photos["identity"][:] == ["ann", "ann"] and set(photos["expression"]) == {"happiness", "neutral"}
    shown = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert shown[0]["image"].size == (85, 85)
    # Aligned again in training, the crop of 75 pixels is the middle of the 85 pixels.
    crop_transforms = np.array(make_padded_crops(photos, 75)["crop_transform"])
    np.testing.assert_allclose(crop_transforms[0], [[1 / 75, 0, -5 / 75], [0, 1 / 75, -5 / 75]], atol=1e-4)
    assert "no face was found in 1 photos: bob/sad/blank.jpg" in (tmp_path / "out" / "README.md").read_text()
    assert "missing: no face was found in 1 photos; the card names them" in capsys.readouterr().err


def test_a_table_of_own_photos_has_any_labels(monkeypatch, tmp_path):
    for name in ("a", "b", "c"):
        write_photo(tmp_path / f"{name}.png")
    table = tmp_path / "labels.csv"
    table.write_text("file_name,expression,identity\na.png, Contempt,ann\nb.png,Happy,ann\nc.png,smiling,bob\n")
    photos = run(monkeypatch, "folder", table, tmp_path / "out", "--whole")
    found = dict(zip(photos["file_name"], photos["expression"]))
    assert found == {"a.png": "contempt", "b.png": "happiness", "c.png": "happiness"}
    table.write_text(table.read_text().replace("smiling", "fear"))  # other labels are another set
    assert "holds another set" in refusal(monkeypatch, "folder", table, tmp_path / "out", "--whole")
    table.write_text("file_name,expression\nd.png,fear\n")
    assert "line 2: there is no file d.png" in refusal(monkeypatch, "folder", table, tmp_path / "other", "--whole")
    table.write_text("file_name,expression\na.png, \n")
    assert "line 2: the file name or the expression is empty" in refusal(monkeypatch, "folder", table, tmp_path / "no")


def test_folders_of_own_photos_have_any_labels_and_the_card_counts_them(monkeypatch, tmp_path, capsys):
    for folder in ("ann/Calm", "ann/joy", "bob/calm", "bob/SAD", ".cache/calm", "bob/.thumbnails", "", "ann"):
        write_photo(tmp_path / "own" / folder / "1.png")
    photos = run(monkeypatch, "folder", tmp_path / "own", tmp_path / "out", "--whole")
    assert Counter(photos["expression"]) == {"calm": 2, "joy": 1, "sadness": 1}
    assert "no photos in a folder IDENTITY/EXPRESSION: 1.png, ann/1.png" in capsys.readouterr().err
    assert set(photos["identity"]) == {"ann", "bob"}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| calm | 2 |" in card and "| joy | 1 |" in card and "| sadness | 1 |" in card and "| all | 4 |" in card


def test_wrong_and_broken_sources_are_refused_with_one_line(monkeypatch, tmp_path):
    out, empty = tmp_path / "out", tmp_path / "empty"
    empty.mkdir()
    assert "is empty: expected [OriginalImg/]VL" in refusal(monkeypatch, "oulu-casia", empty, out)
    assert "there is no " in refusal(monkeypatch, "london", tmp_path / "nowhere", out)
    root = write_recordings(tmp_path / "bu", ["F001"], EMOTIONS["bu"], suffix="jpg")
    assert "holds none of the subjects F001 to M043" in refusal(monkeypatch, "bu-4dfe", root / "F001", out)
    assert "has no VL/Strong" in refusal(monkeypatch, "oulu-casia", root, out)
    broken = root / "F001" / "Sad" / "003.jpg"
    broken.write_bytes(broken.read_bytes()[:100])
    assert f"({broken}): " in refusal(monkeypatch, "bu-4dfe", root, out, "--whole")
    table = write_fer2013(tmp_path / "fer" / "fer2013.csv")
    table.write_text(table.read_text()[:-3000])
    assert "of 2304 pixels; the file is cut off" in refusal(monkeypatch, "fer2013", table.parent, out)
    assert "is a file" in refusal(monkeypatch, "london", broken, out)
    assert "holds something else" in refusal(monkeypatch, "bu-4dfe", root, root, "--whole")


def test_the_seed_decides_the_order_and_people_stay_together(monkeypatch, tmp_path):
    root = write_recordings(
        tmp_path / "oulu" / "VL" / "Strong", [f"P00{n}" for n in range(1, 7)], EMOTIONS["oulu"][:2]
    )
    orders = []
    for run_number, seed in enumerate("001"):
        photos = run(monkeypatch, "oulu-casia", root, tmp_path / f"out{run_number}", "--whole", "--seed", seed)
        orders.append(photos["identity"][:])
    assert orders[0] == orders[1] != orders[2]
    for order in orders:
        assert sum(a != b for a, b in zip(order, order[1:])) == 5


NUMBERS = Features(image=Value("string"), expression=Value("string"), identity=Value("string"))


def make_rows(job):
    return [{"image": f"{job}", "expression": "fear", "identity": f"p{job}"}] * 4


def slow_rows(job):
    time.sleep(0.3)
    return make_rows(job)


def failing_rows(job):
    if job == 2:
        raise OSError(28, "No space left on device")
    return make_rows(job)


def number_plan(make_rows=make_rows, **settings) -> Plan:
    shards = [Shard("train", number, 4) for number in range(4)]
    return Plan(SETS["folder"].DESCRIPTION, NUMBERS, shards, make_rows, settings, ["a 1"])


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


SLOW_BUILD = """
import os, sys
from pathlib import Path
from tergan_hf.cli.errors import one_line_errors
from tests.test_building import *
Path(sys.argv[2]).write_text(str(os.getpid()))
with one_line_errors("x"):
    build_set(number_plan(slow_rows), sys.argv[1])
"""


def stopped_build(python, folder, signal_number) -> subprocess.CompletedProcess:
    """A build that gets a signal after its first shard."""
    number = folder.with_suffix(".pid")
    with ThreadPoolExecutor() as pool:
        ended = pool.submit(python.run, ["-c", SLOW_BUILD, folder, number], folder.parent)
        while not list(folder.glob("*.parquet")):
            assert not ended.done(), ended.result().stderr
            time.sleep(0.02)
        os.kill(int(number.read_text()), signal_number)
        return ended.result()


def test_a_continued_run_writes_the_bytes_of_an_uninterrupted_one(python, tmp_path):
    build_set(number_plan(), tmp_path / "uninterrupted")
    assert stopped_build(python, tmp_path / "killed", signal.SIGKILL).returncode == -signal.SIGKILL
    first = tmp_path / "killed" / "train-00000-of-00004.parquet"
    (tmp_path / "killed" / f"train-00003-of-00004.parquet.{os.getpid()}.unfinished").write_bytes(b"half")
    with pytest.raises(ValueError, match="unfinished set"):
        load_photos(str(tmp_path / "killed"))
    written = first.stat().st_mtime_ns
    build_set(number_plan(), tmp_path / "killed")
    assert first.stat().st_mtime_ns == written
    assert contents(tmp_path / "killed") == contents(tmp_path / "uninterrupted")


def test_two_runs_do_not_write_into_one_folder(python, tmp_path):
    with ThreadPoolExecutor() as pool:
        first = pool.submit(python.run, ["-c", SLOW_BUILD, tmp_path / "out", tmp_path / "number"], tmp_path)
        while not list(tmp_path.glob("out/*.parquet")):
            assert not first.done(), first.result().stderr
            time.sleep(0.02)
        with pytest.raises(ValueError, match=r"another run is working in .*out: .* another --output"):
            build_set(number_plan(slow_rows), tmp_path / "out")
        assert first.result().returncode == 0
    build_set(number_plan(), tmp_path / "alone")
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def test_a_run_continues_after_a_full_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(SETS["folder"], "plan", lambda source, options: number_plan(failing_rows))
    write_photo(tmp_path / "source" / "a.png")
    message = refusal(monkeypatch, "folder", tmp_path / "source", tmp_path / "out")
    assert "no space left" in message and "then repeat the command to continue" in message
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".json", ".parquet", ".parquet"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: failing_rows(2))
        message = refusal(monkeypatch, "folder", tmp_path / "source", tmp_path / "out")
    assert "build.json cannot be written" in message and "free some space, then repeat the command to cont" in message
    assert build_set(number_plan(), tmp_path / "out").rows == {"train": 16}


def test_sets_with_other_settings_or_files_do_not_mix(tmp_path):
    build_set(number_plan(size=1), tmp_path / "out")
    with pytest.raises(BuildError, match="size 1 there, 2 now"):
        build_set(number_plan(size=2), tmp_path / "out")
    changed = number_plan(size=1)
    changed.source.append("b 2")
    with pytest.raises(BuildError, match="other source files"):
        build_set(changed, tmp_path / "out")


def test_a_set_that_is_not_complete_has_no_card(tmp_path, monkeypatch):
    build_set(number_plan(), tmp_path / "out")
    shards = sorted((tmp_path / "out").glob("*.parquet"))
    shards[0].unlink()
    with monkeypatch.context() as patch:
        patch.setattr(building, "_write_shard", lambda _: pytest.fail("cut off here"))
        with pytest.raises(pytest.fail.Exception):
            build_set(number_plan(), tmp_path / "out")
    assert is_unfinished(tmp_path / "out")
    build_set(number_plan(), tmp_path / "out")
    shutil.copy(shards[0], tmp_path / "out" / "train-00000-of-00009.parquet")
    with pytest.raises(BuildError, match=r"train-00000-of-00009\.parquet is no part of this set"):
        build_set(number_plan(), tmp_path / "out")


def test_the_card_describes_the_set(monkeypatch, tmp_path):
    write_fer2013(tmp_path / "fer" / "fer2013.csv")
    run(monkeypatch, "fer2013", tmp_path / "fer", tmp_path / "out", "--size", "32")
    card = DatasetCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "other" and "facial-expression" in card.data.tags
    assert card.data.configs[0]["data_files"][1] == {"split": "validation", "path": "validation-*.parquet"}
    assert "python -m tergan_hf.data fer2013 --source SOURCE --output FOLDER --seed 0 --size 32" in card.text
    assert "| anger | 1 | 1 | 0 |" in card.text and "goodfellow2013challenges" in card.text
    assert "train: 28702 of 28709 photos" in card.text
    shown = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(shown[0]["image"], Image.Image) and shown[0]["image"].size == (32, 32)


def test_an_output_that_cannot_be_written_is_refused_before_the_work(monkeypatch, tmp_path):
    write_photo(tmp_path / "own" / "ann" / "calm" / "1.png")
    (tmp_path / "file").write_text("")
    assert "nothing can be written to /proc/out" in refusal(monkeypatch, "folder", tmp_path / "own", "/proc/out")
    assert "not a folder" in refusal(monkeypatch, "folder", tmp_path / "own", tmp_path / "file" / "out")


def test_sigterm_stops_a_build_that_can_be_continued(python, tmp_path):
    ended = stopped_build(python, tmp_path / "out", signal.SIGTERM)
    assert ended.returncode == 143 and "x: stopped" in ended.stderr and "Traceback" not in ended.stderr
    assert not list(tmp_path.glob("out/*.unfinished"))
    assert build_set(number_plan(), tmp_path / "out").rows == {"train": 16}


@pytest.mark.parametrize("settings", [AvatarSettings, PosedSettings, PortraitSettings, ClipSettings])
def test_a_negative_seed_is_refused(settings):
    with pytest.raises(BuildError, match="--seed must be at least 0, not -1"):
        settings(seed=-1)
