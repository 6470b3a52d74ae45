"""The colours of clips: matrices, ranges, pixel formats, wide gamuts and high dynamic range."""

import av
import numpy as np
import pytest
from PIL import Image

from tergan_hf.model.video_tone_mapping_tergan import to_sdr

from .video_clips import SIZE, convert, images_of, make_clip, read_clip


RED, SKIN = (199, 39, 40), (220, 170, 150)
HD = (1280, 720)
LOSSLESS = {"qp": "0"}
# Linear BT.709 → linear BT.2020 (ITU-R BT.2087).
TO_BT_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def colour_of(clip) -> tuple[int, int, int]:
    image = images_of(clip)[0]
    return image.getpixel((image.width // 2, image.height // 2))


def close(color, expected, by=3) -> bool:
    return np.abs(np.subtract(color, expected)).max() <= by


def frame_of(components, pixel_format: str, size=SIZE) -> av.VideoFrame:
    """A frame whose planes have one value each, 8 bits."""
    frame = av.VideoFrame(*size, pixel_format)
    for plane, value in zip(frame.planes, components):
        plane.update(bytes([round(value)]) * plane.buffer_size)
    return frame


def coded(rgb, kr: float, kb: float, full: bool = False) -> tuple[float, float, float]:
    """R'G'B' → Y'CbCr by the coefficients of a matrix, in 8 bits."""
    red, green, blue = (value / 255 for value in rgb)
    y = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - y) / (2 - 2 * kb), (red - y) / (2 - 2 * kr)
    return (255 * y, 128 + 255 * cb, 128 + 255 * cr) if full else (16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr)


BT_601, BT_709, SMPTE_240M, BT_2020 = (0.299, 0.114), (0.2126, 0.0722), (0.212, 0.087), (0.2627, 0.0593)


@pytest.mark.parametrize(
    ("size", "tags", "matrix"),
    [
        (SIZE, {}, BT_601),
        ((1280, 718), {}, BT_601),
        (HD, {}, BT_709),
        ((720, 1280), {}, BT_709),
        (SIZE, {"colorspace": 1}, BT_709),
        (HD, {"colorspace": 5}, BT_601),
        (HD, {"colorspace": 6}, BT_601),
        (SIZE, {"colorspace": 7}, SMPTE_240M),
        (SIZE, {"colorspace": 9}, BT_2020),
        (SIZE, {"colorspace": 12, "color_primaries": 1}, BT_709),  # derived from the primaries
        (SIZE, {"colorspace": 1, "color_range": 2}, BT_709),
        (SIZE, {"color_range": 2}, BT_601),
        (HD, {"color_range": 2}, BT_709),
        (SIZE, {"color_range": 1}, BT_601),
        (SIZE, {"colorspace": 1, "color_primaries": 5, "color_trc": 6}, BT_709),
    ],
)
def test_matrix_and_range_are_what_the_clip_says_or_what_its_lines_say(tmp_path, size, tags, matrix):
    frame = frame_of(coded(RED, *matrix, full=tags.get("color_range") == 2), "yuv420p", size)
    clip = make_clip(tmp_path / "clip.mp4", size=size, images=[frame], options=LOSSLESS, **tags)
    assert close(colour_of(clip), RED)
    report = convert(clip, tmp_path / "out.mp4")
    assert report.notes == []
    with av.open(report.path) as written:  # BT.709, and says so
        frame = next(written.decode(video=0))
        assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)
        assert close(frame.to_image().getpixel((9, 9)), RED, 4)


@pytest.mark.parametrize("full", [False, True])
def test_ycgco_is_read(tmp_path, full):
    red, green, blue = RED
    y, cg, co = (red + 2 * green + blue) / 4, (2 * green - red - blue) / 4, (red - blue) / 2
    components = (y, 128 + cg, 128 + co) if full else (16 + 219 / 255 * y, 128 + 224 / 255 * cg, 128 + 224 / 255 * co)
    frame = frame_of(components, "yuv420p")
    clip = make_clip(
        tmp_path / "clip.mp4", images=[frame], options=LOSSLESS, colorspace=8, color_range=2 if full else 1
    )
    assert close(colour_of(clip), RED)


@pytest.mark.parametrize("number", [11, 13, 14, 15])
def test_a_matrix_that_nobody_can_read_is_said(tmp_path, number):
    clip = make_clip(tmp_path / "clip.mkv", 2, codec="ffv1", colorspace=number)
    (note,) = convert(clip, tmp_path / "out.mp4").notes
    assert "may look wrong" in note


@pytest.mark.parametrize(
    ("codec", "container", "pixel_format", "size"),
    [
        ("libx264", "mp4", "yuvj420p", SIZE),
        ("libx264", "mp4", "yuv444p10le", SIZE),
        ("libx264rgb", "mp4", "rgb24", SIZE),
        ("mjpeg", "avi", "yuvj420p", SIZE),
        ("mjpeg", "avi", "yuvj420p", HD),  # JPEG is BT.601 of any size
        ("ffv1", "matroska", "bgra", HD),
        ("ffv1", "matroska", "gbrp16le", SIZE),
        ("ffv1", "matroska", "bgra", SIZE),
        ("ffv1", "matroska", "yuva420p", SIZE),
        ("ffv1", "matroska", "yuv422p16le", SIZE),
        ("prores_ks", "mov", "yuv422p10le", SIZE),
        ("qtrle", "mov", "rgb24", SIZE),
        ("qtrle", "mov", "argb", SIZE),
        ("rawvideo", "avi", "bgr24", SIZE),
        ("rawvideo", "nut", "nv12", SIZE),
        ("libvpx-vp9", "webm", "gbrp", SIZE),
    ],
)
def test_pixel_formats(tmp_path, codec, container, pixel_format, size):
    options = LOSSLESS if "x264" in codec else {"lossless": "1"} if "vp9" in codec else {"q": "2"}
    tags = {"color_range": 2} if pixel_format.startswith("yuvj") else {}
    clip = make_clip(
        tmp_path / "clip", size=size, container=container, codec=codec, pixel_format=pixel_format, options=options,
        images=[Image.new("RGB", size, RED)] * 2, **tags,
    )  # fmt: skip
    assert close(colour_of(clip), RED, 4)


@pytest.mark.parametrize(
    ("pixel_format", "color_range", "stored", "expected"),
    [("gray", 0, 100, 100), ("gray", 2, 100, 100), ("gray", 1, 16 + 219 * 100 / 255, 100), ("gray", 1, 235, 255)],
)
def test_grey(tmp_path, pixel_format, color_range, stored, expected):
    frame = frame_of([stored], pixel_format)
    clip = make_clip(
        tmp_path / "clip.mkv", codec="ffv1", pixel_format=pixel_format, images=[frame], color_range=color_range
    )
    assert close(colour_of(clip), (expected,) * 3, 1)


@pytest.mark.parametrize(
    ("codec", "container", "pixel_format"), [("qtrle", "mov", "argb"), ("ffv1", "nut", "yuva420p")]
)
def test_transparency_is_shown_on_white_as_in_photos(tmp_path, codec, container, pixel_format):
    frames = []
    for alpha in (0, 128):
        pixels = np.zeros((*SIZE[::-1], 4), np.uint8)
        pixels[:] = (*RED, alpha)
        frames.append(av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=pixel_format))
    clip = make_clip(tmp_path / "clip", container=container, codec=codec, pixel_format=pixel_format, images=frames)
    shown = [image.getpixel((9, 9)) for image in images_of(clip)]
    assert close(shown[0], (255, 255, 255), 1)
    assert close(shown[1], [(value + 255) / 2 for value in RED], 4)


def hdr_frame(rgb, transfer: int, white: float = 203) -> av.VideoFrame:
    """An SDR colour as it stands in a BT.2020 clip, whose white is so many cd/m², by the formulas of BT.2100."""
    light = TO_BT_2020 @ (np.array(rgb) / 255) ** 2.4 * white
    if transfer == 16:
        power = (light / 10_000) ** 0.1593017578125
        code = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:
        luminance = light @ np.array([0.2627, 0.6780, 0.0593]) / 1000
        scene = light / 1000 * luminance ** (1 / 1.2 - 1)
        high = 0.17883277 * np.log(np.maximum(12 * scene, 1) - 0.28466892) + 0.55991073
        code = np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)
    pixels = np.zeros((*SIZE[::-1], 3), np.uint16)
    pixels[:] = np.round(code * 1023)
    frame = av.VideoFrame.from_ndarray(pixels, format="gbrp10le")
    frame.colorspace, frame.color_range = 0, 2
    return frame.reformat(format="yuv420p10le", dst_colorspace="BT2020", dst_color_range="MPEG")


@pytest.mark.parametrize(
    ("transfer", "codec", "container"), [(16, "ffv1", "matroska"), (18, "libx264", "mp4")]
)  # PQ, HLG
def test_hdr_becomes_sdr(tmp_path, transfer, codec, container):
    def shown(rgb, white=203):
        clip = make_clip(
            tmp_path / "clip", container=container, codec=codec, pixel_format="yuv420p10le", colorspace=9,
            color_primaries=9, color_trc=transfer, color_range=1, images=[hdr_frame(rgb, transfer, white)],
            options=LOSSLESS if codec == "libx264" else None,
        )  # fmt: skip
        return colour_of(clip)

    for color in (RED, SKIN, (120, 120, 120), (20, 60, 30)):  # what SDR has stays as it is
        assert close(shown(color), color, 5), color
    highlights = [shown((255, 255, 255), white)[1] for white in (203, 400, 700, 1000)]  # what it has not is rolled off
    assert 220 < highlights[0] < highlights[1] < highlights[2] <= highlights[3] <= 255
    (note,) = convert(tmp_path / "clip", tmp_path / "out.mp4").notes
    assert "HDR" in note
    assert close(read_clip(tmp_path / "out.mp4")[0].getpixel((9, 9)), (255, 255, 255), 4)


@pytest.mark.parametrize(
    ("tags", "stored", "expected"),
    [
        ({"color_primaries": 12, "color_trc": 13}, (234, 51, 35), (255, 0, 0)),  # sRGB's red in Display P3
        ({"color_primaries": 12, "color_trc": 13}, (120, 120, 120), (120, 120, 120)),
        ({"color_primaries": 9, "color_trc": 14}, (120, 120, 120), (120, 120, 120)),
        ({"color_primaries": 11, "color_trc": 1}, (120, 120, 120), (120, 120, 120)),
        ({"color_trc": 8}, (55, 55, 55), (134, 134, 134)),  # linear: (55 / 255) ** (1 / 2.4)
        ({"color_trc": 9}, (204, 204, 204), (174, 174, 174)),  # logarithmic: 10 ** (2 * (0.8 - 1))
        ({"color_trc": 5, "color_primaries": 5}, RED, RED),  # SDR
        ({"color_trc": 13}, RED, RED),
        ({"color_primaries": 22}, RED, RED),
        ({"color_primaries": 3, "color_trc": 3}, RED, RED),  # reserved numbers
    ],
)
def test_primaries_and_transfers(tmp_path, tags, stored, expected):
    clip = make_clip(
        tmp_path / "clip.mp4", images=[Image.new("RGB", SIZE, stored)], pixel_format="yuv444p", options=LOSSLESS,
        colorspace=1, **tags,
    )  # fmt: skip
    assert close(colour_of(clip), expected, 4)


def test_bt_2020_without_a_matrix_is_read_with_its_own(tmp_path):
    tags = {"color_primaries": 9, "color_trc": 14}
    for colorspace in ({}, {"colorspace": 9}):
        frame = frame_of(coded(SKIN, *BT_2020), "yuv420p")
        clip = make_clip(tmp_path / "clip.mp4", images=[frame], options=LOSSLESS, **tags, **colorspace)
        assert close(colour_of(clip), 255 * to_sdr(np.array(SKIN) / 255, 9, 14))
