"""The contact sheet of portraits."""

import sys

import numpy as np
import pytest
from PIL import Image

from tergan_hf.data.contact_sheet import CAPTION_HEIGHT
from tergan_hf.portraits import __main__ as sheet_command
from tergan_hf.portraits import assets
from tergan_hf.portraits.fitting import Fitter

from .portrait_model import make_correspondence, make_face_model, use_portrait_model


SIZE = 64


@pytest.fixture
def draw(monkeypatch, tmp_path):
    """A function that runs the command on three synthetic people and returns the pixels of the sheet."""
    model = make_face_model()
    use_portrait_model(monkeypatch, tmp_path, Fitter(model, make_correspondence(model)))

    def run(*options):
        monkeypatch.setattr(sys, "argv", [
            "tergan_hf.portraits", "--source", str(tmp_path / "source"), "--ict", str(tmp_path / "ict"),
            "--landmarker", str(tmp_path / "landmarker"), "--output", str(tmp_path / "sheet.png"),
            "--size", str(SIZE), *options,
        ])  # fmt: skip
        sheet_command.main()
        return np.asarray(Image.open(tmp_path / "sheet.png")).astype(int)

    return run


def cell(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = CAPTION_HEIGHT + row * (SIZE + CAPTION_HEIGHT), column * SIZE
    return sheet[top : top + SIZE, left : left + SIZE]


def test_a_sheet_has_a_row_for_each_person_and_a_column_for_each_expression(draw):
    sheet = draw("--people", "b", "a", "--expressions", "neutral", "jaw open", "blink")
    assert sheet.shape == (CAPTION_HEIGHT + 2 * (SIZE + CAPTION_HEIGHT), 3 * SIZE, 3)
    for row in range(2):
        neutral, opened, closed = (cell(sheet, row, column) for column in range(3))
        mouth, eyes = slice(SIZE * 5 // 8, SIZE), slice(0, SIZE // 2)
        assert np.abs(opened - neutral)[mouth].mean() > 3 * np.abs(closed - neutral)[mouth].mean()
        assert np.abs(closed - neutral)[eyes].mean() > 3 * np.abs(opened - neutral)[eyes].mean()
    assert draw("--people", "c").shape[1] == 16 * SIZE


def test_people_on_the_sheet_teach_nothing(draw, monkeypatch, tmp_path):
    taught = []
    monkeypatch.setattr(
        assets, "cached_smile_prior",
        lambda people, *_: taught.extend(one.identity for one in people) or tmp_path / "smile_prior.npz",
    )  # fmt: skip
    draw("--people", "source_c", "a", "--expressions", "neutral")
    assert taught == ["source_b"]


def test_a_person_without_a_face_leaves_a_gap(draw, tmp_path):
    Image.new("RGB", (480, 480)).save(tmp_path / "source" / "b.png")
    sheet = draw("--people", "b", "a", "--expressions", "neutral")
    assert (cell(sheet, 0, 0) == 255).all() and cell(sheet, 1, 0).std() > 5
    with pytest.raises(SystemExit, match="no face was found in the portraits of source_b"):
        draw("--people", "b", "--expressions", "neutral")


@pytest.mark.parametrize("options, message", [
    ((), "everybody would be shown, and nobody is left"),
    (("--people", "zz"), "--people zz: no person has that name"),
    (("--people", "a", "--expressions", "joy"), "--expressions joy: use some of neutral"),
    (("--people", "a", "--size", "100"), "multiple of 8"),
    (("--people", "a", "--output", "sheet.what"), "sheet.what does not have the extension of an image"),
])  # fmt: skip
def test_wrong_options_are_refused(draw, options, message):
    with pytest.raises(SystemExit, match=f"tergan_hf.portraits: .*{message}"):
        draw(*options)
