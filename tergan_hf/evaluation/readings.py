"""What the model reads from every face of a set: f(e), class probabilities, blendshapes."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from ..data.image_cells import decode
from ..model.errors_tergan import NoFaceFoundError
from ..model.face_alignment_tergan import crop_face, whole_image_transform
from ..model.pipeline_tergan import TerGanPipeline
from .embeddings import BATCH_SIZE, PIXELS_SIDE


@dataclass
class FaceReadings:
    """
    Readings of the photos in which a face was detected.

    Args:
        rows: (N,) indices of these photos in the set.
        expression: (N, D) the input of the classifier: f(e), or its mean over the face and its mirror image.
        probabilities: (N, num_labels) of the model's own classifier, in the order of its labels.
        pixels: (N, `PIXELS_SIDE`²) the crop reduced to a few grey pixels.
        blendshapes: (N, K) in the order of `config.blendshape_names`, gaze in degrees; `None` if they were not asked
            for.
    """

    rows: np.ndarray
    expression: np.ndarray
    probabilities: np.ndarray
    pixels: np.ndarray
    blendshapes: np.ndarray | None = None


@torch.inference_mode()
def read_faces(pipe: TerGanPipeline, photos, detect: bool, name: str, blendshapes: bool = False) -> FaceReadings:
    """
    Read the largest face of each photo.

    Args:
        detect: find and align the face; `False` takes each photo as an aligned crop.
        name: of the set, for the progress bar and for messages about a single photo.
        blendshapes: read blendshapes, too.

    Raises:
        NoFaceFoundError: no photo shows a face.
    """
    rows: list[int] = []
    side = pipe.model.config.image_size
    read: dict[str, list] = {key: [] for key in ("expression", "probabilities", "pixels", "blendshapes")}
    for start in tqdm(range(0, len(photos), BATCH_SIZE), desc=f"{name}: faces", dynamic_ncols=True, leave=False):
        crops = []
        for row in range(start, min(start + BATCH_SIZE, len(photos))):
            photo = decode(photos[row]["image"], f"{name}[{row}]")
            if detect:
                found = pipe.detector.detect(photo)
                if not found:
                    continue
                crop_transform = found[0].crop_transform
                crops.append(crop_face(photo, crop_transform, side))
            else:
                crop_transform = whole_image_transform(*photo.size)
                crops.append(photo.resize((side, side), Image.Resampling.BILINEAR))
            rows.append(row)
            grey = crop_face(photo, crop_transform, PIXELS_SIDE).convert("L")
            read["pixels"].append(np.asarray(grey, np.float32).ravel()[None])
        if not crops:
            continue
        pixel_values = pipe.pixel_values(crops)
        embedding = pipe.model.read_expression(pixel_values)
        read["expression"].append(embedding.float().cpu().numpy())
        read["probabilities"].append(pipe.model.classify(embedding).float().cpu().double().softmax(1).numpy())
        if blendshapes:
            read["blendshapes"].append(pipe.model.read_blendshapes(pixel_values).float().cpu().numpy())
    if not rows:
        raise NoFaceFoundError("no face was found in any photo")
    return FaceReadings(
        np.array(rows), **{key: np.concatenate(values) for key, values in read.items() if key != "blendshapes"},
        blendshapes=np.concatenate(read["blendshapes"]) if blendshapes else None,
    )  # fmt: skip
