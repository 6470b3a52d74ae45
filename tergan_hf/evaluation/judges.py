"""Judges that were not trained by us: a face recogniser and an expression classifier. They measure, and nothing is
ever trained on or tuned against them.

Their weights come from public packages (a folder with the files is what `find_judges` reads):

- `face_recognition_sface_2021dec.onnx`, SFace (Zhong et al. 2021) of opencv_zoo, Apache-2.0; on the Hub as
  `opencv/face_recognition_sface`. Runs in OpenCV (`pip install opencv-python-headless`).
- `face_expression_model-weights_manifest.json` and `face_expression_model.bin` of the npm package
  `@vladmandic/face-api`, MIT: FaceExpressionNet, rebuilt here in PyTorch.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from ..face_detection_tergan import DetectedFace, FaceDetector


SFACE_FILE = "face_recognition_sface_2021dec.onnx"
EXPRESSION_FILE = "face_expression_model-weights_manifest.json"


class IdentityJudge:
    """
    SFace: how alike two faces are, as a cosine; above 0.363 they are the same person by its authors' threshold.

    Raises:
        FileNotFoundError: no such file.
        ImportError: OpenCV is missing.
    """

    def __init__(self, path: str | Path, detector: FaceDetector | None = None):
        if not Path(path).is_file():
            raise FileNotFoundError(f"no SFace weights at {path}: {__doc__}")
        try:
            import cv2
        except ImportError as error:
            raise ImportError("the identity judge needs OpenCV: pip install opencv-python-headless") from error
        self.network = cv2.FaceRecognizerSF.create(str(path), "")
        self.detector = detector or FaceDetector()

    def features(self, image: Image.Image, face: DetectedFace | None = None) -> np.ndarray | None:
        """(128,) unit vector of a photo's face, `None` where none is found. Give the face to use another photo's."""
        face = face or _largest_face(self.detector, image)
        if face is None:
            return None
        # OpenCV's row of a detection: box, then eyes, nose and mouth corners, from the viewer's left.
        box = [*face.box[:2], *(face.box[2:] - face.box[:2])]
        row = np.array([*box, *face.landmarks.ravel(), face.confidence], np.float32)
        pixels = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
        feature = self.network.feature(self.network.alignCrop(pixels, row))[0]
        return feature / np.linalg.norm(feature)


class ExpressionJudge:
    """FaceExpressionNet of face-api: a small DenseNet of depthwise separable convolutions on 112×112 pixels."""

    LABELS = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
    MEAN = (122.782, 117.001, 104.298)

    def __init__(self, manifest: str | Path, detector: FaceDetector | None = None):
        manifest = Path(manifest)
        if not manifest.is_file():
            raise FileNotFoundError(f"no FaceExpressionNet weights at {manifest}: {__doc__}")
        self.weights = _read_weights(manifest)
        self.detector = detector or FaceDetector()

    @torch.inference_mode()
    def scores(self, image: Image.Image, face: DetectedFace | None = None) -> dict[str, float] | None:
        """Label → probability for a photo's face, `None` where none is found."""
        face = face or _largest_face(self.detector, image)
        if face is None:
            return None
        crop = image.convert("RGB").crop(tuple(np.rint(face.box).astype(int)))
        scale = 112 / max(crop.size)
        crop = crop.resize((max(1, round(crop.width * scale)), max(1, round(crop.height * scale))), Image.BILINEAR)
        square = Image.new("RGB", (112, 112))
        square.paste(crop, ((112 - crop.width) // 2, (112 - crop.height) // 2))
        pixels = (torch.from_numpy(np.array(square)).float() - torch.tensor(self.MEAN)) / 255
        hidden = pixels.permute(2, 0, 1)[None]
        for block in range(4):
            hidden = self._block(hidden, f"dense{block}", first=block == 0)
        hidden = F.avg_pool2d(hidden, 7, 2).flatten(1)
        logits = hidden @ self.weights["fc/weights"] + self.weights["fc/bias"]
        return dict(zip(self.LABELS, logits.softmax(1)[0].tolist()))

    def _block(self, hidden: torch.Tensor, name: str, first: bool) -> torch.Tensor:
        if first:
            filters = self.weights[f"{name}/conv0/filters"].permute(3, 2, 0, 1)
            out = F.conv2d(_same(hidden), filters, self.weights[f"{name}/conv0/bias"], stride=2)
        else:
            out = self._separable(hidden, f"{name}/conv0", 2)
        collected = F.relu(out)
        total = collected
        for number in (1, 2, 3):
            total = total + self._separable(F.relu(total) if number > 1 else collected, f"{name}/conv{number}", 1)
        return F.relu(total)

    def _separable(self, hidden: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        depthwise = self.weights[f"{name}/depthwise_filter"].permute(2, 3, 0, 1)
        pointwise = self.weights[f"{name}/pointwise_filter"].permute(3, 2, 0, 1)
        padded = _same(hidden) if stride == 2 else F.pad(hidden, (1, 1, 1, 1))
        hidden = F.conv2d(padded, depthwise, stride=stride, groups=hidden.shape[1])
        return F.conv2d(hidden, pointwise, self.weights[f"{name}/bias"])


def _largest_face(detector: FaceDetector, image: Image.Image) -> DetectedFace | None:
    return next(iter(detector.detect(image)), None)


def _same(hidden: torch.Tensor) -> torch.Tensor:
    """TensorFlow's "same" padding of an even side for 3×3 and stride 2: the end only."""
    return F.pad(hidden, (0, 1, 0, 1))


def _read_weights(manifest: Path) -> dict[str, torch.Tensor]:
    """The arrays of a TensorFlow.js manifest, dequantised."""
    weights, offset = {}, 0
    for group in json.loads(manifest.read_text()):
        data = b"".join((manifest.parent / path).read_bytes() for path in group["paths"])
        for entry in group["weights"]:
            count, packed = int(np.prod(entry["shape"])), entry.get("quantization")
            kind = np.dtype(packed["dtype"] if packed else entry["dtype"])
            values = np.frombuffer(data, kind, count, offset).astype(np.float32)
            offset += count * kind.itemsize
            if packed:
                values = values * packed["scale"] + packed["min"]
            weights[entry["name"]] = torch.from_numpy(values.reshape(entry["shape"]))
    return weights


def find_judges(folder: str | Path) -> tuple[IdentityJudge, ExpressionJudge]:
    """Both judges from a folder with their files.

    Raises:
        FileNotFoundError: one of them is not there; the message says where to get it.
    """
    detector = FaceDetector()
    return IdentityJudge(Path(folder) / SFACE_FILE, detector), ExpressionJudge(
        Path(folder) / EXPRESSION_FILE, detector
    )
