"""FER2013: labels by FER+'s votes, photos of test splits, copies of equalised contrast."""

import csv
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

from tergan_hf.data.sets.ferplus import ANSWERS, distribution, winner

from .sources import write_photo
from .test_building import refusal, run


def votes(**counts: int) -> list[int]:
    return [counts.get(answer, 0) for answer in ANSWERS]


def photo(seed: int, contrast: float = 54, mean: float = 120) -> np.ndarray:
    """48×48 grey levels of noise."""
    return np.clip(np.random.default_rng(seed).normal(mean, contrast, (48, 48)), 0, 255).astype(np.uint8)


def write_table(path: Path, rows: list[tuple[int, np.ndarray, str]]) -> Path:
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["emotion", "pixels", "Usage"])
        table.writerows([emotion, " ".join(map(str, levels.ravel())), usage] for emotion, levels, usage in rows)
    return path


def write_votes(path: Path, rows: list[tuple[str, list[int]]]) -> Path:
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Usage", "Image name", *ANSWERS])
        # As published: a photo without a face has no name, and the numbers in the names are not those of the rows.
        names = ["" if counts[-1] else f"fer{1000 - number:07d}.png" for number, (_, counts) in enumerate(rows)]
        table.writerows([usage, name, *counts] for (usage, counts), name in zip(rows, names))
    return path


@pytest.fixture
def source(tmp_path):
    """Eight rows: label and votes agree, differ, tie, no face, contempt, unknown, in a test split, the test split."""
    rows = [
        (0, 0, "Training", votes(anger=10)),
        (0, 1, "Training", votes(neutral=2, happiness=1, sadness=5, contempt=1, unknown=1)),
        (2, 2, "Training", votes(neutral=5, fear=5)),
        (3, 3, "Training", votes(NF=10)),
        (4, 4, "Training", votes(sadness=3, contempt=7)),
        (4, 5, "Training", votes(sadness=3, unknown=7)),
        (5, 6, "Training", votes(surprise=10)),
        (5, 6, "PublicTest", votes(surprise=9, fear=1)),
        (3, 7, "PrivateTest", votes(happiness=10)),
    ]
    write_table(tmp_path / "fer2013.csv", [(emotion, photo(seed), usage) for emotion, seed, usage, _ in rows])
    write_votes(tmp_path / "fer2013new.csv", [(usage, counts) for _, _, usage, counts in rows])
    return tmp_path / "fer2013.csv"


def test_votes_give_labels_and_distributions(monkeypatch, tmp_path, source):
    table = source.parent / "fer2013new.csv"
    photos = run(monkeypatch, "fer2013", source, tmp_path / "out", "--votes", str(table))
    rows = {row["file_name"]: row for row in photos}
    assert {name: row["expression"] for name, row in rows.items()} == {
        "row00000": "anger", "row00001": "sadness", "row00002": "fear",
    }  # fmt: skip
    assert [row["original_expression"] for _, row in sorted(rows.items())] == ["anger", "anger", "fear"]
    # anger, disgust, fear, happiness, neutral, sadness, surprise, of the eight votes for one of them
    np.testing.assert_allclose(rows["row00001"]["label_distribution"], [0, 0, 0, 0.125, 0.25, 0.625, 0], atol=1e-6)
    np.testing.assert_allclose(rows["row00002"]["label_distribution"], [0, 0, 0.5, 0, 0.5, 0, 0], atol=1e-6)
    assert rows["row00001"]["votes"] == [2, 1, 0, 5, 0, 0, 0, 1, 1, 0]
    whole = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in whole.items()} == {"train": 3, "validation": 1, "test": 1}


def test_the_card_counts_what_the_votes_and_the_test_splits_leave_out(monkeypatch, tmp_path, source, capsys):
    run(monkeypatch, "fer2013", source, tmp_path / "out", "--votes", str(source.parent / "fer2013new.csv"))
    card = (tmp_path / "out" / "README.md").read_text()
    for sentence in (
        "1 photos are left out because most votes say that there is no face.",
        "1 photos of train are left out because a test split has exactly the same pixels.",
        "1 photos are left out because most votes say contempt, and 1 because most say unknown.",
    ):
        assert f"- {sentence}" in card
    assert "--votes fer2013new.csv" in card and "FER+ (Microsoft, MIT)" in card and "barsoum2016training" in card
    shown = capsys.readouterr().err
    assert "note: 1 photos of train are left out" in shown and "no face was found" not in shown


def test_without_votes_only_photos_of_a_test_split_are_left_out(monkeypatch, tmp_path, source):
    photos = run(monkeypatch, "fer2013", source, tmp_path / "out")
    assert sorted(photos["file_name"]) == [f"row{number:05d}" for number in range(6)]
    assert photos.column_names[:3] == ["image", "file_name", "expression"] and "votes" not in photos.column_names
    card = (tmp_path / "out" / "README.md").read_text()
    assert "1 photos of train are left out" in card and "most votes" not in card


def test_photos_of_a_test_split_are_left_out_of_folders(monkeypatch, tmp_path):
    for name, tone in (("train/happy/1.png", 10), ("train/happy/2.png", 20), ("test/happy/9.png", 20)):
        write_photo(tmp_path / "fer" / name, tone, side=48)
    photos = run(monkeypatch, "fer2013", tmp_path / "fer", tmp_path / "out")
    assert photos["file_name"][:] == ["train/happy/1.png"]


@pytest.mark.parametrize(
    "counts, original, answer",
    [
        (votes(neutral=6, sadness=4), "sadness", "neutral"),
        (votes(neutral=5, sadness=5), "sadness", "sadness"),
        (votes(neutral=5, sadness=5), "fear", "neutral"),
        (votes(disgust=5, contempt=5), "anger", "disgust"),
        (votes(unknown=5, NF=5), "anger", "unknown"),
        (votes(anger=4, NF=6), "anger", "NF"),
        (votes(), "anger", "unknown"),
    ],
)
def test_the_answer_with_the_most_votes_wins(counts, original, answer):
    assert winner(tuple(counts), original) == answer


def test_distributions_add_up_to_one():
    assert sum(distribution(tuple(votes(neutral=3, fear=3, happiness=1, contempt=3)))) == pytest.approx(1)
    assert distribution(tuple(votes(contempt=4, NF=6))) == [0] * 7


def test_votes_of_other_rows_are_refused(monkeypatch, tmp_path, source):
    def refuse(rows, table=source) -> str:
        path = write_votes(tmp_path / "votes.csv", rows)
        return refusal(monkeypatch, "fer2013", table, tmp_path / "out", "--votes", str(path))

    training = [("Training", votes(anger=10))]
    assert "has 3 rows and the table of pixels 9" in refuse(training * 3)
    assert "row 8: usage 'Training', not that of validation" in refuse(training * 9)
    write_photo(tmp_path / "folders" / "train" / "angry" / "1.png", side=48)
    assert "not to folders" in refuse(training, tmp_path / "folders")
    missing = str(tmp_path / "none.csv")
    assert "there is no " in refusal(monkeypatch, "fer2013", source, tmp_path / "out", "--votes", missing)
    assert "has no column neutral and happiness" in refusal(
        monkeypatch, "fer2013", source, tmp_path / "out", "--votes", str(source)
    )
    table = tmp_path / "fer2013new.csv"
    table.write_text(table.read_text().replace("10,0", "ten,0", 1), encoding="utf-16")
    assert "votes must be whole numbers" in refusal(
        monkeypatch, "fer2013", source, tmp_path / "out", "--votes", str(table)
    )


def test_votes_in_another_order_are_refused(monkeypatch, tmp_path):
    """Each row is some photo's, and the votes fit the labels of the next."""
    labels = np.arange(1000) % 7
    names = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    levels = [photo(number) for number in range(2)]
    rows = [(label, levels[0], "Training") for label in labels[:-1]] + [(labels[-1], levels[1], "PublicTest")]
    table = write_table(tmp_path / "fer2013.csv", rows)
    for shift, refused in ((0, False), (1, True)):
        counts = [(usage, votes(**{names[(label + shift) % 7]: 10})) for label, _, usage in rows]
        options = ("--votes", str(write_votes(tmp_path / f"votes{shift}.csv", counts)))
        if refused:
            assert "agree with only 0%" in refusal(monkeypatch, "fer2013", table, tmp_path / "out1", *options)
        else:
            assert len(run(monkeypatch, "fer2013", table, tmp_path / "out0", *options)) == 999


def clipped(levels: np.ndarray, factor: float) -> np.ndarray:
    """Stretch the contrast of a photo about its mean, and clip it."""
    return np.clip((levels - levels.mean()) * factor + levels.mean(), 0, 255).astype(np.uint8)


def test_equalised_contrast_is_refused_unless_allowed(monkeypatch, tmp_path):
    originals = [photo(seed, mean=190 if seed % 3 == 0 else 110) for seed in range(12)]
    plain = write_table(tmp_path / "plain.csv", [(0, levels, "Training") for levels in originals])
    damaged = write_table(tmp_path / "damaged.csv", [(0, clipped(levels, 1.8), "Training") for levels in originals])
    assert len(run(monkeypatch, "fer2013", plain, tmp_path / "plain")) == 12
    message = refusal(monkeypatch, "fer2013", damaged, tmp_path / "damaged")
    assert "equalised contrast (mean" in message and "clipped" in message and "--allow-equalized" in message
    assert len(run(monkeypatch, "fer2013", damaged, tmp_path / "damaged", "--allow-equalized")) == 12
    card = (tmp_path / "damaged" / "README.md").read_text()
    assert "--allow-equalized" in card and "The source has equalised contrast" in card
    assert "equalised" not in (tmp_path / "plain" / "README.md").read_text()


def test_many_photos_of_high_contrast_are_refused_without_much_white(monkeypatch, tmp_path):
    rows = [(0, photo(seed, contrast=76, mean=125), "Training") for seed in range(100)]
    few = write_table(tmp_path / "few.csv", rows[:20])
    many = write_table(tmp_path / "many.csv", rows)
    assert len(run(monkeypatch, "fer2013", few, tmp_path / "few")) == 20
    assert "equalised contrast" in refusal(monkeypatch, "fer2013", many, tmp_path / "many")
