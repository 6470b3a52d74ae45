"""Loading labelled photos and splitting them."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset, Features, Value
from datasets import Image as HubImage

from tergan_hf.data.loading import NO_EXPRESSION_ID, DataSource, load_photos
from tergan_hf.data.padded_crops import make_padded_crops, padded_crop_size
from tergan_hf.data.photo_set import label_photo_sets
from tergan_hf.data.preparation import load_split, prepare_sets
from tergan_hf.data.splits import read_names, split_by_fold, split_by_group, split_by_names
from tergan_hf.model.errors_tergan import InvalidInputError, MissingFileError

from .faces import loose_crops, photographed_people, repeatable_people


EXPRESSIONS = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
SIDE = padded_crop_size(32)


@pytest.fixture(scope="module")
def photographed(tmp_path_factory):
    return photographed_people(tmp_path_factory.mktemp("data") / "people")


def test_a_folder_with_a_validation_split_in_one_file_or_in_shards_is_validated_on_it(tmp_path):
    folder = tmp_path / "fer2013"
    folder.mkdir()
    loose_crops(folder / "train-00000-of-00002.parquet", 5)
    loose_crops(folder / "train-00001-of-00002.parquet", 4)
    loose_crops(folder / "validation.parquet", 3)
    source = DataSource("fer2013", "fer2013", align=False, validation_path="fer2013")
    photos, held_out, _ = load_split(source, lambda path: str(tmp_path / path), 32, seed=0)
    assert (len(photos), len(held_out)) == (9, 3)


def test_folders_and_parquet_files_have_the_same_columns(tmp_path, photographed):
    folder = load_photos(str(photographed))
    parquet = load_photos(str(loose_crops(tmp_path / "fer.parquet")))
    for photos in (folder, parquet):
        assert {"image", "expression", "identity", "expression_id"} <= set(photos.column_names)
    assert set(folder["expression_id"]) == {NO_EXPRESSION_ID}
    assert set(parquet["identity"]) == {""}


def test_missing_data_and_columns_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.parquet"):
        load_photos(str(tmp_path / "gone.parquet"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_photos(str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="hub://owner/name"):
        load_photos("fer2013")
    Dataset.from_dict({"image": ["x"]}).to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(InvalidInputError, match="'expression'"):
        load_photos(str(tmp_path / "bare.parquet"))


def test_missing_splits_and_broken_files_are_named(tmp_path, photographed):
    with pytest.raises(InvalidInputError, match=rf"{photographed}: .*\"test\""):
        load_photos(str(photographed), "test")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InvalidInputError, match=r"broken\.parquet"):
        load_photos(str(tmp_path / "broken.parquet"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match="empty"):
        load_photos(str(tmp_path / "empty"))


def test_errors_of_a_source_name_it(tmp_path):
    def prepare(path):
        prepare_sets(Accelerator(cpu=True), [DataSource("people", str(path))], str, EXPRESSIONS, 32, 0)

    with pytest.raises(MissingFileError, match=r"source 'people': .*nowhere"):
        prepare(tmp_path / "nowhere")
    Dataset.from_dict({"image": ["x"]}).to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(InvalidInputError, match=r"source 'people': .*'expression'"):
        prepare(tmp_path / "bare.parquet")


@pytest.mark.parametrize("streaming", [False, True])
def test_old_column_names_load_as_the_new_ones(tmp_path, streaming):
    new_names = {"sitting": "session", "recipe": "expression_id", "activations": "blendshapes", "motion": "flow"}
    photos = load_photos(str(repeatable_people(tmp_path / "people.parquet")))
    photos = photos.add_column("session", [row % 2 for row in range(len(photos))])
    photos = photos.add_column("blendshapes", [[0.01 * row, *[1.0] * 52] for row in range(len(photos))])
    photos = photos.add_column("flow", photos["image"][:]).cast_column("flow", HubImage(decode=False))
    photos.to_parquet(tmp_path / "new.parquet")
    photos.rename_columns({new: old for old, new in new_names.items()}).to_parquet(tmp_path / "old.parquet")
    loaded = {}
    for name in ("new", "old"):
        found = load_photos(str(tmp_path / f"{name}.parquet"), streaming=streaming)
        assert set(new_names.values()) <= set(found.column_names) and not set(new_names) & set(found.column_names)
        loaded[name] = label_photo_sets({"people": make_padded_crops(found, 32, align=False)}, EXPRESSIONS)[0][0]
    new, old = loaded["new"], loaded["old"]
    assert len(old) == 16 and len(set(old.scenes)) == 8 and old.has_flow
    for field in ("expressions", "identities", "scenes", "expression_ids", "blendshapes", "photo_sizes"):
        assert np.array_equal(getattr(old, field), getattr(new, field)), field
    for row in (0, 7):
        assert torch.equal(old.flow_map(row), new.flow_map(row))
        assert torch.equal(old.pixels(row, SIDE), new.pixels(row, SIDE))


def test_empty_cells_mean_no_identity_and_no_expression_id(tmp_path):
    table = {"image": [None] * 2, "expression": ["anger", "fear"], "identity": [None, "a"], "expression_id": [None, 3]}
    features = Features(
        image=HubImage(), expression=Value("string"), identity=Value("string"), expression_id=Value("int64")
    )  # fmt: skip
    Dataset.from_dict(table, features=features).to_parquet(tmp_path / "gaps.parquet")
    photos = load_photos(str(tmp_path / "gaps.parquet"))
    assert photos["identity"][:] == ["", "a"] and photos["expression_id"][:] == [NO_EXPRESSION_ID, 3]


def test_photos_without_identities_are_split_one_by_one():
    rows = Dataset.from_dict({"identity": [""] * 10, "row": list(range(10))})
    training, validation, _ = split_by_group(rows, fraction=0.3)
    assert len(validation) == 3 and len(training) == 7


def test_a_split_separates_people_independently_of_row_order():
    rows = Dataset.from_dict({"identity": [f"p{n % 20}" for n in range(200)], "row": list(range(200))})
    training, validation, kept_out = split_by_group(rows, fraction=0.25, seed=3)
    assert not set(training["identity"]) & set(validation["identity"])
    assert set(validation["identity"]) == set(kept_out) and len(kept_out) == 5
    assert split_by_group(rows.shuffle(seed=1), fraction=0.25, seed=3)[2] == kept_out
    assert split_by_group(rows, fraction=0.25, seed=4)[2] != kept_out


def test_each_person_is_kept_out_in_exactly_one_fold():
    rows = Dataset.from_dict({"identity": [f"p{n % 21}" for n in range(210)], "row": list(range(210))})
    splits = [split_by_fold(rows, 8, fold, seed=1) for fold in range(8)]
    for training, validation, kept_out in splits:
        assert not set(training["identity"]) & set(validation["identity"])
        assert set(validation["identity"]) == set(kept_out) and len(kept_out) in (2, 3)
        assert len(training) + len(validation) == 210
    everybody = [name for _, _, kept_out in splits for name in kept_out]
    assert sorted(everybody) == sorted(set(rows["identity"]))
    with pytest.raises(InvalidInputError, match="no fold 8 of 8"):
        split_by_fold(rows, 8, 8)
    heads = Dataset.from_dict({"heads": ["a", "b", "c", "a+b", "b+c"]})
    for fold in range(3):
        training, _, kept_out = split_by_fold(heads, 3, fold, "heads", "+")
        assert not any(set(names.split("+")) & set(kept_out) for names in training["heads"])


def test_a_split_keeps_out_every_blend_of_a_head():
    rows = Dataset.from_dict({"heads": ["a", "b", "c", "d", "a+b", "c+d", "a+c", "b+d"]})
    training, validation, kept_out = split_by_group(rows, "heads", 0.25, "+", seed=0)
    for heads in training["heads"]:
        assert not set(heads.split("+")) & set(kept_out)
    for heads in validation["heads"]:
        assert set(heads.split("+")) & set(kept_out)


def test_named_groups_are_kept_out(tmp_path):
    rows = Dataset.from_dict({"heads": ["a", "b", "a+b", "c"]})
    training, validation, kept_out = split_by_names(rows, ["b", "somebody else"], "heads", "+")
    assert training["heads"][:] == ["a", "c"] and validation["heads"][:] == ["b", "a+b"] and kept_out == ["b"]
    with pytest.raises(InvalidInputError, match="by 1 names leaves 4 photos for training and 0 for validation"):
        split_by_names(rows, ["d"], "heads", "+")
    (tmp_path / "names.txt").write_text("b\n\nc \n")
    assert read_names(str(tmp_path / "names.txt")) == ["b", "c"] == read_names(["b", "c"])
    (tmp_path / "names.txt").write_bytes("b\r\n\r\nc \r\n".encode("utf-16"))
    assert read_names(str(tmp_path / "names.txt")) == ["b", "c"]
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfb\nc")
    assert read_names(str(tmp_path / "names.txt")) == ["b", "c"]
    with pytest.raises(InvalidInputError, match="write 7 in quotes"):
        read_names(["b", 7])
    with pytest.raises(MissingFileError, match=r"no file nowhere\.txt"):
        read_names("nowhere.txt")


def test_a_split_with_an_empty_side_is_refused():
    with pytest.raises(InvalidInputError, match=r"all 2 photos have the same 'identity'.*file_name"):
        split_by_group(Dataset.from_dict({"identity": ["a", "a"]}), fraction=0.2)
    with pytest.raises(InvalidInputError, match="leaves"):
        split_by_group(Dataset.from_dict({"identity": ["a", "b"]}), fraction=1.0)


def test_a_missing_group_column_is_named():
    rows = Dataset.from_dict({"identity": ["a", "b"]})
    for split in (lambda: split_by_group(rows, "heads"), lambda: split_by_fold(rows, 2, 0, "heads")):
        with pytest.raises(InvalidInputError, match=r"no column 'heads' \(columns: identity\)"):
            split()
