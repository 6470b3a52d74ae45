"""Judges that were not trained by us: a face recogniser and an expression classifier. They measure, and nothing is
ever trained on or tuned against them.

Their weights come from public packages (a folder with the files is what `Judges.find` reads):

- `face_recognition_sface_2021dec.onnx`, SFace (Zhong et al. 2021) of opencv_zoo, Apache-2.0; on the Hub as
  `opencv/face_recognition_sface`, from where it is fetched when no folder is given. Runs in OpenCV
  (`pip install opencv-python-headless`).
- `face_expression_model-weights_manifest.json` and `face_expression_model.bin` of the npm package
  `@vladmandic/face-api` (`npm pack @vladmandic/face-api`, folder `model`), MIT: FaceExpressionNet, rebuilt here in
  PyTorch.
"""

import json
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image
from torch.nn import functional as F

from ..model.errors_tergan import MissingFileError, MissingPackageError
from ..model.face_detection_tergan import DetectedFace, FaceDetector


SFACE_REPOSITORY = "opencv/face_recognition_sface"
SFACE_FILE = "face_recognition_sface_2021dec.onnx"
EXPRESSION_FILE = "face_expression_model-weights_manifest.json"


class IdentityJudge:
    """
    SFace: how alike two faces are, as a cosine; above 0.363 they are the same person by its authors' threshold.

    Raises:
        MissingFileError: no such file.
        MissingPackageError: OpenCV is missing.
    """

    def __init__(self, path: str | Path, detector: FaceDetector | None = None):
        if not Path(path).is_file():
            raise MissingFileError(f"no SFace weights at {path}: {__doc__}")
        try:
            import cv2
        except ImportError as error:
            raise MissingPackageError("the identity judge needs OpenCV: pip install opencv-python-headless") from error
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
            raise MissingFileError(f"no FaceExpressionNet weights at {manifest}: {__doc__}")
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


class Judges:
    """
    Whichever judges are at hand.

    Args:
        identity, expression: `None` where there is none.
        unavailable: judge → why it is not here.
    """

    def __init__(
        self,
        identity: IdentityJudge | None = None,
        expression: ExpressionJudge | None = None,
        detector: FaceDetector | None = None,
        unavailable: dict[str, str] | None = None,
    ):
        self.identity, self.expression = identity, expression
        self.detector, self.unavailable = detector or FaceDetector(), unavailable or {}

    @classmethod
    def find(cls, folder: str | Path | None = None, detector: FaceDetector | None = None) -> "Judges":
        """
        Both judges from a folder with their files; without a folder SFace from the Hub, if it can be reached.

        Raises:
            MissingFileError: a folder was given, and a file is not in it; the message says where to get it.
            MissingPackageError: a folder was given, and OpenCV is missing.
        """
        detector = detector or FaceDetector()
        if folder is not None:
            identity = IdentityJudge(Path(folder) / SFACE_FILE, detector)
            return cls(identity, ExpressionJudge(Path(folder) / EXPRESSION_FILE, detector), detector)
        unavailable = {"FaceExpressionNet": "--judges names no folder with its files (tergan_hf/evaluation/judges.py)"}
        try:
            identity = IdentityJudge(hf_hub_download(SFACE_REPOSITORY, SFACE_FILE), detector)
        except (OSError, ValueError, ImportError, HfHubHTTPError) as error:
            identity = None
            unavailable["SFace"] = (
                f"neither in a folder (--judges) nor from {SFACE_REPOSITORY} on the Hub: {str(error).splitlines()[0]}"
            )
        return cls(identity, None, detector, unavailable)

    def faces(self, image: Image.Image) -> DetectedFace | None:
        """The face they look at."""
        return _largest_face(self.detector, image)

    def features(self, image: Image.Image, face: DetectedFace | None = None) -> np.ndarray | None:
        """SFace's unit vector of a photo's face; `None` without that judge, or a face."""
        face = self.faces(image) or face
        return self.identity.features(image, face) if self.identity and face else None

    def reads(self, image: Image.Image, face: DetectedFace | None = None) -> dict[str, float] | None:
        """Label → probability for a photo's face; `None` without that judge, or a face."""
        face = self.faces(image) or face
        return self.expression.scores(image, face) if self.expression and face else None

    def of_pair(self, source: Image.Image, target: Image.Image, label: str) -> "PairReader":
        """A reader of results for this pair."""
        return PairReader(self, source, target, label)


class PairReader:
    """What the judges say of results of one pair. Each result's face is looked for anew; where none is found, what is
    in the place of the target's face is judged."""

    def __init__(self, judges: Judges, source: Image.Image, target: Image.Image, label: str):
        self.judges, self.label = judges, label
        self.face = judges.faces(target)
        self.target, self.source = judges.features(target), judges.features(source)

    def __call__(self, result: Image.Image) -> dict[str, float]:
        """`judged` (1 where the label is read), `to_target` and `to_source` (cosines), as far as they can be told."""
        said = {}
        if scores := self.judges.reads(result, self.face):
            said["judged"] = float(max(scores, key=scores.get) == self.label)
        made = self.judges.features(result, self.face)
        for name, other in (("to_target", self.target), ("to_source", self.source)):
            if made is not None and other is not None:
                said[name] = float(made @ other)
        return said
