"""The measurements themselves, on cases with a known answer: a broken model gets the scores it deserves."""

import io
import json
import urllib.error
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage
from safetensors.torch import save_file

from tergan_hf import TerGanConfig, TerGanImageProcessor, TerGanModel, TerGanPipeline, evaluate
from tergan_hf.data.loading import load_photos
from tergan_hf.evaluation import held_out, perceptual
from tergan_hf.evaluation.disentanglement import probe
from tergan_hf.evaluation.editing import measure_editing, measure_strangers, own_expression_gain
from tergan_hf.evaluation.groups import count_groups
from tergan_hf.evaluation.judges import Judges
from tergan_hf.evaluation.metrics import (
    HIGHEST_PSNR,
    accuracy,
    calibration_error,
    confusion_matrix,
    expression_gain,
    progress,
    psnr,
    recall_per_class,
)
from tergan_hf.evaluation.perceptual import PerceptualMetrics
from tergan_hf.evaluation.recognition import cross_validate, folds
from tergan_hf.evaluation.suite import BASELINE, Evaluation, Settings
from tergan_hf.evaluation.systems import (
    COPY_SOURCE,
    COPY_TARGET,
    MODEL,
    RANDOM,
    baseline_system,
    copy_systems,
    random_system,
)
from tergan_hf.evaluation.transfer import (
    INTENSITIES,
    TRUTH,
    draw_pairs,
    gain_on_crops,
    load_pairs,
    measure_intensity,
    measure_transfer,
)
from tergan_hf.model.face_alignment_tergan import TEMPLATE
from tergan_hf.model.face_detection_tergan import DetectedFace

from .conftest import EXAMPLES, TINY
from .faces import loose_crops, photographed_people, repeatable_people


def test_expression_gain_of_known_results():
    truth, target = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    assert expression_gain(truth, target, truth).item() == 1
    assert expression_gain(target, target, truth).item() == 0
    assert expression_gain(truth + 0.5, target, truth).item() == pytest.approx(0.5)
    assert expression_gain(truth + 2, target, truth).item() == pytest.approx(-1)
    assert torch.isnan(expression_gain(target, target, target)).item()
    assert expression_gain(np.full((2, 2), 5, np.uint8), np.full((2, 2), 9, np.uint8), np.full((2, 2), 1, np.uint8))[
        0
    ].item() == pytest.approx(0.5)


def test_confusion_counts():
    matrix = confusion_matrix(["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"])
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert accuracy(matrix) == pytest.approx(2 / 3)
    assert recall_per_class(matrix, ["a", "b", "c"]) == {"a": 0.5, "b": 1.0}


def test_distances_calibration_and_progress_of_known_results():
    black, white = np.zeros((1, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 255, np.uint8)
    assert psnr(white, black).item() == pytest.approx(0)
    assert psnr(black + 51, black).item() == pytest.approx(20 * np.log10(5))
    assert psnr(black, black).item() == HIGHEST_PSNR
    right = np.array([True] * 8 + [False] * 2)
    assert calibration_error(np.full(10, 0.8), right) == pytest.approx(0)
    assert calibration_error(np.full(10, 1.0), right) == pytest.approx(0.2)
    assert progress(black + 102, black, white).item() == pytest.approx(0.4)
    assert progress(black, black, white).item() == 0
    assert np.isnan(progress(white, black, black)).all()


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return load_photos(str(repeatable_people(tmp_path_factory.mktemp("people") / "avatars.parquet")))


def test_pairs_are_of_different_people_and_their_truth_is_right(people):
    pairs = draw_pairs(people, 24)
    assert len(pairs) == 24
    for source, target, truth in pairs:
        assert people[source]["identity"] != people[target]["identity"] == people[truth]["identity"]
        assert people[source]["expression_id"] == people[truth]["expression_id"]
        assert truth != target
    shown = [people[source]["expression"] for source, _, _ in pairs]
    assert {shown.count(label) for label in set(shown)} == {6}


def test_pairs_need_shared_recipes():
    lonely = Dataset.from_dict({"identity": ["a", "b"], "expression_id": [0, 1], "expression": ["anger", "fear"]})
    with pytest.raises(ValueError, match="share a expression_id"):
        draw_pairs(lonely, 4)
    with pytest.raises(ValueError, match="expression_ids"):
        draw_pairs(Dataset.from_dict({"identity": ["a"], "expression_id": [-1], "expression": ["anger"]}), 4)


class Perfect:
    """A pipeline that knows the truth: the target's background on the source's mouth."""

    def transfer(self, source, target, detect=True, intensity=1.0):
        if isinstance(target, list):
            return [self.transfer(s, t, detect, intensity) for s, t in zip(source, target)]
        truth = np.array(target)
        mouth = DrawnFaceJudges.mouth(source)
        truth[40:55, 20:45] = truth[38, 30]
        truth[40 : 40 + mouth, 20:45] = (120, 0, 0)
        return PILImage.blend(target, PILImage.fromarray(truth), intensity)


class DrawnFaceJudges(Judges):
    """Who and what the drawn faces of `repeatable_people` show: the background's colour, and the mouth's height."""

    EXPRESSIONS = ["happiness", "sadness", "anger", "surprise"]

    @staticmethod
    def mouth(image) -> int:
        column = np.asarray(image.convert("RGB"), int)[36:62, 32]
        return int(((column[:, 0] < 170) & (column[:, 1] < 60)).sum())

    def faces(self, image):
        return None

    def features(self, image, face=None):
        vector = np.zeros(8)
        vector[int(np.rint(np.asarray(image.convert("RGB"))[0, 0, 0] / 40)) % 8] = 1
        return vector

    def reads(self, image, face=None):
        place = int(np.clip(np.rint((self.mouth(image) - 3) / 4), 0, 3))
        return {label: float(number == place) for number, label in enumerate(self.EXPRESSIONS)}


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return TerGanPipeline(
        TerGanModel(TerGanConfig.photo(**TINY)), TerGanImageProcessor(size={"height": 32, "width": 32})
    )


def test_every_transfer_metric_tells_good_lazy_cheating_and_untrained_models_apart(people, tiny):
    systems = {MODEL: Perfect(), **copy_systems(tiny), RANDOM: random_system(tiny)}
    pairs = draw_pairs(people, 16)
    rows = measure_transfer(systems, people, pairs, False, DrawnFaceJudges(), PerceptualMetrics(wanted=False))
    perfect, lazy, cheat, random = (rows[name] for name in (MODEL, COPY_TARGET, COPY_SOURCE, RANDOM))
    assert perfect["gain"] == pytest.approx(1) and perfect["psnr"] == HIGHEST_PSNR
    assert lazy["gain"] == 0 and lazy["psnr"] < HIGHEST_PSNR
    assert cheat["gain"] < 0 and random["gain"] < 0
    assert max(cheat["psnr"], random["psnr"]) < lazy["psnr"]
    assert perfect["judged"] == rows[TRUTH]["judged"] == cheat["judged"] == 1
    assert lazy["judged"] == 0  # target and truth never show the same here
    assert random["judged"] < 0.5
    assert perfect["to_target"] == lazy["to_target"] == 1 and perfect["to_source"] == lazy["to_source"] == 0
    assert cheat["to_target"] == 0 and cheat["to_source"] == 1
    assert set(perfect["gain_by_expression"]) == set(DrawnFaceJudges.EXPRESSIONS)


def test_gain_on_crops_is_of_aligned_crops_and_a_photo_without_a_face_gains_nothing(people):
    def pipe(answer, shift=0, blind=()):
        def transfer(sources, targets, detect):
            assert not detect and {crop.size for crop in sources + targets} == {(64, 64)}
            return answer(sources, targets)

        def detect(photo):
            found = DetectedFace(np.zeros(4), 64 * TEMPLATE + shift, 1.0)
            return [] if np.asarray(photo)[0, 0].tolist() in blind else [found]

        return SimpleNamespace(
            model=SimpleNamespace(config=SimpleNamespace(image_size=64)),
            detector=SimpleNamespace(detect=detect), transfer=transfer,
        )  # fmt: skip

    pairs = draw_pairs(people, 12)
    backgrounds = [np.asarray(photo)[0, 0].tolist() for photo in load_pairs(people, pairs)[1]]
    perfect, lazy = Perfect().transfer, lambda sources, targets: targets
    assert gain_on_crops(pipe(perfect), people, pairs, batch_size=5) == pytest.approx(1, abs=0.02)
    assert gain_on_crops(pipe(lazy, shift=3), people, pairs) == 0
    assert gain_on_crops(pipe(perfect, shift=-9), people, pairs) < 0.9  # not where the perfect one expects a mouth
    assert 0.2 < gain_on_crops(pipe(perfect, blind=backgrounds[:1]), people, pairs) < 0.95
    assert gain_on_crops(pipe(perfect, blind=backgrounds), people, pairs) == 0


def test_intensity_counts_only_steps_towards_the_truth(people, tiny):
    # Ten untrained networks: what a single one does with 16 pairs is chance.
    untrained = {f"{RANDOM} {seed}": random_system(tiny, seed) for seed in range(10)}
    systems = {MODEL: Perfect(), **copy_systems(tiny), **untrained}
    found = measure_intensity(systems, people, draw_pairs(people, 16), detect=False)
    assert found[MODEL]["monotone"] == 1
    assert found[MODEL]["progress"] == pytest.approx(INTENSITIES, abs=0.02)
    assert found[COPY_TARGET] == {"progress": [0.0] * 5, "monotone": 0.0}
    assert found[COPY_SOURCE]["monotone"] == 0
    # A change made at random goes towards the truth or away from it: in half of the pairs at most it counts.
    assert np.mean([found[name]["monotone"] for name in untrained]) < 0.5
    assert np.mean([found[name]["progress"][-1] for name in untrained]) < 0.5


class EditsByDrawing(Perfect):
    """Paints the label's mouth."""

    def edit(self, image, label):
        shown = PILImage.new("RGB", image.size, "white")
        height = 3 + 4 * DrawnFaceJudges.EXPRESSIONS.index(label)
        shown.paste((120, 0, 0), (20, 40, 45, 40 + height))
        return self.transfer(shown, image)


def test_edits_are_judged_beside_the_photo_left_alone_and_real_photos(people, tiny):
    by_person = {}
    for photo in people:
        image = PILImage.open(io.BytesIO(photo["image"]["bytes"])).convert("RGB")
        by_person.setdefault(photo["identity"], {})[photo["expression"]] = image
    own = {name: {**shown, "neutral": shown["happiness"]} for name, shown in by_person.items()}
    systems = {MODEL: EditsByDrawing(), **copy_systems(tiny), RANDOM: random_system(tiny)}
    found = measure_editing(systems, own, DrawnFaceJudges.EXPRESSIONS, DrawnFaceJudges())
    assert found["systems"][MODEL]["all"] == {"cosine": 1, "lowest": 1, "judged": 1}
    assert found["systems"][COPY_TARGET]["all"]["judged"] == 0.25  # the neutral face reads as one of four
    assert found["systems"][COPY_TARGET]["sadness"]["judged"] == 0
    assert found["real"]["anger"]["judged"] == 1
    strangers = measure_strangers(systems | {MODEL: Perfect()}, own, "surprise", DrawnFaceJudges())
    assert strangers[MODEL] == {"judged": 1, "to_target": 1, "to_source": 0}
    assert strangers[COPY_TARGET] == {"judged": 0, "to_target": 1, "to_source": 0}
    assert strangers[COPY_SOURCE] == {"judged": 1, "to_target": 0, "to_source": 1}


def test_a_persons_own_smile_counts_in_the_whole_crop_and_in_the_face_alone():
    neutral = np.full((96, 96, 3), 120, np.uint8)
    smiling = neutral.copy()
    smiling[66:76, 36:60] = 250  # teeth
    smiling[:, :6] = 30  # another background
    landmarks = 96 * TEMPLATE
    pipe = SimpleNamespace(
        model=SimpleNamespace(config=TerGanConfig.photo(**TINY)),
        detector=SimpleNamespace(detect=lambda photo: [DetectedFace(np.zeros(4), landmarks, 1.0)]),
    )
    own = {"neutral": PILImage.fromarray(neutral), "happiness": PILImage.fromarray(smiling)}
    found = {}
    for name, answer in {
        "truth": lambda source, target: source,
        "copy": lambda source, target: target,
        "face": lambda source, target: PILImage.fromarray(
            np.concatenate([np.array(target)[:, :8], np.array(source)[:, 8:]], axis=1)
        ),
    }.items():
        pipe.transfer = lambda source, target, detect, answer=answer: answer(source, target)
        found[name] = own_expression_gain(pipe, {"somebody": own, "nobody": {"neutral": own["neutral"]}}, "happiness")
    assert found["truth"]["crop"] == 1 and found["copy"] == {"crop": 0, "face": 0, "registered": 0}
    assert found["truth"]["registered"] == found["truth"]["face"]  # nothing to lay it over by
    assert 0 < found["face"]["crop"] < 0.9 and found["face"]["face"] > found["truth"]["face"] + 0.2
    assert own_expression_gain(pipe, {"nobody": {"neutral": own["neutral"]}}, "happiness") == {}


def test_folds_never_share_a_person():
    who = np.repeat([f"p{number}" for number in range(10)], 3)
    for train, test in folds(who, 8):
        assert not set(who[train]) & set(who[test])
    assert len(folds(who, 20)) == 10
    with pytest.raises(ValueError, match="two groups"):
        folds(["one"] * 4, 8)


def test_a_classifier_that_knows_people_only_is_at_chance_on_new_people():
    random = np.random.default_rng(0)
    who = np.repeat(np.arange(24), 6)
    expression = np.tile(np.array(["anger", "fear", "happiness"]), 48)
    of_person, of_expression = np.eye(24)[who], np.eye(3)[np.tile([0, 1, 2], 48)]
    noise = 0.1 * random.standard_normal((144, 24))
    blind = cross_validate(of_person + noise, expression, who)
    seeing = cross_validate(of_expression + noise[:, :3], expression, who)
    assert len(blind["folds"]) == 8 and blind["mean"] < 0.5
    assert seeing["mean"] == 1 and seeing["deviation"] == 0
    assert np.sum(seeing["confusion"]) == 144
    # What belongs to a person in training says nothing where each person shows one thing.
    personal = np.array(["anger", "fear", "happiness"])[who % 3]
    assert cross_validate(of_person + noise, personal, who)["mean"] < 0.5


def test_probes_tell_separated_swapped_and_empty_codes_apart():
    random = np.random.default_rng(0)
    who, what = np.repeat(np.arange(8), 12), np.tile(np.arange(4), 24)
    expression_ids = np.tile(np.arange(12), 8)
    noise = 0.05 * random.standard_normal((96, 8))
    expression, identity = np.eye(8)[what] + noise, np.eye(8)[who] + noise
    right = probe({"expression": expression, "identity": identity}, what, who, expression_ids)
    swapped = probe({"expression": identity, "identity": expression}, what, who, expression_ids, count=2)
    empty = probe({"expression": noise, "identity": noise}, what, who, expression_ids, count=2)
    assert right["gap"] > 0.9 and swapped["gap"] < -0.9 and abs(empty["gap"]) < 0.1
    assert right["expression"]["expression"]["accuracy"] == right["identity"]["identity"]["accuracy"] == 1
    assert right["identity"]["expression"]["accuracy"] < 0.3 and right["identity"]["chance"] == 1 / 8
    assert right["expression_of_new_ids"]["expression"]["accuracy"] == 1
    assert abs(empty["identity"]["expression"]["information"]) < 0.15


def save(pipe, folder, **record):
    pipe.model.save_pretrained(folder)
    pipe.image_processor.save_pretrained(folder)
    (folder / "training.yaml").write_text(yaml.safe_dump(record))


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiny):
    """Miniature sets, and weights that kept some of them out."""
    folder = tmp_path_factory.mktemp("data")
    repeatable_people(folder / "avatars.parquet")
    photographed_people(folder / "people")
    loose_crops(folder / "validation.parquet")
    loose_crops(folder / "private_test.parquet", 9)
    save(
        tiny, folder / "weights", preset="photo",
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


def test_the_command_measures_only_who_was_kept_out(report):
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


def test_the_report_is_written_with_its_baselines_and_pictures(report):
    folder, _ = report
    text = (folder / "report.md").read_text()
    for needed in (COPY_TARGET, COPY_SOURCE, RANDOM, "chance", "most frequent label", "Kept out of training: p1, p2"):
        assert needed in text
    for line in text.splitlines():
        if line.startswith("!["):
            picture = line.split("](")[1].rstrip(")")
            assert (folder / picture).is_file(), picture
    assert "is this very network" in text  # G_es is frozen in stage 2: the CNN baseline is f(e)


def test_random_weights_recognise_nothing(report):
    """Seven classes, random scores: far below what any trained network has."""
    for name in ("avatars", "crops"):
        assert report[1]["sets"][name]["recognition"]["accuracy"] <= 0.5


def test_the_same_command_gives_the_same_numbers(data, report, tmp_path):
    again = measure(data, tmp_path, "--dataset", "avatars")
    assert again["sets"]["avatars"] == report[1]["sets"]["avatars"]


def oulu_casia(path):
    """A miniature of Oulu-CASIA's layout: image, identity, expression; six expressions of each person."""
    rows = []
    for number, photo in enumerate(sorted(EXAMPLES.glob("*.jpg"))[:4]):
        image = PILImage.open(photo).convert("RGB").resize((128, 128))
        for angle, label in enumerate(["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]):
            buffer = io.BytesIO()
            image.rotate(angle - 3, fillcolor="white").save(buffer, "PNG")
            rows.append({"image": {"bytes": buffer.getvalue(), "path": None}, "identity": f"P{number:03d}",
                         "expression": label})  # fmt: skip
    features = Features(image=Image(), identity=Value("string"), expression=Value("string"))
    Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def test_the_papers_protocol_prints_its_table_beside_ours(data, tmp_path, capsys):
    path = oulu_casia(tmp_path / "oulu_casia.parquet")
    measured = measure(data, tmp_path / "out", "--protocol", "oulu-casia", "--dataset", path)["sets"]["oulu_casia"]
    assert (measured["photos"], measured["people"]) == (24, 4)  # without neutral
    assert measured["cross_validation"]["classes"] == 6 and measured["cross_validation"]["by"] == "people"
    said = capsys.readouterr().out
    assert "TER-GAN (paper) | 89.65" in said and "CNN baseline (paper) | 73.14" in said
    assert "f(e) (this evaluation)" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "nowhere"], "nowhere"),
        (["--dataset", "absent"], "absent"),
        (["--dataset", "all_trained_on"], "kept nobody of this set out"),
        (["--judges", "no-such-folder"], "face_recognition_sface_2021dec.onnx"),
        (["--protocol", "oulu-casia"], "your copy of Oulu-CASIA"),
        (["--baseline", "gone.safetensors"], r"gone\.safetensors"),
        (["--folds", "1"], "--folds"),
        (["--data_root", "no-data-here"], "no data set that"),
    ],
)
def test_what_is_missing_is_named(data, tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        measure(data, tmp_path, *arguments)


def test_weights_without_a_record_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"training\.yaml"):
        held_out.held_out_sets(tmp_path, tmp_path)


def test_sets_on_the_hub_are_read_there(tmp_path, people, monkeypatch):
    asked = []
    monkeypatch.setattr(held_out, "load_photos", lambda path, *_, **__: asked.append(path) or people)
    sources = [
        {"name": "faces", "path": "hub://org/faces"},
        {"name": "crops", "path": "hub://org/crops", "validation_path": "hub://org/crops-validation"},
    ]
    (tmp_path / "training.yaml").write_text(yaml.safe_dump({"sources": sources, "kept_out": {"faces": ["p1"]}}))
    faces, crops = held_out.held_out_sets(tmp_path, tmp_path)
    assert asked == ["hub://org/faces", "hub://org/crops-validation"]
    assert set(faces.photos["identity"]) == {"p1"} and len(faces.training_photos) == 12 and len(crops.photos) == 16


def test_a_quick_look_takes_the_same_recipes_of_everybody_and_whole_people(people):
    few = held_out.thin_out(held_out.HeldOutSet("a", people, None, []), 8).photos
    assert set(few["identity"]) == set(people["identity"]) and len(few) == 8
    assert len(set(few["expression_id"])) == 2
    plain = people.remove_columns("expression_id").add_column("expression_id", [-1] * 16)
    few = held_out.thin_out(held_out.HeldOutSet("a", plain, None, []), 8).photos
    assert sorted(set(few["identity"])) == ["p0", "p1"] and len(few) == 8


def test_the_cnn_baseline_is_read_from_stage_one_and_named_where_it_is_the_same(tmp_path, tiny, people):
    def stage(model):
        weights = model.expression_encoder.state_dict().items()
        save_file({f"encoder.{name}": value.contiguous() for name, value in weights}, tmp_path / "stage.safetensors")
        return tmp_path / "stage.safetensors"

    measured = {}
    for name, model in (("same", tiny.model), ("other", random_system(tiny, seed=3).model)):
        pipe = TerGanPipeline(tiny.model, tiny.image_processor)
        baseline = baseline_system(pipe, stage(model))
        held_out_set = held_out.HeldOutSet("people", people, held_out.DataSource("people", "", align=False), [])
        settings = Settings("oulu-casia")
        measured[name] = Evaluation(pipe, tmp_path, settings, baseline).run([held_out_set])["people"]
    assert BASELINE not in measured["same"]["cross_validation"]["rows"]
    assert BASELINE in measured["other"]["cross_validation"]["rows"]
    save_file({"encoder.embedding.bias": torch.zeros(3)}, tmp_path / "stage.safetensors")
    with pytest.raises(ValueError, match="no G_es of this model's sizes"):
        baseline_system(tiny, tmp_path / "stage.safetensors")


def test_perceptual_metrics_say_why_they_are_missing(monkeypatch):
    def unreachable():
        raise urllib.error.URLError("no network")

    class Distance(torch.nn.Module):
        def forward(self, made, real):
            return (made - real).abs().mean()

    monkeypatch.setattr(perceptual, "_load_kid", unreachable)
    monkeypatch.setattr(perceptual, "_load_lpips", Distance)
    metrics = PerceptualMetrics()
    assert list(metrics.unavailable) == ["KID"] and "no network" in metrics.unavailable["KID"]
    metrics.start("a")
    metrics.update("a", np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 255, np.uint8))
    assert metrics.compute("a") == {"lpips": pytest.approx(2)}
    assert metrics.compute("the truth") == {}


def test_people_are_counted_in_every_group_their_heads_are_of():
    photos = Dataset.from_dict({
        "identity": ["a", "a", "b", "c"], "heads": ["White_F_1", "White_F_1", "X_AIAN_M_1+White_M_2", "Black_F_2"],
        "age": ["24", "24", "40", ""],
    })  # fmt: skip
    assert count_groups(photos) == {
        "age": {"under 25": 1, "35 and older": 1, "not given": 1},
        "ethnicity": {"White": 2, "AIAN": 1, "Black": 1},
        "gender": {"female": 2, "male": 1},
    }
