"""Compare the blendshapes that a model reads from real photos with MediaPipe's scores.

`python benchmarks/blendshapes.py FOLDER --landmarker face_landmarker.task` needs `pip install mediapipe` in the same
environment. FOLDER holds photos, in folders below it too. MediaPipe's scores are no truth, and no
independent check of a model that was trained on them.

Prints, for each blendshape whose MediaPipe score moves, Pearson's r and the slope of the model's value on the score,
beside a linear regression from the class probabilities to the scores, fitted on the other photos. MediaPipe tells no
gaze in degrees; its eight eyeLook scores stand for it: `gazeX` and `gazeY` are compared with their mean difference.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from tergan_hf import TerGanPipeline
from tergan_hf.data.media_files import PHOTO, find_media
from tergan_hf.evaluation.blendshapes import compare_blendshapes
from tergan_hf.evaluation.systems import FROM_PROBABILITIES, MODEL
from tergan_hf.expressions.blendshapes import BLENDSHAPE_INDEX, COLUMN_NAMES, GAZE_DEGREES, Expression, to_vector
from tergan_hf.model.blendshapes_tergan import GAZE_NAMES
from tergan_hf.model.errors_tergan import ImageInputError
from tergan_hf.model.image_loading_tergan import read_image


ROOT = Path(__file__).resolve().parents[1]
FOLDS = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", help="folder of photos")
    parser.add_argument("--landmarker", required=True, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--weights", default=str(ROOT / "weights" / "ter-gan"))
    parser.add_argument("--most", type=int, help="read at most this many photos, at equal distances")
    parser.add_argument("--output", help="JSON file for the numbers")
    options = parser.parse_args()
    pipe = TerGanPipeline.from_pretrained(options.weights, device="cpu")
    if not pipe.model.config.blendshape_names:
        raise SystemExit(f"{options.weights} reads no blendshapes: config.json has no blendshape_names")
    paths = list(find_media(Path(options.photos), [PHOTO]).files)
    if options.most and len(paths) > options.most:
        paths = [paths[row] for row in np.linspace(0, len(paths) - 1, options.most).astype(int)]
    if not paths:
        raise SystemExit(f"{options.photos} holds no photos")
    names = list(pipe.model.config.blendshape_names)
    with MediaPipeScores(options.landmarker) as media_pipe:
        scores, read, probabilities = read_photos(pipe, media_pipe, paths)
    print(f"{len(scores)} of {len(paths)} photos have a face for both")
    if len(scores) < 2:
        raise SystemExit("at least two photos are needed")
    columns = [COLUMN_NAMES.index(name) for name in names]
    found = compare_blendshapes(scores[:, columns], read, probabilities, np.arange(len(scores)), names, FOLDS)
    print_table(found)
    if options.output:
        Path(options.output).write_text(json.dumps(found, indent=2))


@torch.inference_mode()
def read_photos(pipe: TerGanPipeline, media_pipe: "MediaPipeScores", paths: list[Path]):
    """
    Read the largest face of every photo with both.

    Returns:
        of the N photos with a face for both: MediaPipe's scores (N, 53) in the order of `COLUMN_NAMES`, gaze in
        degrees; the model's blendshapes (N, K); and its class probabilities (N, labels).
    """
    rows: list[tuple] = []
    for path in tqdm(paths, desc="photos"):
        try:
            photo = read_image(path, str(path))
        except ImageInputError as error:
            tqdm.write(f"{error}; left out")
            continue
        faces = pipe.detector.detect(photo)
        scores = media_pipe.scores(photo) if faces else None
        if scores is None:
            continue
        pixel_values = pipe.pixel_values([pipe.cut_out(photo, faces[0].crop_transform)])
        logits = pipe.model.classify(pipe.model.read_expression(pixel_values))
        read = pipe.model.read_blendshapes(pixel_values)
        rows.append((scores, read[0].float().numpy(), logits[0].float().softmax(0).numpy()))
    if not rows:
        raise SystemExit("no photo has a face for both")
    return tuple(np.stack(column) for column in zip(*rows))


class MediaPipeScores:
    """
    MediaPipe's Face Landmarker.

    Args:
        path: `face_landmarker.task`.

    Raises:
        ImportError: mediapipe is not installed.
    """

    def __init__(self, path: str):
        try:
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise ImportError("this comparison needs MediaPipe: pip install mediapipe") from error
        self.mediapipe = mediapipe
        settings = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=path), output_face_blendshapes=True, num_faces=1,
            min_face_detection_confidence=0.3,
        )  # fmt: skip
        self.landmarker = vision.FaceLandmarker.create_from_options(settings)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.landmarker.close()

    def scores(self, photo: Image.Image) -> np.ndarray | None:
        """The scores of the largest face, (53,) in the order of `COLUMN_NAMES`, with gaze in degrees. `None` if no
        face is found."""
        pixels = np.ascontiguousarray(np.asarray(photo.convert("RGB")))
        image = self.mediapipe.Image(image_format=self.mediapipe.ImageFormat.SRGB, data=pixels)
        found = self.landmarker.detect(image).face_blendshapes
        if not found:
            return None
        weights = {one.category_name: float(one.score) for one in found[0] if one.category_name in BLENDSHAPE_INDEX}
        vector = to_vector(Expression("other", 1.0, weights))
        vector[[COLUMN_NAMES.index(name) for name in GAZE_NAMES]] *= GAZE_DEGREES
        return vector


def print_table(found: dict):
    """Print one line per blendshape that moves, and the means."""
    model, baseline = found["systems"][MODEL], found["systems"][FROM_PROBABILITIES]
    print(f"{'':20s} {'deviation':>9s} {'r':>6s} {'slope':>6s} {'r from class probabilities':>27s}")
    for name in found["moving"]:
        own = model["names"][name]
        print(f"{name:20s} {found['deviation'][name]:9.2f} {own['r']:6.2f} {own['slope']:6.2f} "
              f"{baseline['names'][name]['r']:27.2f}")  # fmt: skip
    if found["moving"]:
        print(f"{'mean':20s} {'':9s} {model['r']:6.2f} {model['slope']:6.2f} {baseline['r']:27.2f}")


if __name__ == "__main__":
    main()
