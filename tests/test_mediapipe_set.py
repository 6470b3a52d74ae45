"""The set `mediapipe`: scores of a landmarker as blendshapes of real photos."""

import sys

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset
from PIL import Image as PILImage

from tergan_hf.cli import data as command
from tergan_hf.data.loading import load_photos
from tergan_hf.expressions.blendshapes import BLENDSHAPE_INDEX, COLUMN_NAMES
from tergan_hf.portraits import mediapipe_set
from tergan_hf.portraits.score_calibration import MIN_CORRELATION, fit_calibration, reduce_like

from .pictures import cell


JAW, GAZE = BLENDSHAPE_INDEX["jawOpen"], COLUMN_NAMES.index("gazeX")
NOTHING = 5  # grey level of a picture without a face


class Brightness:
    """A landmarker whose first score is the brightness of the picture's middle, and whose second is noise."""

    def find(self, pixels):
        middle = float(pixels[len(pixels) // 2, len(pixels[0]) // 2].mean())
        if middle < NOTHING + 1:
            return None
        noise = np.random.default_rng(int(pixels.sum()) % 1000).random()
        return None, {f"score{n}": v for n, v in enumerate([middle / 255, noise, *[0.0] * 50])}


def grey(level: float, side: int) -> dict:
    return cell(PILImage.new("RGB", (side, side), (round(level),) * 3))


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A function that runs the command on a set of 48-pixel photos, with portraits whose jaw opens by brightness."""
    random = np.random.default_rng(0)
    portraits, rows = [], []
    for number in range(80):
        level, values = random.uniform(50, 250), random.uniform(0, 1, len(COLUMN_NAMES))
        values[JAW], values[GAZE] = 2 * level / 255 - 0.3, 0.0
        portraits.append({"image": grey(level, 256), "blendshapes": values, "identity": f"p{number % 8}"})
    features = Features(image=Image(), blendshapes=List(Value("float32")), identity=Value("string"))
    (tmp_path / "portraits").mkdir()
    Dataset.from_list(portraits, features=features).to_parquet(tmp_path / "portraits" / "train-00000-of-00001.parquet")
    for level in (60, NOTHING, 120, 250):
        rows.append({"image": grey(level, 48), "expression": "fear", "votes": [level, 1]})
    features = Features(image=Image(), expression=Value("string"), votes=List(Value("int32")))
    (tmp_path / "fer").mkdir()
    for split in ("train", "validation"):
        Dataset.from_list(rows, features=features).to_parquet(tmp_path / "fer" / f"{split}-00000-of-00001.parquet")
    (tmp_path / "landmarker").write_bytes(b"")
    monkeypatch.setattr(mediapipe_set, "_load_landmarker", lambda _: Brightness())
    monkeypatch.setattr(mediapipe_set.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def run(output="out", **options):
        options = {"source": "fer", "reference": "portraits", "landmarker": "landmarker"} | options
        arguments = [f for name, value in options.items() for f in (f"--{name}", str(tmp_path / value))]
        monkeypatch.setattr(
            sys, "argv", ["data", "mediapipe", *arguments, "--output", str(tmp_path / output), "--processes", "1"]
        )
        command.main()
        return tmp_path / output

    return run


def test_photos_keep_their_columns_and_get_what_can_be_read(build):
    folder = build()
    for split in ("train", "validation"):
        photos = load_photos(str(folder), split)
        assert [votes[0] for votes in photos["votes"]] == [60, NOTHING, 120, 250]
        values = np.array(photos["blendshapes"][:])
        assert values.shape == (4, 53)
        np.testing.assert_allclose(values[[0, 2, 3], JAW], [2 * 60 / 255 - 0.3, 2 * 120 / 255 - 0.3, 1.2], atol=0.04)
        assert np.isnan(values[1]).all()  # no face
        assert np.isnan(np.delete(values, JAW, 1)).all()  # noise cannot be read, and what never moves is unknown
    card = (folder / "README.md").read_text()
    assert "jawOpen 1.00" in card and "gazeX" not in card.split("people kept out:")[1]
    load_dataset(str(folder))


def test_shards_may_be_empty(build, tmp_path):
    build("whole")
    for folder, split in (("fer", "train"), ("portraits", "train")):
        path = tmp_path / folder / f"{split}-00000-of-00001.parquet"
        empty = Dataset.from_parquet(str(path)).select([])
        empty.to_parquet(tmp_path / folder / f"{split}-00000-of-00002.parquet")
        path.rename(tmp_path / folder / f"{split}-00001-of-00002.parquet")
    photos = load_photos(str(build("again")), "train")
    whole = load_photos(str(tmp_path / "whole"), "train")
    np.testing.assert_array_equal(photos["blendshapes"][:], whole["blendshapes"][:])


def test_an_unfinished_set_is_refused(build, tmp_path):
    (tmp_path / "fer" / "build.json").write_text("{}")
    with pytest.raises(SystemExit, match="fer holds an unfinished set"):
        build()


def test_two_runs_give_the_same_bytes(build):
    first, second = build(), build("again")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_wrong_folders_are_named(build, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("nothing")
    with pytest.raises(SystemExit, match="holds no parquet files"):
        build(source="notes")
    with pytest.raises(SystemExit, match="expected the folder of a set `portraits`"):
        build(reference="fer")


def test_the_correlation_is_of_people_the_map_has_not_seen():
    """With as many scores as rows, a map can learn its own rows by heart, but not other people's."""
    random = np.random.default_rng(0)
    fitted = fit_calibration(random.random((40, 52)), random.random((40, 53)), np.arange(40) // 5)
    assert np.nanmean(np.abs(fitted.correlation)) < MIN_CORRELATION and not fitted.reliable.all()


def test_a_reduced_portrait_is_its_grey_face():
    image = PILImage.new("RGB", (140, 140), "white")
    image.paste((255, 0, 0), (20, 20, 120, 120))
    reduced = np.asarray(reduce_like(image, 1.4, 48))
    assert reduced.shape == (48, 48, 3) and (reduced == reduced[0, 0, 0]).all() and reduced[0, 0, 0] == 76
