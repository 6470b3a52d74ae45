"""Independent judges: a face recogniser and an expression classifier that others have trained.

No network is trained on their answers. But how visible an edit by label has to be (`training/prototypes.py`) was
chosen with a look at another expression network's answers. So the judged shares of edits are a little flattering.

`Judges.find` reads the judges' weights from a folder. They come from public packages:

- `face_recognition_sface_2021dec.onnx`, SFace (Zhong et al. 2021) of opencv_zoo, Apache-2.0. Without a folder it is
  downloaded from `opencv/face_recognition_sface` on the Hub. It runs in OpenCV
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
    SFace: the similarity of two faces is the cosine of their features. Above 0.363, its authors' threshold, they are
    the same person.

    Raises:
        MissingFileError: the file does not exist; the message says where to get it.
        MissingPackageError: OpenCV is not installed.
    """

    def __init__(self, path: str | Path, detector: FaceDetector | None = None):
        if not Path(path).is_file():
            raise MissingFileError(f"no SFace weights at {path}: get them from {SFACE_REPOSITORY} on the Hub")
        try:
            import cv2
        except ImportError as error:
            raise MissingPackageError("the identity judge needs OpenCV: pip install opencv-python-headless") from error
        self.network = cv2.FaceRecognizerSF.create(str(path), "")
        self.detector = detector or FaceDetector()

    def features(self, image: Image.Image, face: DetectedFace | None = None) -> np.ndarray | None:
        """
        The features of a face, a unit vector (128,). `None` if no face is found.

        Args:
            face: the face to use; default: the largest.
        """
        face = face or _largest_face(self.detector, image)
        if face is None:
            return None
        # OpenCV describes a face by its box, then eyes, nose and mouth corners, from the viewer's left.
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
            raise MissingFileError(
                f"no FaceExpressionNet weights at {manifest}: get them with `npm pack @vladmandic/face-api` (folder "
                "`model`)"
            )
        self.weights = _read_weights(manifest)
        self.detector = detector or FaceDetector()

    @torch.inference_mode()
    def scores(self, image: Image.Image, face: DetectedFace | None = None) -> dict[str, float] | None:
        """
        Label → probability for a face. `None` if no face is found.

        Args:
            face: the face to use; default: the largest.
        """
        face = face or _largest_face(self.detector, image)
        if face is None:
            return None
        crop = image.convert("RGB").crop(tuple(np.rint(face.box).astype(int)))
        scale = 112 / max(crop.size)
        crop = crop.resize(
            (max(1, round(crop.width * scale)), max(1, round(crop.height * scale))), Image.Resampling.BILINEAR
        )
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
            out = F.conv2d(_pad_same(hidden), filters, self.weights[f"{name}/conv0/bias"], stride=2)
        else:
            out = self._separable(hidden, f"{name}/conv0", 2)
        total = F.relu(out)
        for number in (1, 2, 3):
            total = total + self._separable(F.relu(total), f"{name}/conv{number}", 1)
        return F.relu(total)

    def _separable(self, hidden: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        depthwise = self.weights[f"{name}/depthwise_filter"].permute(2, 3, 0, 1)
        pointwise = self.weights[f"{name}/pointwise_filter"].permute(3, 2, 0, 1)
        padded = _pad_same(hidden) if stride == 2 else F.pad(hidden, (1, 1, 1, 1))
        hidden = F.conv2d(padded, depthwise, stride=stride, groups=hidden.shape[1])
        return F.conv2d(hidden, pointwise, self.weights[f"{name}/bias"])


def _largest_face(detector: FaceDetector, image: Image.Image) -> DetectedFace | None:
    return next(iter(detector.detect(image)), None)


def _pad_same(hidden: torch.Tensor) -> torch.Tensor:
    """Pad an even side at its end, like TensorFlow's "same" padding for 3×3 and stride 2."""
    return F.pad(hidden, (0, 1, 0, 1))


def _read_weights(manifest: Path) -> dict[str, torch.Tensor]:
    """Read and dequantise the arrays of a TensorFlow.js manifest."""
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
    The judges that are available.

    Args:
        identity, expression: `None` if there is none.
        detector: finds the faces that they judge.
        unavailable: judge → why it is missing.
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
        Load both judges from a folder with their files. Without a folder, download SFace from the Hub if possible.

        Raises:
            MissingFileError: a file is missing in the given folder; the message says where to get it.
            MissingPackageError: a folder is given, and OpenCV is not installed.
        """
        detector = detector or FaceDetector()
        if folder is not None:
            of_folder = IdentityJudge(Path(folder) / SFACE_FILE, detector)
            return cls(of_folder, ExpressionJudge(Path(folder) / EXPRESSION_FILE, detector), detector)
        unavailable = {"FaceExpressionNet": "--judges names no folder with its files (tergan_hf/evaluation/judges.py)"}
        identity: IdentityJudge | None = None
        try:
            identity = IdentityJudge(hf_hub_download(SFACE_REPOSITORY, SFACE_FILE), detector)
        except (OSError, ValueError, ImportError, HfHubHTTPError) as error:
            unavailable["SFace"] = (
                f"neither in a folder (--judges) nor from {SFACE_REPOSITORY} on the Hub: {str(error).splitlines()[0]}"
            )
        return cls(identity, None, detector, unavailable)

    def detect(self, image: Image.Image) -> DetectedFace | None:
        """The largest face of an image, which the judges look at. `None` if there is none."""
        return _largest_face(self.detector, image)

    def identity_features(self, image: Image.Image, fallback: DetectedFace | None = None) -> np.ndarray | None:
        """
        SFace's features of an image's face. `None` without this judge or a face.

        Args:
            fallback: the face to use if none is detected.
        """
        face = self.detect(image) or fallback
        return self.identity.features(image, face) if self.identity and face else None

    def expression_scores(self, image: Image.Image, fallback: DetectedFace | None = None) -> dict[str, float] | None:
        """Label → probability for an image's face. `None` without this judge or a face. Arguments as for
        `identity_features`."""
        face = self.detect(image) or fallback
        return self.expression.scores(image, face) if self.expression and face else None

    def for_pair(self, source: Image.Image, target: Image.Image, label: str) -> "PairJudge":
        """A judge of results for this source and target, which should show `label`."""
        return PairJudge(self, source, target, label)


class PairJudge:
    """Judges results for one source and target. If a result shows no face, it judges the place of the target's."""

    def __init__(self, judges: Judges, source: Image.Image, target: Image.Image, label: str):
        self.judges, self.label = judges, label
        self.target_face = judges.detect(target)
        self.target, self.source = judges.identity_features(target), judges.identity_features(source)

    def __call__(self, result: Image.Image) -> dict[str, float]:
        """
        Judge a result.

        Returns:
            `judged` (1 if the judge recognises the label, else 0), and the cosines `to_target` and `to_source`. What
            the available judges cannot tell is left out.
        """
        answers = {}
        if scores := self.judges.expression_scores(result, self.target_face):
            answers["judged"] = float(max(scores, key=lambda label: scores[label]) == self.label)
        features = self.judges.identity_features(result, self.target_face)
        for name, other in (("to_target", self.target), ("to_source", self.source)):
            if features is not None and other is not None:
                answers[name] = float(features @ other)
        return answers
