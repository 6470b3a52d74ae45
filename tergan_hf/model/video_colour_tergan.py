"""Convert decoded frames to RGB images by their matrix, range, primaries, transfer and transparency."""

import numpy as np
from PIL import Image

from .video_tone_mapping_tergan import HLG, PQ, WIDE_PRIMARIES, ToneMapper, map_image, needs_mapping


try:
    from av.video.reformatter import VideoReformatter
except ImportError:  # only videos need it
    VideoReformatter = None  # type: ignore[assignment, misc]


# Numbers of ITU-T H.273, which FFmpeg uses, too.
RGB, BT_709, UNKNOWN, BT_601, SMPTE_240M, YCGCO, BT_2020, BT_2020_CONSTANT = 0, 1, 2, 6, 7, 8, 9, 10
BT_2020_PRIMARIES = 9
DERIVED = 12  # from the primaries
READ_BY_FFMPEG = (BT_709, 4, 5, BT_601, SMPTE_240M, BT_2020)
LIMITED, FULL = 1, 2
FULL_FROM_LIMITED = [round(min(max(value - 16, 0) / 219, 1) * 255) for value in range(256)]
HD_LINES = 720  # from here on, frames that do not say are BT.709


class ColourReader:
    """
    Converts the frames of a clip to RGB images for an SDR screen.

    Frames without a colour matrix count as BT.709 from 720 lines on, else as BT.601. High dynamic range and wide
    gamuts are converted (`video_tone_mapping_tergan`). Transparency is shown on white, as in photos.

    Attributes:
        notes: sentences on colours that could not be kept exactly.
    """

    def __init__(self):
        self.notes: list[str] = []
        self._reformatter = VideoReformatter()
        self._converter: ToneMapper | None = None
        self._settings: tuple | None = None

    def read(self, frame) -> Image.Image:
        """
        Convert one frame.

        Args:
            frame: PyAV's `VideoFrame`. Its colour tags are overwritten.

        Raises:
            av.error.FFmpegError: FFmpeg cannot convert this pixel format.
        """
        primaries, transfer, matrix = frame.color_primaries, frame.color_trc, self._matrix(frame)
        if frame.color_range not in (LIMITED, FULL):
            frame.color_range = 0
        convert = needs_mapping(primaries, transfer) and not frame.format.name.startswith("xyz")  # FFmpeg maps those
        if transfer in (PQ, HLG):
            self._note("The clip is HDR; the result is SDR, with its highlights rolled off.")
        if matrix == YCGCO:
            image = self._read_ycgco(frame)
        else:
            frame.colorspace = matrix
            coupled = primaries in WIDE_PRIMARIES or transfer in (PQ, HLG)  # the channels
            if convert and coupled and not _has_alpha(frame) and ToneMapper.is_available():
                return self._read_converted(frame, primaries, transfer)
            image = self._read_rgb(frame)
        return map_image(image, primaries, transfer) if convert else image

    def _read_converted(self, frame, primaries: int, transfer: int) -> Image.Image:
        settings = (
            frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, primaries, transfer
        )  # fmt: skip
        if self._converter is None or settings != self._settings:
            self._converter, self._settings = ToneMapper(frame, primaries, transfer), settings
        return _to_image(self._converter.convert(frame))

    def _matrix(self, frame) -> int:
        """The frame's colour matrix, or a guess if it has none or one that FFmpeg does not know."""
        matrix, primaries = frame.colorspace, frame.color_primaries
        if frame.format.is_rgb:
            return RGB
        if matrix == DERIVED:
            matrix = {1: BT_709, BT_2020_PRIMARIES: BT_2020}.get(primaries, UNKNOWN)
        if matrix in READ_BY_FFMPEG or matrix == YCGCO:
            return matrix
        if matrix not in (RGB, UNKNOWN, 3) and matrix <= 17:
            self._note("The clip's colours are coded in a way that FFmpeg cannot read exactly; they may look wrong.")
            return BT_2020 if primaries == BT_2020_PRIMARIES or matrix == BT_2020_CONSTANT else BT_709
        if primaries == BT_2020_PRIMARIES:
            return BT_2020
        return BT_709 if frame.height >= HD_LINES else UNKNOWN  # FFmpeg takes unknown for BT.601

    def _read_rgb(self, frame) -> Image.Image:
        if _has_alpha(frame):
            layered = _to_image(self._reformatter.reformat(frame, format="rgba"))
            return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
        image = _to_image(self._reformatter.reformat(frame, format="rgb24"))
        if frame.format.name.startswith("gray") and frame.color_range == LIMITED:
            return image.point(FULL_FROM_LIMITED * 3)  # FFmpeg takes all grey for full range
        return image

    def _read_ycgco(self, frame) -> Image.Image:
        """Convert YCgCo, which FFmpeg cannot, by the formula of H.273."""
        full = frame.color_range == FULL
        frame.colorspace = UNKNOWN
        planes = self._reformatter.reformat(frame, format="yuv444p").to_ndarray(channel_last=True).astype(np.float32)
        y, cg, co = np.moveaxis(planes, 2, 0)
        y, cg, co = (y, cg - 128, co - 128) if full else (
            (y - 16) * 255 / 219, (cg - 128) * 255 / 224, (co - 128) * 255 / 224
        )  # fmt: skip
        rgb = np.stack((y - cg + co, y + cg, y - cg - co), -1)
        return Image.fromarray(rgb.round().clip(0, 255).astype(np.uint8))

    def _note(self, sentence: str):
        if sentence not in self.notes:
            self.notes.append(sentence)


def _has_alpha(frame) -> bool:
    return frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)


def _to_image(frame) -> Image.Image:
    return Image.fromarray(frame.to_ndarray())


__all__ = ["ColourReader"]
