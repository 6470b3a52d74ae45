"""`model.json` and `tables.safetensors`: all sizes, names and numbers that the page in the browser needs.

The page takes the model's and the pipeline's constants from here, so that it cannot drift away from the Python code.
"""

import base64
from typing import Any

import numpy as np
import torch

from ..evaluation.expression_map import NEIGHBOURHOOD, ExpressionMap
from ..expressions.slider_regions import slider_regions
from ..model import face_alignment_tergan as alignment
from ..model import face_blending_tergan as blending
from ..model import face_detection_tergan as detection
from ..model import face_tracking_tergan as tracking
from ..model import provenance_tergan as provenance
from ..model.blendshapes_tergan import GAZE_LIMIT, GAZE_NAMES, mirror_blendshapes
from ..model.expression_reading_tergan import DERIVATIVE_CUTOFF, MIN_CUTOFF, SPEED, expression_scale
from ..model.expression_requests_tergan import blendshapes_set_by, editable_ranges
from ..model.face_detection_tergan import FaceDetector
from ..model.modeling_tergan import TerGanModel
from ..model.pipeline_base_tergan import INTENSITIES


FORMAT = 1  # of `model.json`; the page refuses others


def build_manifest(model: TerGanModel, name: str, files: dict[str, int]) -> dict[str, Any]:
    """
    The content of `model.json`.

    Args:
        name: of the model, shown on the page.
        files: file name → bytes.
    """
    config = model.config
    return {
        "format": FORMAT,
        "name": name,
        "files": files,
        "image_size": config.image_size,
        "labels": config.expressions,
        "intensity_exponent": config.intensity_exponent,
        "intensities": INTENSITIES,
        "mirror_recognition": config.mirror_recognition,
        "blendshapes": _blendshapes(model),
        "alignment": {"template": alignment.TEMPLATE.tolist(), "weights": alignment.TEMPLATE_WEIGHTS.tolist()},
        "detection": _detection(),
        "blending": _blending(),
        "tracking": {
            "redetect_after": tracking.REDETECT_AFTER,
            "landmarks": {"min_cutoff": tracking.LANDMARK_MIN_CUTOFF, "speed_by_height": tracking.LANDMARK_SPEED},
            "expression": {
                "min_cutoff": MIN_CUTOFF,
                "speed": SPEED / expression_scale(model),
                "derivative_cutoff": DERIVATIVE_CUTOFF,
            },
            "jump": tracking.JUMP,
        },
        "provenance": _provenance(),
    }


def build_tables(model: TerGanModel, expression_map: ExpressionMap | None) -> dict[str, np.ndarray]:
    """
    The tensors of `tables.safetensors`, float32: `expression_prototypes`, `classifier.weight` and `.bias`; of a model
    that reads blendshapes, `blendshape_regressor.weight` and `.bias` and, if it can set them, `blendshape_directions`;
    of a model with a map, `map.embeddings`, `map.labels`, `map.mean` and `map.axes`.
    """
    tables: dict[str, Any] = {"expression_prototypes": model.expression_prototypes}
    tables |= {f"classifier.{name}": tensor for name, tensor in model.classifier.state_dict().items()}
    if model.blendshape_regressor is not None:
        regressor = model.blendshape_regressor.state_dict()
        tables |= {f"blendshape_regressor.{name}": tensor for name, tensor in regressor.items()}
        if model.blendshape_directions.any():
            tables["blendshape_directions"] = model.blendshape_directions
    if expression_map is not None:
        for name in ("embeddings", "labels", "mean", "axes"):
            tables[f"map.{name}"] = torch.from_numpy(np.asarray(getattr(expression_map, name)))
    return {name: np.ascontiguousarray(tensor.detach().float().cpu().numpy()) for name, tensor in tables.items()}


def _blendshapes(model: TerGanModel) -> dict[str, Any]:
    names = list(model.config.blendshape_names)
    if not names:
        return {"names": []}
    moving = [name for name, moves in zip(names, model.blendshape_directions.any(0).tolist()) if moves]
    # What a mirror image does to the k-th blendshape: the value of another one, with a sign.
    mirrored = mirror_blendshapes(torch.arange(1.0, len(names) + 1)[None], names)[0]
    return {
        "names": names,
        "mirror_order": (mirrored.abs().long() - 1).tolist(),
        "mirror_signs": mirrored.sign().tolist(),
        "gaze_names": [name for name in GAZE_NAMES if name in names],
        "gaze_limit": GAZE_LIMIT,
        "regions": slider_regions(moving),
        # What presets may hold: name → its range, and the factor of each blendshape that it sets.
        "settable": {
            name: {"range": limits, "sets": blendshapes_set_by(name, 1.0, moving)}
            for name, limits in editable_ranges((), moving).items()
        },
    }


def _detection() -> dict[str, Any]:
    detector = FaceDetector()
    network = detector.network
    return {
        "smallest_face": network.min_face_size,
        "thresholds": list(network.thresholds),
        "factor": network.factor,
        "min_confidence": detector.min_confidence,
        "max_side": detector.max_side,
        "enlarged_side": detection.ENLARGED_SIDE,
        "onet_side": detection.ONET_SIDE,
        "to_onet": detection.TO_ONET.tolist(),
        "views": [list(view) for view in detection.REFINEMENT_VIEWS],
        "mirrored_landmarks": detection.MIRRORED,
        "lost_below": detection.LOST_BELOW,
        "least_certainty": detection.LEAST_CERTAINTY,
        "small_side": detection.SMALL_SIDE,
        "least_certainty_of_small": detection.LEAST_CERTAINTY_OF_SMALL,
        "surely_upright": detection.SURELY_UPRIGHT,
    }


def _blending() -> dict[str, Any]:
    return {
        "paint": blending.PAINT._asdict(),
        "movement": blending.MOVEMENT._asdict(),
        "fine_below": blending.FINE_BELOW,
        "creased_above": blending.CREASED_ABOVE,
        "sharp_above": blending.SHARP_ABOVE,
        "still": blending.STILL,
        "map_neighbourhood": NEIGHBOURHOOD,
    }


def _provenance() -> dict[str, Any]:
    exif = provenance.notice_metadata("JPEG")["exif"].tobytes()
    return {
        "notice": provenance.NOTICE,
        "software": "TER-GAN",
        "xmp": provenance.XMP,
        "exif": base64.b64encode(exif).decode(),  # begins with "Exif\0\0"
        "mark": provenance.MARK,
        "mark_height": provenance.MARK_HEIGHT,
    }
