"""Which photos of a set count as kept out of training."""

import numpy as np
import pytest
import yaml
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage

from tergan_hf import InvalidInputError
from tergan_hf.data.loading import load_photos
from tergan_hf.evaluation.held_out import HeldOutSet, held_out_sets, subsample

from .pictures import cell


LABELS = ("neutral", "anger", "fear", "happiness")


def write_photos(path, rows):
    """Write a parquet file of grey photos, one for each (grey, identity, expression id, label)."""
    columns = {"image": [], "identity": [], "expression_id": [], "expression": []}
    for grey, identity, expression_id, label in rows:
        values = (cell(PILImage.new("L", (16, 16), grey)), identity, expression_id, label)
        for column, value in zip(columns.values(), values):
            column.append(value)
    features = Features(
        image=Image(), identity=Value("string"), expression_id=Value("int32"), expression=Value("string")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(columns, features=features).to_parquet(path)
    return path


def people(names, first_grey):
    return [(first_grey + number, name, -1, "neutral") for number, name in enumerate(names)]


@pytest.fixture
def run(tmp_path):
    """A function that records a run with some sources and loads sets of it."""

    def load(*sources, names=None):
        record = {"sources": [dict(zip(("name", "path", "validation_path"), source)) for source in sources]}
        (tmp_path / "training.yaml").write_text(yaml.safe_dump(record))
        return held_out_sets(tmp_path, tmp_path, None if names is None else [str(name) for name in names])

    return load


def test_a_name_alone_does_not_make_the_people_of_two_folders_the_same(tmp_path, run, caplog):
    names = ["avatar_0", "avatar_1"]
    write_photos(tmp_path / "heads" / "train.parquet", people(names, 10))
    write_photos(tmp_path / "heads" / "validation.parquet", people(names[:1], 20) + people(["avatar_2"], 30))
    write_photos(tmp_path / "others" / "train.parquet", people(names, 40))
    write_photos(tmp_path / "mixed" / "train.parquet", people(["avatar_0"], 10) + people(["avatar_1"], 50))
    (others,) = run(("heads", "heads", "others"))
    assert list(others.photos["identity"]) == names and not caplog.text
    (mixed,) = run(("heads", "heads", "mixed"))
    assert list(mixed.photos["identity"]) == ["avatar_1"]  # a photo of avatar_0 was trained on
    (own,) = run(("heads", "heads", "heads"))
    assert list(own.photos["identity"]) == ["avatar_2"]  # in one folder, the name tells


def test_a_set_trained_on_stands_for_its_validation_photos(tmp_path, run):
    write_photos(tmp_path / "crops" / "train.parquet", people([""] * 3, 10))
    write_photos(tmp_path / "crops" / "validation.parquet", people([""] * 4, 12))
    source = ("crops", "crops", "crops")
    for dataset in (tmp_path / "crops", "crops", tmp_path / "crops" / "train.parquet"):
        (crops,) = run(source, names=[dataset])
        assert (crops.name, len(crops.photos), crops.duplicates) == ("crops", 3, 1)
    (validation,) = run(source, names=[tmp_path / "crops" / "validation.parquet"])
    assert (validation.name, len(validation.photos), validation.duplicates) == ("validation", 3, 1)
    write_photos(tmp_path / "elsewhere" / "train.parquet", people([""], 90))
    with pytest.raises(InvalidInputError, match="the run trained on a set named crops"):
        run(source, names=[f"crops={tmp_path / 'elsewhere'}"])
    (renamed,) = run(source, names=[f"mine={tmp_path / 'elsewhere'}"])
    assert renamed.name == "mine" and renamed.duplicates == 0


def test_photos_of_unknown_people_that_were_trained_on_are_left_out_of_any_set(tmp_path, run):
    write_photos(tmp_path / "crops.parquet", people([""] * 3, 10))
    copy = write_photos(tmp_path / "copy.parquet", people(["", "", "somebody"], 12))
    (unseen,) = run(("crops", "crops.parquet"), names=[copy])
    assert list(unseen.photos["identity"]) == ["", "somebody"] and unseen.duplicates == 1
    write_photos(copy, people([""] * 2, 10))
    with pytest.raises(InvalidInputError, match="copy: the training split has the same pixels as every photo"):
        run(("crops", "crops.parquet"), names=[copy])


def test_two_sets_of_the_same_name_are_refused(tmp_path, run):
    paths = [write_photos(tmp_path / folder / "validation.parquet", people(["p"], 10)) for folder in "ab"]
    with pytest.raises(InvalidInputError, match="two sets have the name validation: name one of them NAME=PATH"):
        run(names=paths)
    assert [found.name for found in run(names=[paths[0], f"b={paths[1]}"])] == ["validation", "b"]


def test_a_subsample_of_people_with_expressions_of_their_own_is_whole_people(tmp_path):
    """Everybody shows neutral as id 0, and three expressions as ids of their own."""
    rows = [
        (16 * person + pose, f"p{person}", 3 * person + pose if pose else 0, label)
        for person in range(8)
        for pose, label in enumerate(LABELS)
    ]
    photos = load_photos(str(write_photos(tmp_path / "set.parquet", rows)))
    few = subsample(HeldOutSet("a", photos, None, []), 8).photos
    assert len(few) == 8 and sorted(few["expression"]) == sorted(2 * LABELS)
    unknown = photos.remove_columns("identity").add_column("identity", [""] * len(photos))
    few = subsample(HeldOutSet("a", unknown, None, []), 10).photos
    assert len(few) == 10 and len(np.unique(few["expression"])) > 2
