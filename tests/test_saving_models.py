"""Models and pipelines as users of the Hub save, load and change them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments

from tergan_hf import (
    InvalidInputError,
    TerGanConfig,
    TerGanForImageClassification,
    TerGanImageProcessor,
    TerGanModel,
    TerGanPipeline,
)
from tergan_hf.model import transfer_pipeline_tergan
from tergan_hf.model.face_detection_tergan import FaceDetector
from tergan_hf.model.model_loading_tergan import one_device
from tergan_hf.model.transfer_pipeline_tergan import FacialExpressionTransferPipeline
from tergan_hf.publishing.hub import write_model_repository

from .tiny_models import TINY, pipeline_of, save_pipeline, tiny_model


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository as `hub push` lays it out."""
    folder = save_pipeline(pipeline_of(tiny_model()), tmp_path_factory.mktemp("weights"))
    return write_model_repository(folder, tmp_path_factory.mktemp("repository"))


def named_files(folder) -> set[str]:
    """The files that `config.json` names."""
    config = json.loads((folder / "config.json").read_text())
    named = [*config.get("auto_map", {}).values(), *(entry["impl"] for entry in config["custom_pipelines"].values())]
    return {f"{name.partition('.')[0]}.py" for name in named}


def test_a_model_with_code_is_saved_with_its_code(repository, tmp_path):
    model = TerGanModel.from_pretrained(repository)
    model.save_pretrained(tmp_path / "again")
    assert named_files(tmp_path / "again") <= {path.name for path in (tmp_path / "again").iterdir()}
    TerGanModel(TerGanConfig(**TINY)).save_pretrained(tmp_path / "own")
    assert not list((tmp_path / "own").glob("*.py"))


def test_two_labels_of_any_name_are_saved(tmp_path):
    config = TerGanConfig(**TINY, num_labels=2)
    assert config.expressions == ["LABEL_0", "LABEL_1"]
    TerGanForImageClassification(config).save_pretrained(tmp_path)
    again = TerGanForImageClassification.from_pretrained(tmp_path)
    assert again.config.expressions == config.expressions and again.classifier.out_features == 2


def test_processes_beside_the_main_one_write_no_code(repository, tmp_path):
    model = TerGanModel.from_pretrained(repository)
    model.save_pretrained(tmp_path / "other", is_main_process=False)
    assert not list((tmp_path / "other").glob("*.py"))


def test_the_task_of_a_pipeline_is_saved_also_if_its_model_has_lost_it(repository, tmp_path, monkeypatch):
    model = TerGanModel.from_pretrained(repository)
    saved, save_model = transfer_pipeline(repository, model), model.save_pretrained

    def save_without_task(folder, **options):
        save_model(folder, **options)
        path = Path(folder) / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "custom_pipelines": {}}))

    monkeypatch.setattr(model, "save_pretrained", save_without_task)
    saved.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert set(config["custom_pipelines"]) == {"facial-expression-transfer"}


def test_the_detector_is_the_callers_choice(repository):
    detector = FaceDetector(max_side=1280)
    assert TerGanPipeline.from_pretrained(repository, detector=detector).detector is detector


@pytest.mark.parametrize("kind", ["model", "pipeline"])
def test_a_push_while_saving_has_the_code(repository, tmp_path, monkeypatch, kind):
    pushed = []
    model = TerGanModel.from_pretrained(repository)
    saved = model if kind == "model" else transfer_pipeline(repository, model)

    def push_to_hub(_, repo_id, **options):
        pushed.append((repo_id, options, (tmp_path / "a" / "modeling_tergan.py").is_file()))

    monkeypatch.setattr(type(saved), "push_to_hub", push_to_hub)
    saved.save_pretrained(tmp_path / "a", push_to_hub=True, repo_id="me/a", private=True)
    saved.save_pretrained(tmp_path / "a", push_to_hub=True)
    assert pushed == [("me/a", {"private": True}, True), ("a", {}, True)]


def transfer_pipeline(repository, model, **options):
    processor = TerGanImageProcessor.from_pretrained(repository)
    return FacialExpressionTransferPipeline(model=model, image_processor=processor, **options)


def test_the_transfer_pipeline_chooses_the_device_of_this_package(repository, monkeypatch):
    chosen = []
    monkeypatch.setattr(transfer_pipeline_tergan, "choose_device", lambda: chosen.append(1) or torch.device("cpu"))
    model = TerGanModel.from_pretrained(repository)
    assert transfer_pipeline(repository, model).device.type == "cpu" and chosen == [1]
    transfer_pipeline(repository, model, device="cpu")
    assert chosen == [1]


def test_cells_of_a_data_set_and_dicts_without_a_photo(repository, smiling):
    pipe = transfer_pipeline(repository, TerGanModel.from_pretrained(repository), device="cpu")
    path = smiling.filename
    with open(path, "rb") as file:
        content = file.read()
    for cell in ({"bytes": content, "path": None}, {"bytes": None, "path": path}):
        assert pipe(cell, expression="happiness").size == smiling.size
    with pytest.raises(InvalidInputError, match="needs the key 'image', and may have 'expression'; got img, label"):
        pipe({"img": 1, "label": 2}, expression="happiness")


def test_a_device_map_names_one_device(repository):
    assert one_device("auto") is None and one_device("cuda:1") == "cuda:1" and one_device({"": 0}) == 0
    with pytest.raises(InvalidInputError, match="one device for the whole model"):
        one_device({"decoder": 0, "expression_encoder": 1})
    pipe = TerGanPipeline.from_pretrained(repository, device_map="cpu")
    assert pipe.model.device.type == "cpu"


def test_labels_may_have_numbers_as_text(repository, tmp_path):
    labels = {str(index): f"label {index}" for index in range(12)}
    config = TerGanConfig.from_pretrained(repository, id2label=labels)
    assert config.expressions == [f"label {index}" for index in range(12)]
    with pytest.raises(InvalidInputError, match="image_size 8 is too small"):
        TerGanConfig.from_pretrained(repository, image_size=8, expression_image_size=8)


def test_the_loss_is_that_of_the_kind_of_problem():
    config = TerGanConfig.photo(**TINY, problem_type="multi_label_classification")
    model = TerGanForImageClassification(config).eval()
    pixel_values, wanted = torch.rand(2, 3, 32, 32), torch.rand(2, config.num_labels).round()
    output = model(pixel_values, wanted)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(output.logits, wanted)
    torch.testing.assert_close(output.loss, expected)
    plain = TerGanForImageClassification(TerGanConfig.photo(**TINY, return_dict=False)).eval()
    loss, logits, *_ = plain(pixel_values, torch.tensor([1, 2]))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, torch.tensor([1, 2])))


def test_predictions_of_the_trainer_are_logits():
    model = TerGanForImageClassification(TerGanConfig.photo(**TINY))
    rows = [{"pixel_values": torch.rand(3, 32, 32), "labels": number % 7} for number in range(5)]
    trainer = Trainer(model, TrainingArguments(output_dir="unused", report_to=[], use_cpu=True, disable_tqdm=True))
    predicted = trainer.predict(rows).predictions
    assert np.asarray(predicted).shape == (5, 7)
