"""Write rendered frames as an MP4 file."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from ..model.atomic_file_tergan import AtomicFile
from ..model.errors_tergan import MissingPackageError, OutputFileError
from ..model.provenance_tergan import VIDEO_METADATA
from ..model.video_container_tergan import av, reason
from ..model.video_writing_tergan import PictureStream


RATE = 25  # frames per second
CONSTANT_RATE_FACTOR = 15  # of x264; hardly any loss is visible


def check_encoder():
    """
    Check that clips can be written.

    Raises:
        MissingPackageError: PyAV is missing.
    """
    if av is None:
        raise MissingPackageError('clips need the package av: pip install -e ".[video]"')


def write_clip(path: Path, frames: Iterable[np.ndarray], size: int):
    """
    Write a clip of `RATE` frames per second. It appears under its name when it is complete.

    The same frames give the same bytes.

    Args:
        frames: (size, size, 3) uint8, RGB.
        size: an even number of pixels.

    Raises:
        OutputFileError: the file cannot be written.
    """
    path.parent.mkdir(exist_ok=True)
    try:
        with AtomicFile(path) as file, av.open(file.stream, "w", format="mp4") as container:
            container.metadata.update(VIDEO_METADATA)
            stream = PictureStream(
                container, (size, size), Fraction(RATE), constant_rate_factor=CONSTANT_RATE_FACTOR, repeatable=True
            )
            for number, frame in enumerate(frames):
                stream.put(Image.fromarray(frame), number / RATE)
            stream.close()
            container.close()
            file.commit()
    except av.error.FFmpegError as error:
        raise OutputFileError(f"{path} cannot be written ({reason(error)})") from error
