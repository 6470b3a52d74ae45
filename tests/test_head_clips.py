"""Driving clips of 3D heads: frames that show what the table says, choice by name, and a reproducible set."""

import sys

import av
import numpy as np
import pytest

from tergan_hf.clips import clip_set
from tergan_hf.clips.clip_planning import describe
from tergan_hf.clips.clip_settings import ClipSettings
from tergan_hf.clips.head_group import prepare_heads
from tergan_hf.clips.head_performer import HeadLoader
from tergan_hf.data import __main__ as command
from tergan_hf.expressions import performances
from tergan_hf.expressions.blendshapes import COLUMN_NAMES
from tergan_hf.expressions.performances import MOTIONS
from tergan_hf.portraits.fitting import Fitter

from .clip_sets import bytes_of, table
from .conftest import ROOT
from .heads import make_head, write_heads
from .portrait_model import make_correspondence, make_face_model, use_portrait_model


SIZE = 96


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    return write_heads(tmp_path_factory.mktemp("heads"))


@pytest.fixture
def build(monkeypatch, tmp_path, heads):
    """A function that runs the command on these heads, and on more sources if they are given."""
    # The others would only take time.
    monkeypatch.setattr(performances, "MOTIONS", {name: MOTIONS[name] for name in ("gaze right", "jaw open")})
    monkeypatch.setattr(performances, "ACTION_SECONDS", 0.24)

    def run(output, *options, more=()):
        monkeypatch.setattr(sys, "argv", [
            "tergan_hf.data", "clips", "--source", str(heads), *map(str, more), "--output", str(tmp_path / output),
            "--processes", "1", "--size", str(SIZE), "--seconds", "0.6", *options,
        ])  # fmt: skip
        command.main()
        return tmp_path / output

    return run


@pytest.fixture
def portraits(monkeypatch, tmp_path):
    """Options and folder of three synthetic portraits: a, b and c."""
    model = make_face_model()
    use_portrait_model(monkeypatch, tmp_path, Fitter(model, make_correspondence(model)))
    return ["--ict", str(tmp_path / "ict"), "--landmarker", str(tmp_path / "landmarker")], tmp_path / "source"


def pictures(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.array([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(np.float32)


def identities(folder) -> set[str]:
    return {row["identity"] for row in table(folder)}


def test_frames_show_what_the_table_says(build):
    folder = build("set", "--only", "B")
    for number in (0, 1):
        rows = [row for row in table(folder) if row["clip"] == f"clips/B_{number}.mp4"]
        shown = pictures(folder / rows[0]["clip"])
        assert [row["frame"] for row in rows] == list(range(len(shown)))
        assert {(row["identity"], row["file_name"]) for row in rows} == {("B", "B_Casual.glb")}
        values = np.array([[*row["blendshapes"], row["yaw"] / 30, row["pitch"] / 30] for row in rows])
        change = np.abs(shown - shown[0]).mean((1, 2, 3))
        still = ~values.any(1)
        assert still[0] and change[still].max() < 0.3 * change.max()  # what the encoder loses
        jaw = values[:, COLUMN_NAMES.index("jawOpen")]
        if number == 0:
            assert not still.all() and change[jaw > 0.5].min() > 2 * change[still].max()
    assert rows[0]["performance"] == "acting" and any(row["yaw"] for row in rows)


def test_a_head_turns_to_the_right_and_up_in_the_same_crop(heads):
    performer = HeadLoader("A", heads / "A_Casual.glb", 192, 1.4, 0).load()
    neutral = np.zeros(len(COLUMN_NAMES), np.float32)

    def dark_at(yaw, pitch):
        """(x, y) of the irises: the black pixels in the middle of the face."""
        rows, columns = np.nonzero(performer.render(neutral, yaw, pitch)[50:100, 60:135].max(2) < 60)
        return np.array([columns.mean(), rows.mean()])

    ahead = dark_at(0, 0)
    assert dark_at(8, 0)[0] > ahead[0] + 1 and dark_at(-8, 0)[0] < ahead[0] - 1
    assert dark_at(0, 8)[1] < ahead[1] - 1 and dark_at(0, -8)[1] > ahead[1] + 1
    assert np.abs(dark_at(4, 0) - ahead).max() > 0.5


def test_the_set_is_reproducible_and_heads_perform_alike_in_every_set(build):
    first, second, alone = (
        build("one", "--only", "A", "B"),
        build("two", "--only", "A", "B"),
        build("b", "--only", "B"),
    )
    assert bytes_of(first) == bytes_of(second)
    for name in ("B_0.mp4", "B_1.mp4"):
        assert (alone / "clips" / name).read_bytes() == (first / "clips" / name).read_bytes()
    assert (alone / "LICENSE").read_text() == "MIT"
    card = (alone / "README.md").read_text()
    assert "--only B --clips 2" in card and "VALID" in card and "ICT" not in card and "license: unknown" in card


def test_only_sets_of_public_heads_carry_their_licence(heads):
    settings = ClipSettings(size=SIZE)
    own = prepare_heads({"A": heads / "A_Casual.glb"}, [heads], settings)
    public = prepare_heads({"Black_F_2": heads / "B_Casual.glb"}, [heads], settings)
    licences = [describe(clip_set.DESCRIPTION, groups).licence_id for groups in ([public], [own], [public, own])]
    assert licences == ["mit", "unknown", "unknown"]


def test_heads_are_chosen_by_name_and_number(build):
    assert identities(build("excluded", "--clips", "1", "--exclude", "A")) == {"B", "C"}
    assert identities(build("two", "--clips", "1", "--people", "2")) == {"A", "B"}
    assert identities(build("both", "--clips", "1", "--only", "C", "--exclude", "A", "C")) == {"C"}


def test_portraits_and_heads_share_a_set(build, portraits):
    options, source = portraits
    folder = build("set", "--clips", "1", "--only", "B", "source_a", *options, more=[source])
    assert identities(folder) == {"B", "source_a"}
    card = (folder / "README.md").read_text()
    assert "VALID" in card and "ICT-FaceKit" in card and "license: unknown" in card
    assert identities(build("heads", "--clips", "1", "--only", "B", more=[source])) == {"B"}
    with pytest.raises(SystemExit, match="--ict is missing"):
        build("none", "--only", "a", more=[source])
    with pytest.raises(SystemExit, match="--only zz: no person has that name"):
        build("none", "--only", "zz", *options, more=[source])


@pytest.mark.parametrize("options, message", [
    (("--only", "zz"), "--only zz: no head has that name; the heads are A, B, C"),
    (("--exclude", "A", "B", "C"), "--exclude leaves nobody to show"),
])  # fmt: skip
def test_wrong_names_are_refused(build, options, message):
    with pytest.raises(SystemExit, match=message):
        build("set", *options)


def test_two_heads_of_one_name_are_refused(build, tmp_path):
    make_head(tmp_path / "others" / "A_Casual.glb")
    with pytest.raises(SystemExit, match="two sources have a A"):
        build("set", more=[tmp_path / "others"])


def test_a_file_that_is_no_head_is_refused_before_the_first_clip(build, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "D.glb").write_bytes(b"no head")
    with pytest.raises(SystemExit, match=r"D\.glb"):
        build("set", more=[tmp_path / "broken"])
    assert not (tmp_path / "set" / "clips").exists()


@pytest.fixture
def build_without(bare_python, heads, tmp_path):
    """A function that runs the command where some packages are missing."""

    def run(names: list[str], *options: str):
        without = f"import sys; sys.modules |= dict.fromkeys({names}); from tergan_hf.cli.data import main; main()"
        words = ["-c", without, "clips", "--source", heads, "--output", tmp_path / "set", *options]
        return bare_python.run(words, ROOT)

    return run


@pytest.mark.parametrize("package, extra", [("numba", "render,video"), ("av", "video")])
def test_a_missing_package_is_named(build_without, package, extra):
    done = build_without([package])
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f'need the package {package}: pip install -e ".[{extra}]"' in done.stderr


def test_clips_of_heads_need_no_package_of_the_portraits(build_without, tmp_path):
    done = build_without(["mediapipe", "cv2", "scipy"], "--only", "A", "--clips", "1", "--size", "64")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "set" / "clips" / "A_0.mp4").is_file()
