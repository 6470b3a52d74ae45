"""The evaluation command, its sets and its report."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage
from safetensors.torch import save_file

from tergan_hf import InvalidInputError, TerGanPipeline
from tergan_hf.cli import evaluate
from tergan_hf.evaluation import held_out
from tergan_hf.evaluation.report import baseline_note
from tergan_hf.evaluation.suite import BASELINE, Evaluation, Settings
from tergan_hf.evaluation.systems import (
    COPY_SOURCE,
    COPY_TARGET,
    RANDOM,
    baseline_system,
    random_system,
    same_expression_encoder,
)

from .conftest import EXAMPLES
from .faces import loose_crops, photographed_people, repeatable_people
from .pictures import cell
from .tiny_models import save_pipeline


def save(pipe, folder, **record):
    save_pipeline(pipe, folder)
    (folder / "training.yaml").write_text(yaml.safe_dump(record))


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiny_photo_pipeline):
    """A folder with small sets, and weights that kept some people out."""
    folder = tmp_path_factory.mktemp("data")
    repeatable_people(folder / "avatars.parquet")
    photographed_people(folder / "people")
    loose_crops(folder / "validation.parquet")
    loose_crops(folder / "private_test.parquet", 9)
    save(
        tiny_photo_pipeline, folder / "weights", preset="photo", freeze_expression_encoder=True,
        sources=[
            {"name": "avatars", "path": "avatars.parquet", "align": False},
            {"name": "people", "path": "people"},
            {"name": "crops", "path": "crops.parquet", "align": False, "validation_path": "validation.parquet"},
            {"name": "absent", "path": "absent"},
            {"name": "all_trained_on", "path": "avatars.parquet"},
        ],
        kept_out={"avatars": ["p1", "p2", "p3"], "people": ["london_014"], "absent": ["x"], "all_trained_on": []},
    )  # fmt: skip
    return folder


def measure(data, report, *arguments):
    options = ["--model", data / "weights", "--data_root", data, "--report", report, "--device", "cpu"]
    evaluate.main([*map(str, options), "--no-perceptual", "--pairs", "4", *map(str, arguments)])
    return json.loads((report / "report.json").read_text())


@pytest.fixture(scope="module")
def report(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return folder, measure(data, folder)


def test_the_command_measures_only_people_kept_out(report):
    folder, measured = report
    sets = measured["sets"]
    assert list(sets) == ["avatars", "people", "crops", "crops_private_test"]
    assert (sets["avatars"]["photos"], sets["avatars"]["people"]) == (12, 3)
    assert (sets["people"]["photos"], sets["people"]["kept_out"]) == (2, ["london_014"])
    assert (sets["crops"]["photos"], sets["crops_private_test"]["photos"]) == (24, 9)
    assert sets["crops"]["people"] is None and sets["crops"]["cross_validation"]["by"] == "photos"
    names = {path.name for path in (folder / "figures").iterdir()}
    assert {"avatars_tsne.png", "avatars_transfer.png", "avatars_intensity.png", "people_editing.png",
            "crops_recognition.png"} <= names  # fmt: skip
    assert "SFace" in measured["unavailable"] and "FaceExpressionNet" in measured["unavailable"]


def test_the_report_has_baselines_and_pictures(report):
    folder, _ = report
    text = (folder / "report.md").read_text()
    for needed in (COPY_TARGET, COPY_SOURCE, RANDOM, "chance", "most frequent label", "Kept out of training: p1, p2"):
        assert needed in text
    shown = {line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert shown == {f"figures/{path.name}" for path in (folder / "figures").iterdir()}
    assert "is this very network" in text  # stage 2 does not train G_es, so the CNN baseline is f(e)


def test_random_weights_recognise_nothing(report):
    """Random scores of seven classes are far below those of any trained network."""
    for name in ("avatars", "crops"):
        assert report[1]["sets"][name]["recognition"]["accuracy"] <= 0.5


def test_the_same_command_gives_the_same_numbers(data, report, tmp_path):
    again = measure(data, tmp_path, "--dataset", "avatars")
    assert again["sets"]["avatars"] == report[1]["sets"]["avatars"]


def oulu_casia(path, people=4):
    """A small set in the layout of Oulu-CASIA, with six expressions and neutral of each person."""
    rows = []
    for number, photo in enumerate(sorted(EXAMPLES.glob("*.jpg"))[:people]):
        image = PILImage.open(photo).convert("RGB").resize((128, 128))
        for angle, label in enumerate(["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]):
            turned = image.rotate(angle - 3, fillcolor="white")
            rows.append({"image": cell(turned), "identity": f"P{number:03d}", "expression": label})
    features = Features(image=Image(), identity=Value("string"), expression=Value("string"))
    Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def test_the_papers_protocol_prints_its_table_beside_ours(data, tmp_path, capsys):
    path = oulu_casia(tmp_path / "oulu_casia.parquet")
    measured = measure(data, tmp_path / "out", "--protocol", "oulu-casia", "--dataset", path)["sets"]["oulu_casia"]
    assert (measured["photos"], measured["people"]) == (24, 4)  # without neutral
    assert measured["cross_validation"]["classes"] == 6 and measured["cross_validation"]["by"] == "people"
    printed = capsys.readouterr().out
    assert "TER-GAN (paper) | 89.65" in printed and "CNN baseline (paper) | 73.14" in printed
    assert "f(e) (this evaluation)" in printed


def test_people_whom_the_weights_were_trained_on_are_left_out(tmp_path):
    path = oulu_casia(tmp_path / "oulu_casia.parquet")
    copy = shutil.copy(path, tmp_path / "renamed.parquet")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    record = {"sources": [{"name": "oulu_casia", "path": "oulu_casia.parquet"}]}

    def people(kept_out, dataset, data_root=tmp_path):
        values = {**record, "kept_out": {"oulu_casia": kept_out}}
        (tmp_path / "training.yaml").write_text(yaml.safe_dump(values))
        return set(held_out.held_out_sets(tmp_path, data_root, [str(dataset)])[0].photos["identity"])

    for dataset in (path, copy, "oulu_casia"):  # by place, by the pixels, by name
        assert people(["P001", "P002"], dataset) == {"P001", "P002"}
    assert people(["P001"], f"oulu_casia={copy}", elsewhere) == {"P001"}  # by name, without the training photos
    assert people(["P001"], f"mine={copy}", elsewhere) == {"P000", "P001", "P002", "P003"}  # nothing says who they are
    for dataset in (path, copy):
        with pytest.raises(InvalidInputError, match="the weights were trained on all 4 people of this set"):
            people([], dataset)


def test_photos_without_a_face_count_as_wrong_in_the_papers_protocol(data, tmp_path, capsys):
    path = oulu_casia(tmp_path / "whole.parquet")
    rows = Dataset.from_parquet(str(path)).cast_column("image", Image(decode=False)).to_list()
    rows[0]["image"] = cell(PILImage.new("RGB", (128, 128), "white"))  # anger of the first person
    features = Features(image=Image(), identity=Value("string"), expression=Value("string"))
    Dataset.from_list(rows, features=features).to_parquet(tmp_path / "blank.parquet")
    arguments = ["--protocol", "oulu-casia", "--dataset", tmp_path / "blank.parquet"]
    measured = measure(data, tmp_path / "out", *arguments)["sets"]["blank"]
    assert measured["photos"] == 24 and measured["photos_without_a_face"] == 1
    for row in measured["cross_validation"]["rows"].values():
        assert np.sum(row["confusion"]) == 23 and row["recall"]["anger"] <= 0.75
    assert "1 photos without a detected face count as wrong" in capsys.readouterr().out


def test_one_person_has_no_folds_and_the_report_says_so(data, tmp_path, capsys):
    path = oulu_casia(tmp_path / "one.parquet", people=1)
    measured = measure(data, tmp_path / "out", "--protocol", "oulu-casia", "--dataset", path)["sets"]["one"]
    assert measured["people"] == 1 and not measured["cross_validation"]
    assert "Table 1 is not measured: its folds need two people" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "nowhere"], "nowhere"),
        (["--dataset", "absent"], "absent"),
        (["--dataset", "all_trained_on"], "kept nobody of this set out"),
        (["--judges", "no-such-folder"], "face_recognition_sface_2021dec.onnx"),
        (["--protocol", "oulu-casia"], "your copy of Oulu-CASIA"),
        (["--baseline", "gone.safetensors"], r"gone\.safetensors"),
        (["--baseline", "no/model"], "no/model is neither a folder nor a model"),
        (["--model", "no/model"], "no/model is neither a folder nor a model"),
        (["--folds", "1"], "--folds"),
        (["--data_root", "no-data-here"], "no data set that"),
    ],
)
def test_a_missing_input_is_named(data, tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        measure(data, tmp_path, *arguments)


def test_weights_without_a_record_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"training\.yaml"):
        held_out.held_out_sets(tmp_path, tmp_path)


def test_sets_on_the_hub_are_read_there(tmp_path, drawn_people, monkeypatch):
    paths = []
    monkeypatch.setattr(held_out, "load_photos", lambda path, *_, **__: paths.append(path) or drawn_people)
    sources = [
        {"name": "faces", "path": "hub://org/faces"},
        {"name": "crops", "path": "hub://org/crops", "validation_path": "hub://org/crops-validation"},
    ]
    (tmp_path / "training.yaml").write_text(yaml.safe_dump({"sources": sources, "kept_out": {"faces": ["p1"]}}))
    faces, crops = held_out.held_out_sets(tmp_path, tmp_path)
    assert paths == ["hub://org/faces", "hub://org/crops-validation"]
    assert set(faces.photos["identity"]) == {"p1"} and len(faces.training_photos) == 12 and len(crops.photos) == 16


def test_a_subsample_has_the_same_expression_ids_of_everybody_or_whole_people(drawn_people):
    few = held_out.subsample(held_out.HeldOutSet("a", drawn_people, None, []), 8).photos
    assert set(few["identity"]) == set(drawn_people["identity"]) and len(few) == 8
    assert len(set(few["expression_id"])) == 2
    plain = drawn_people.remove_columns("expression_id").add_column("expression_id", [-1] * 16)
    few = held_out.subsample(held_out.HeldOutSet("a", plain, None, []), 8).photos
    assert sorted(set(few["identity"])) == ["p0", "p1"] and len(few) == 8


def test_the_cnn_baseline_is_loaded_from_stage_one(tmp_path, tiny_photo_pipeline, drawn_people):
    def stage(model):
        weights = model.expression_encoder.state_dict().items()
        save_file({f"encoder.{name}": value.contiguous() for name, value in weights}, tmp_path / "stage.safetensors")
        return tmp_path / "stage.safetensors"

    measured, stale = {}, tmp_path / "figures" / "people_intensity.png"
    stale.parent.mkdir()
    stale.touch()  # of an earlier report
    for name, model in (
        ("same", tiny_photo_pipeline.model),
        ("other", random_system(tiny_photo_pipeline, seed=3).model),
    ):
        pipe = TerGanPipeline(tiny_photo_pipeline.model, tiny_photo_pipeline.image_processor)
        baseline = baseline_system(pipe, stage(model))
        held_out_set = held_out.HeldOutSet("people", drawn_people, held_out.DataSource("people", "", align=False), [])
        settings = Settings("oulu-casia")
        measured[name] = Evaluation(pipe, tmp_path, settings, baseline).run([held_out_set])["people"]
        assert measured[name]["figures"] == [] and not stale.exists()
    assert BASELINE not in measured["same"]["cross_validation"]["rows"]
    assert BASELINE in measured["other"]["cross_validation"]["rows"]
    save_file({"encoder.embedding.bias": torch.zeros(3)}, tmp_path / "stage.safetensors")
    with pytest.raises(ValueError, match="no G_es of this model's sizes"):
        baseline_system(tiny_photo_pipeline, tmp_path / "stage.safetensors")


def test_rounded_weights_are_the_same_network(tiny_photo_pipeline, tmp_path):
    """Published weights are rounded to 8 bits, the file of stage 1 is not."""
    own = TerGanPipeline(copy.deepcopy(tiny_photo_pipeline.model), tiny_photo_pipeline.image_processor)
    own.model.quantize(torch.rand(2, 3, 32, 32) * 2 - 1)
    save(own, tmp_path)
    saved = TerGanPipeline.from_pretrained(tmp_path, device="cpu")
    assert same_expression_encoder(saved, tiny_photo_pipeline) and same_expression_encoder(tiny_photo_pipeline, saved)
    assert not same_expression_encoder(saved, random_system(tiny_photo_pipeline, seed=3))
    with torch.no_grad():
        saved.model.expression_encoder.embedding.bias += 0.1
    assert not same_expression_encoder(saved, tiny_photo_pipeline)


def test_a_different_baseline_of_a_frozen_encoder_is_named_as_such():
    frozen, trained = ({"freeze_expression_encoder": value} for value in (True, False))
    measured = {"cross_validation": {"baseline": BASELINE}}
    assert "is another network" in baseline_note(measured, frozen)
    assert baseline_note(measured, trained) == "`CNN baseline` is G_es after stage 1."


def test_new_people_who_share_no_expression_have_no_gain(drawn_people, tiny_photo_pipeline, tmp_path):
    """p1 and p3 are blended from heads that were all kept out. p0 and p2 connect them."""
    shown = {"p1": {0, 1}, "p3": {2, 3}}
    rows = [
        row
        for row, (name, expression_id) in enumerate(zip(drawn_people["identity"], drawn_people["expression_id"]))
        if expression_id in shown.get(name, range(4))
    ]
    source = held_out.DataSource("heads", "", align=False, group_column="heads", group_separator="+")
    photos = held_out.HeldOutSet("heads", drawn_people.select(rows), source, ["h1", "h3"])
    pipe = TerGanPipeline(tiny_photo_pipeline.model, tiny_photo_pipeline.image_processor)
    measured = Evaluation(pipe, tmp_path, Settings(pairs=4, intensity_pairs=2, folds=2)).run([photos])["heads"]
    assert measured["transfer"]["pairs"] == 4
    assert measured["nothing_seen"]["people"] == 2 and "gain" not in measured["nothing_seen"]
