"""Driving clips: frames that show what the table says, and a reproducible set."""

import sys

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from tergan_hf.clips.clip_file import write_clip
from tergan_hf.clips.portrait_performer import PortraitPerformer
from tergan_hf.data import __main__ as command
from tergan_hf.expressions import performances
from tergan_hf.expressions.blendshapes import COLUMN_NAMES
from tergan_hf.expressions.performances import MOTIONS
from tergan_hf.portraits import assets
from tergan_hf.portraits.fitting import Fitter
from tergan_hf.portraits.landmarks import EYES
from tergan_hf.portraits.portrait import Portrait, cut_frame
from tergan_hf.portraits.smile_prior import SmilePrior

from .clip_sets import bytes_of, table
from .portrait_model import make_correspondence, make_face_model, make_photo, use_portrait_model


SIZE = 128


@pytest.fixture(scope="module")
def fitter() -> Fitter:
    model = make_face_model()
    return Fitter(model, make_correspondence(model))


@pytest.fixture
def build(monkeypatch, tmp_path, fitter):
    """A function that runs the command on three synthetic people."""
    use_portrait_model(monkeypatch, tmp_path, fitter)
    # The others would only take time.
    shown = {name: MOTIONS[name] for name in ("blink", "gaze right", "gaze left", "jaw open")}
    monkeypatch.setattr(performances, "MOTIONS", shown)
    monkeypatch.setattr(performances, "ACTION_SECONDS", 0.24)

    def run(output, *options):
        monkeypatch.setattr(sys, "argv", [
            "tergan_hf.data", "clips", "--source", str(tmp_path / "source"), "--ict", str(tmp_path / "ict"),
            "--landmarker", str(tmp_path / "landmarker"), "--output", str(tmp_path / output), "--processes", "1",
            "--size", "64", "--seconds", "0.32", *options,
        ])  # fmt: skip
        command.main()
        return tmp_path / output

    return run


def column(rows: list[dict], name: str) -> np.ndarray:
    return np.array([row["blendshapes"][COLUMN_NAMES.index(name)] for row in rows])


def frames(path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_frames_show_what_the_table_says(build, fitter):
    folder = build("set", "--only", "a", "--clips", "1", "--size", str(SIZE), "--margin", "1.4")
    rows, shown = table(folder), frames(folder / "clips" / "source_a_0.mp4")
    assert [row["frame"] for row in rows] == list(range(len(shown)))
    assert [row["seconds"] for row in rows] == pytest.approx([float(frame.time) for frame in shown])
    pictures = np.array([frame.to_ndarray(format="rgb24") for frame in shown]).astype(np.float32).mean(3)
    points = cut_frame(*make_photo(fitter.model), SIZE, 1.4).points / 2

    def change_near(number: int) -> np.ndarray:
        x, y = points[number].astype(int)
        return np.abs(pictures - pictures[0])[:, y - 2 : y + 6, x - 4 : x + 5].mean((1, 2))

    still = ~np.array([row["blendshapes"] for row in rows]).any(1)
    mouth = change_near(14)
    assert still[0] and still[-1] and mouth[still].max() < 0.2 * mouth.max()  # what the encoder loses
    assert np.corrcoef(column(rows, "jawOpen"), mouth)[0, 1] > 0.8
    for side in ("Left", "Right"):
        x, y = points[EYES[side]].mean(0).astype(int)
        eye = pictures[:, y - 2 : y + 3, x - 10 : x + 11]
        dark = np.maximum(160 - eye, 0)
        blink, gaze = column(rows, f"eyeBlink{side}"), column(rows, "gazeX")
        open_eyes = blink == 0
        iris = (dark * np.arange(-10, 11)).sum((1, 2)) / np.maximum(dark.sum((1, 2)), 1)
        assert np.corrcoef(gaze[open_eyes], iris[open_eyes])[0, 1] > 0.9
        assert eye[blink > 0.9].std((1, 2)).mean() < 0.6 * eye[blink == 0].std((1, 2)).mean()


def test_the_set_is_reproducible_and_continues_after_a_kill(build):
    first, second = build("one", "--only", "a", "b"), build("two", "--only", "a", "b")
    contents = bytes_of(first)
    assert sorted(name for name in contents if name.endswith(".mp4")) == [
        f"clips/source_{person}_{number}.mp4" for person in "ab" for number in (0, 1)
    ]
    assert contents == bytes_of(second)
    kept = second / "clips" / "source_a_0.mp4"
    before = kept.stat().st_mtime_ns
    # A run that was killed has clips without a table; clips may also get lost.
    for name in ("README.md", "test-00001-of-00004.parquet", "clips/source_b_0.mp4"):
        (second / name).unlink()
    build("two", "--only", "a", "b")
    assert contents == bytes_of(second) and kept.stat().st_mtime_ns == before
    assert contents != bytes_of(build("three", "--only", "a", "b", "--seed", "1"))


def test_the_encoder_gives_the_same_bytes_for_the_same_frames(tmp_path):
    """x264's macroblock tree reads unset memory, so that every fourth file or so differs."""
    random = np.random.default_rng(0)
    blocks = random.integers(0, 246, (24, 24, 3)).repeat(20, 0).repeat(20, 1)
    moving = [np.roll(blocks, 3 * number, 1) + random.integers(0, 10, blocks.shape) for number in range(12)]
    for number in range(10):
        write_clip(tmp_path / "clips" / f"{number}.mp4", [frame.astype(np.uint8) for frame in moving], 480)
    assert len({path.read_bytes() for path in (tmp_path / "clips").iterdir()}) == 1


def test_a_person_performs_alike_in_every_set(build):
    alone, both = build("alone", "--only", "b"), build("both", "--only", "a", "b")
    for name in ("source_b_0.mp4", "source_b_1.mp4"):
        assert (alone / "clips" / name).read_bytes() == (both / "clips" / name).read_bytes()
    assert [row for row in table(both) if row["identity"] == "source_b"] == table(alone)


def test_people_who_are_shown_or_excluded_teach_nothing(build, monkeypatch, tmp_path):
    taught = []
    monkeypatch.setattr(
        assets, "cached_smile_prior", lambda people, *_: taught.append([one.identity for one in people])
    )  # fmt: skip
    (tmp_path / "names.txt").write_text("source_a\nb\n")
    kept_out = f"@{tmp_path / 'names.txt'}"
    shown = {
        name: {row["identity"] for row in table(build(name, "--clips", "1", *options))}
        for name, options in {
            "only": ("--only", kept_out), "fewer": ("--only", kept_out, "--people", "1"),
            "one": ("--only", "a", "--exclude", kept_out), "some": ("--people", "1", "--exclude", "a"),
        }.items()
    }  # fmt: skip
    assert shown == {
        "only": {"source_a", "source_b"}, "fewer": {"source_a"}, "one": {"source_a"}, "some": {"source_b"},
    }  # fmt: skip
    assert taught == [["source_c"]] * 4


def test_a_photo_without_a_face_gives_no_clip(build, tmp_path):
    Image.new("RGB", (480, 480)).save(tmp_path / "source" / "b.png")
    folder = build("set", "--only", "a", "b", "--clips", "1")
    assert [path.name for path in (folder / "clips").iterdir()] == ["source_a_0.mp4"]
    assert "no face was found in 1 photos: b.png" in (folder / "README.md").read_text()
    assert {row["identity"] for row in table(folder)} == {"source_a"}


def test_the_card_names_the_columns_and_the_command(build):
    card = (build("set", "--only", "a") / "README.md").read_text()
    assert "--only a --clips 2 --seconds 0.32 --size 64" in card and "gazeX, gazeY" in card
    assert "as in the source" not in card and "## Frames per expression" in card


def test_the_truth_behind_spectacles_has_no_brows(fitter):
    photo, landmarks = make_photo(fitter.model)
    ends = (tuple(map(int, landmarks[EYES[side]].mean(0))) for side in ("Right", "Left"))
    cv2.line(photo, *ends, (20, 20, 20), 5)
    performer = PortraitPerformer(
        Portrait(fitter, cut_frame(photo, landmarks, SIZE, 1.4), SmilePrior.empty(fitter.model))
    )
    everything = np.ones(len(COLUMN_NAMES), np.float32)
    moved = {name for name, value in zip(COLUMN_NAMES, performer.possible(everything)) if value}
    assert set(COLUMN_NAMES) - moved == {name for name in COLUMN_NAMES if name.startswith("brow")}


@pytest.mark.parametrize("options, message", [
    ((), "nobody is left to learn smiles from"),
    (("--only", "zz"), "--only zz: no person has that name"),
    (("--exclude", "a", "b", "c"), "--exclude leaves nobody to show"),
    (("--only", "a", "--clips", "0"), "--clips must be at least 1"),
    (("--only", "a", "--people", "0"), "--people must be at least 1"),
    (("--only", "a", "--seconds", "0"), "--seconds must be from 0.04 to 60, not 0"),
    (("--only", "a", "--size", "100"), "multiple of 8"),
])  # fmt: skip
def test_wrong_options_are_refused(build, options, message):
    with pytest.raises(SystemExit, match=message):
        build("set", *options)
