"""
Convert HDR and wide-gamut colours to SDR with BT.709 primaries.

High dynamic range follows ITU-R BT.2408 and BT.2390: diffuse white is 203 cd/m², light below 88 cd/m² stays as it is,
and highlights up to 1000 cd/m² are rolled off. The numbers of primaries and transfers are those of ITU-T H.273.
"""

import os
import tempfile
from functools import lru_cache

import numpy as np
from PIL import Image

from .video_container_tergan import av


TABLE_SIZE = 65
TABLE_STEPS = 4095  # of the numbers in a table
WHITE, PEAK = 203.0, 1000.0  # cd/m²
SCREEN_GAMMA = 2.4  # BT.1886
PQ, HLG, LINEAR, LOG_100, LOG_316, SMPTE_428, SRGB = 16, 18, 8, 9, 10, 17, 13
# All others are SDR; their code values are kept.
CONVERTED_TRANSFERS = (PQ, HLG, LINEAR, LOG_100, LOG_316, SMPTE_428)
D65, ILLUMINANT_C, DCI_WHITE, EQUAL_ENERGY = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351), (1 / 3, 1 / 3)
BT_709_PRIMARIES = (((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)), D65)
# The primaries of BT.601, SMPTE 240M and EBU 3213 are close to BT.709's and stay unconverted.
WIDE_PRIMARIES = {
    4: (((0.670, 0.330), (0.210, 0.710), (0.140, 0.080)), ILLUMINANT_C),  # BT.470 M
    8: (((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), ILLUMINANT_C),  # film
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65),  # BT.2020
    10: (((1.0, 0.0), (0.0, 1.0), (0.0, 0.0)), EQUAL_ENERGY),  # CIE XYZ
    11: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), DCI_WHITE),  # DCI-P3
    12: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), D65),  # Display P3
}  # fmt: skip
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def needs_mapping(primaries: int, transfer: int) -> bool:
    """Whether colours with these H.273 numbers have to be converted."""
    return primaries in WIDE_PRIMARIES or transfer in CONVERTED_TRANSFERS


class ToneMapper:
    """
    Converts frames to SDR with FFmpeg's `lut3d` filter at 16 bits.

    Args:
        frame: PyAV's `VideoFrame`. All frames to convert share its size, pixel format, matrix and range.
        primaries, transfer: H.273 numbers of the frames.
    """

    def __init__(self, frame, primaries: int, transfer: int):
        graph = av.filter.Graph()
        source = graph.add(
            "buffer", video_size=f"{frame.width}x{frame.height}", pix_fmt=frame.format.name, time_base="1/1",
            colorspace=str(frame.colorspace), range=str(frame.color_range),
        )  # fmt: skip
        handle, path = tempfile.mkstemp(suffix=".cube")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(cube_text(primaries, transfer))
            steps = [
                graph.add("scale"),
                graph.add("format", pix_fmts="gbrp16le"),
                graph.add("lut3d", file=path, interp="tetrahedral"),
                graph.add("format", pix_fmts="rgb24"),
                graph.add("buffersink"),
            ]
        finally:
            os.unlink(path)
        graph.link_nodes(source, *steps).configure()
        self._graph = graph

    @staticmethod
    def is_available() -> bool:
        """Whether this FFmpeg has the filters."""
        return {"scale", "format", "lut3d"} <= av.filter.filters_available

    def convert(self, frame):
        """Convert a frame to an 8-bit RGB frame."""
        frame.color_primaries = frame.color_trc = 2  # the table has them
        self._graph.push(frame)
        return self._graph.pull()


@lru_cache(maxsize=2)
def cube_text(primaries: int, transfer: int) -> str:
    """The conversion to SDR as the text of a `.cube` file."""
    axis = np.linspace(0, 1, TABLE_SIZE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest
    shown = to_sdr(np.stack((red, green, blue), -1).reshape(-1, 3), primaries, transfer)
    words = [f"{step / TABLE_STEPS:.4f}" for step in range(TABLE_STEPS + 1)]
    lines = [f"{words[r]} {words[g]} {words[b]}" for r, g, b in np.rint(shown * TABLE_STEPS).astype(int).tolist()]
    return "\n".join([f"LUT_3D_SIZE {TABLE_SIZE}", *lines, ""])


def map_image(image: Image.Image, primaries: int, transfer: int) -> Image.Image:
    """Convert an 8-bit image to SDR."""
    if primaries not in WIDE_PRIMARIES and transfer not in (PQ, HLG):  # each channel for itself
        grey = np.arange(256)[:, None].repeat(3, 1) / 255
        return image.point(np.rint(255 * to_sdr(grey, 1, transfer)[:, 0]).astype(int).tolist() * 3)
    return Image.fromarray(np.rint(255 * to_sdr(np.asarray(image) / 255, primaries, transfer)).astype(np.uint8))


def to_sdr(code: np.ndarray, primaries: int, transfer: int) -> np.ndarray:
    """Convert (..., 3) R'G'B' code values of a video, 0 to 1, to (..., 3) SDR code values, 0 to 1."""
    light = to_light(code, transfer)
    if transfer in (PQ, HLG):
        brightest = light.max(-1, keepdims=True)
        light = light * _rolled_off(brightest) / np.maximum(brightest, 1e-9)
    if primaries in WIDE_PRIMARIES:
        light = light @ matrix_to_bt_709(WIDE_PRIMARIES[primaries]).T
    light = light.clip(0, 1)
    return _srgb_code(light) if transfer == SRGB else light ** (1 / SCREEN_GAMMA)


def to_light(code: np.ndarray, transfer: int) -> np.ndarray:
    """Convert (..., 3) R'G'B' code values, 0 to 1, to (..., 3) linear light; 1 is diffuse white."""
    if transfer == PQ:
        return _pq_light(code) / WHITE
    if transfer == HLG:
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
        return PEAK / WHITE * luminance[..., None] ** 0.2 * scene
    if transfer == LINEAR:
        return code
    if transfer in (LOG_100, LOG_316):
        return np.where(code > 0, 10 ** ((2.0 if transfer == LOG_100 else 2.5) * (code - 1)), 0)
    if transfer == SMPTE_428:
        return 52.37 / 48 * code**2.6
    if transfer == SRGB:
        return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return code**SCREEN_GAMMA


def matrix_to_bt_709(primaries) -> np.ndarray:
    """The (3, 3) matrix from linear RGB of a set of primaries to that of BT.709, with Bradford adaptation."""
    to_xyz, white = _to_xyz(primaries)
    from_xyz, wanted = _to_xyz(BT_709_PRIMARIES)
    adaptation = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ wanted / (BRADFORD @ white)) @ BRADFORD
    return np.linalg.inv(from_xyz) @ adaptation @ to_xyz


def _to_xyz(primaries) -> tuple[np.ndarray, np.ndarray]:
    corners, (x, y) = primaries
    white = np.array([x / y, 1, (1 - x - y) / y])
    columns = np.array([[x, y, 1 - x - y] for x, y in corners]).T
    return columns * np.linalg.solve(columns, white), white


def _pq_light(code: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: code → cd/m²."""
    root = code ** (32 / 2523)
    return 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (8192 / 1305)


def _pq_code(light: np.ndarray) -> np.ndarray:
    """cd/m² → code."""
    power = np.maximum(light / 10_000, 0) ** (1305 / 8192)
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** (2523 / 32)


def _rolled_off(light: np.ndarray) -> np.ndarray:
    """The tone curve of BT.2390: light up to `PEAK` / `WHITE` → light up to 1."""
    peak = _pq_code(np.array(PEAK))
    code, highest = _pq_code(light * WHITE).clip(0, peak) / peak, _pq_code(np.array(WHITE)) / peak
    knee = 1.5 * highest - 0.5
    along = (code - knee).clip(0) / (1 - knee)
    spline = (
        (2 * along**3 - 3 * along**2 + 1) * knee
        + (along**3 - 2 * along**2 + along) * (1 - knee)
        + (3 * along**2 - 2 * along**3) * highest
    )
    return _pq_light(np.where(code < knee, code, spline) * peak) / WHITE


def _srgb_code(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


__all__ = ["ToneMapper", "map_image", "needs_mapping", "to_sdr"]
