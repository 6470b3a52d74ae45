"""Columns of own sets as people fill them: classes, numbers, gaps, lists in a table, folders in capitals."""

import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as PILImage

from tergan_hf import InvalidInputError
from tergan_hf.data.image_cells import image_cell
from tergan_hf.data.loading import load_photos
from tergan_hf.data.people import file_digests, pixel_digests, shared_people
from tergan_hf.data.photo_folder import load_photo_folder

from .sources import write_photo


CELL = {"bytes": b"a photo", "path": None}


@pytest.mark.parametrize("streaming", [False, True])
def test_names_may_be_classes_numbers_or_missing(tmp_path, streaming):
    who = ClassLabel(names=["ann", "bob"])
    features = Features(image=Image(decode=False), expression=Value("string"), identity=who, original_expression=who)
    rows = [
        {"image": CELL, "expression": "fear", "identity": number, "original_expression": number} for number in (1, 0)
    ]
    Dataset.from_list(rows, features=features).to_parquet(tmp_path / "classes.parquet")
    features = Features(image=Image(decode=False), expression=Value("string"), identity=Value("int64"))
    rows = [{"image": CELL, "expression": "fear", "identity": number} for number in (7, None)]
    Dataset.from_list(rows, features=features).to_parquet(tmp_path / "numbers.parquet")
    found = [
        [
            (row["identity"], row.get("original_expression"))
            for row in load_photos(str(tmp_path / name), streaming=streaming)
        ]
        for name in ("classes.parquet", "numbers.parquet")
    ]
    assert found == [[("bob", "bob"), ("ann", "ann")], [("7", None), ("", None)]]


def test_lists_in_a_table_are_lists(tmp_path):
    for name in ("a.png", "b.png"):
        write_photo(tmp_path / name)
    table = tmp_path / "metadata.csv"
    table.write_text('file_name,expression,landmarks\na.png,fear,"[[1, 2], [3, 4.5]]"\nb.png,fear,\n')
    rows = load_photo_folder(tmp_path, "train", streaming=False)
    assert rows["landmarks"][:] == [[[1.0, 2.0], [3.0, 4.5]], None]
    table.write_text('file_name,expression,landmarks\na.png,fear,"[[1, 2"\n')
    with pytest.raises(InvalidInputError, match=r"metadata\.csv, line 2: a list cannot be read"):
        load_photo_folder(tmp_path, "train", streaming=False)


def test_folders_of_a_split_may_have_capitals(tmp_path):
    for folder in ("Train", "TEST"):
        (tmp_path / folder).mkdir()
        write_photo(tmp_path / folder / "a.png")
    (tmp_path / "metadata.csv").write_text("file_name,expression\nTrain/a.png,fear\nTEST/a.png,anger\n")
    found = {split: load_photo_folder(tmp_path, split, False)["expression"][:] for split in ("train", "test")}
    assert found == {"train": ["fear"], "test": ["anger"]}


def test_people_of_two_sets_are_the_same_if_a_photo_is():
    def side(kind, *people):
        photos = {name: image_cell(PILImage.new("RGB", (8, 8), colour), kind) for name, colour in people}
        return Dataset.from_list([{"identity": name, "image": photo} for name, photo in photos.items()])

    training = side("PNG", ("avatar_0000", "red"), ("avatar_0001", "green"), ("", "blue"))
    held_out = side("BMP", ("avatar_0000", "white"), ("avatar_0001", "green"), ("", "blue"))
    assert shared_people(held_out, training, False, pixel_digests) == {"avatar_0001"}
    assert shared_people(held_out, training, True, pixel_digests) == {"avatar_0000", "avatar_0001"}
    # Other bytes of the same pixels are another file.
    assert shared_people(held_out, training, False, file_digests) == set()
    again = side("PNG", ("avatar_0000", "white"), ("avatar_0001", "green"))
    assert shared_people(again, training, False, file_digests) == {"avatar_0001"}
