"""Recognition on labelled photos, through the whole pipeline."""

from dataclasses import dataclass

import numpy as np
from datasets import Dataset
from tqdm.auto import tqdm

from ..data.framing import decode
from ..face_detection_tergan import NoFaceFoundError
from ..pipeline_tergan import TerGanPipeline
from .metrics import accuracy, confusion_matrix, recall_per_class


@dataclass
class RecognitionReport:
    """
    Args:
        confusion: (N, N), rows the true labels, columns the answers. A photo without a found face is not in it.
        answers: one `recognize` result per photo; `None` where no face was found.
        unseen: photos without a found face, counted as wrong in `accuracy`.
    """

    labels: list[str]
    confusion: np.ndarray
    answers: list
    unseen: int

    @property
    def accuracy(self) -> float:
        """Right answers / photos."""
        seen = int(self.confusion.sum())
        return accuracy(self.confusion) * seen / (seen + self.unseen) if seen else 0.0

    def to_dict(self) -> dict:
        """For JSON."""
        return {
            "accuracy": self.accuracy,
            "recall": recall_per_class(self.confusion, self.labels),
            "confusion": self.confusion.tolist(),
            "labels": self.labels,
            "photos_without_a_face": self.unseen,
        }


def measure_recognition(
    pipe: TerGanPipeline, photos: Dataset, detect: bool, batch_size: int = 64
) -> RecognitionReport:
    """Let the pipeline name the expression of every photo."""
    answers = []
    for start in tqdm(range(0, len(photos), batch_size), desc=f"recognize, detect={detect}", dynamic_ncols=True):
        rows = photos.select(range(start, min(start + batch_size, len(photos))))
        images = [decode(row["image"]) for row in rows]
        try:
            answers += pipe.recognize(images, detect=detect)
        except NoFaceFoundError:
            answers += [_answer_or_none(pipe, image) for image in images]
    true = [label for label, answer in zip(photos["expression"], answers) if answer]
    named = [answer[0]["label"] for answer in answers if answer]
    return RecognitionReport(
        pipe.labels, confusion_matrix(true, named, pipe.labels), answers, sum(answer is None for answer in answers)
    )


def _answer_or_none(pipe: TerGanPipeline, image):
    try:
        return pipe.recognize(image)
    except NoFaceFoundError:
        return None
