"""How frames of clips are shown: display matrices, pixels that are not square, sizes that change in mid-clip."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from .video_clips import SIZE, convert, encode_pictures, images_of, make_clip, read_clip


WIDTH, HEIGHT = SIZE
COLOURS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]])  # of the four quarters
# The 2×2 parts of the eight display matrices: stored (x, y) is shown at (a·x + c·y, b·x + d·y).
MATRICES = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]


def quarters(size=SIZE) -> Image.Image:
    return Image.fromarray(COLOURS.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)


def colours_of(image: Image.Image) -> np.ndarray:
    """The colours in the middle of an image's four quarters."""
    width, height = image.size
    pixels = np.asarray(image, float)
    return pixels[[height // 4, 3 * height // 4]][:, [width // 4, 3 * width // 4]]


def shown(matrix) -> np.ndarray:
    """Where a display matrix puts the four quarters."""
    a, b, c, d = matrix
    result = np.zeros_like(COLOURS)
    for y, v in enumerate((-1, 1)):
        for x, u in enumerate((-1, 1)):
            result[int(b * u + d * v > 0), int(a * u + c * v > 0)] = COLOURS[y, x]
    return result


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_all_eight_display_matrices(tmp_path, matrix, container):
    clip = make_clip(tmp_path / "clip", container=container, images=[quarters()] * 3, matrix=matrix)
    for image in images_of(clip):
        assert image.size == (SIZE if matrix[0] else SIZE[::-1])
        assert np.abs(colours_of(image) - shown(matrix)).max() < 20
    report = convert(clip, tmp_path / "out.mp4")
    assert np.abs(colours_of(read_clip(report.path)[0]) - shown(matrix)).max() < 20


@pytest.mark.parametrize(("scale", "tilt"), [(2, 0), (0.5, 0), (1, 0.004)])
def test_a_display_matrix_that_scales_or_is_not_quite_straight_turns_all_the_same(tmp_path, scale, tilt):
    matrix = (tilt, scale, -scale, tilt)
    clip = make_clip(tmp_path / "clip.mp4", images=[quarters()] * 2, matrix=matrix)
    (image, *_) = images_of(clip)
    assert image.size == SIZE[::-1]
    assert np.abs(colours_of(image) - shown((0, 1, -1, 0))).max() < 20


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 1, 1, 1)])
def test_a_display_matrix_that_maps_to_a_line_is_ignored(tmp_path, matrix):
    clip = make_clip(tmp_path / "clip.mkv", images=[quarters()] * 2, matrix=matrix)
    assert np.abs(colours_of(images_of(clip)[0]) - COLOURS).max() < 20


def test_a_clip_held_askew_is_turned_by_its_angle(tmp_path):
    cosine, sine = np.cos(np.radians(30)), np.sin(np.radians(30))
    square = (64, 64)
    clip = make_clip(
        tmp_path / "clip.mp4", size=square, images=[quarters(square)] * 2, matrix=(cosine, sine, -sine, cosine)
    )
    expected = quarters(square).rotate(-30, Image.Resampling.BILINEAR, expand=True)  # clockwise
    (image, *_) = images_of(clip)
    assert image.size == expected.size
    assert np.abs(np.asarray(image, float) - np.asarray(expected, float)).mean() < 12


def test_the_orientation_may_change_in_mid_clip(tmp_path):
    parts = [make_clip(tmp_path / "part.h264", container="h264", images=[quarters()] * 5).read_bytes()]
    with av.open(tmp_path / "part.h264") as source, av.open(tmp_path / "turned.h264", "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        turning = av.BitStreamFilterContext(
            "h264_metadata=display_orientation=insert:rotate=90", in_stream=source.streams.video[0]
        )
        for packet in source.demux():
            for turned in turning.filter(packet if packet.size else None):
                turned.stream = stream
                target.mux(turned)
    parts.append((tmp_path / "turned.h264").read_bytes())
    (tmp_path / "clip.h264").write_bytes(b"".join(parts))
    images = images_of(tmp_path / "clip.h264")
    assert [image.size for image in images] == 10 * [SIZE]
    assert np.abs(colours_of(images[4]) - COLOURS).max() < 20
    narrow = round(HEIGHT * HEIGHT / WIDTH)
    left = (WIDTH - narrow) // 2
    turned = images[-1].crop((left, 0, left + narrow, HEIGHT))  # whole, with black beside it
    assert np.abs(colours_of(turned) - shown((0, -1, 1, 0))).max() < 40
    assert np.asarray(images[-1])[:, : left - 2].max() < 25


@pytest.mark.parametrize(
    ("size", "pixel_aspect", "filled"),
    [
        ((96, 96), None, (8, 0, 56, 48)),
        ((48, 64), None, (14, 0, 50, 48)),
        ((128, 48), None, (0, 12, 64, 36)),
        ((32, 24), None, (0, 0, 64, 48)),  # smaller: enlarged
        (SIZE, 2, (0, 12, 64, 36)),  # only the pixels' shape changes
    ],
)
@pytest.mark.parametrize("container", ["mpegts", "h264"])
def test_every_frame_is_fitted_into_the_first_size(tmp_path, container, size, pixel_aspect, filled):
    first = make_clip(tmp_path / "first", container=container, images=[quarters()] * 6)
    second = make_clip(
        tmp_path / "second", container=container, size=size, images=[quarters(size)] * 6, start=Fraction(6, 25),
        pixel_aspect=pixel_aspect,
    )  # fmt: skip
    (tmp_path / "clip").write_bytes(first.read_bytes() + second.read_bytes())
    report = convert(tmp_path / "clip", tmp_path / "out.mp4")
    for images in (images_of(tmp_path / "clip"), read_clip(report.path)):
        assert [image.size for image in images] == 12 * [SIZE]
        assert np.abs(colours_of(images[5]) - COLOURS).max() < 20  # the first size to its last frame
        for image in images[6:]:
            assert np.abs(colours_of(image.crop(filled)) - COLOURS).max() < 40
            outside = np.asarray(image).astype(int)
            left, top, right, bottom = filled
            outside[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = 0
            assert outside.max() < 25


def test_pixel_formats_may_change_in_mid_clip(tmp_path):
    parts = [
        make_clip(
            tmp_path / "part.ts", container="mpegts", images=[quarters()] * 4, start=Fraction(4 * number, 25),
            pixel_format=pixel_format,
        ).read_bytes()
        for number, pixel_format in enumerate(("yuv420p", "yuv444p", "yuv420p10le", "yuv422p"))
    ]  # fmt: skip
    (tmp_path / "clip.ts").write_bytes(b"".join(parts))
    report = convert(tmp_path / "clip.ts", tmp_path / "out.mp4")
    assert (report.frames, report.damaged_packets) == (16, 0)
    assert all(np.abs(colours_of(image) - COLOURS).max() < 20 for image in read_clip(report.path))


def test_frames_that_grow_in_vp9(tmp_path):
    with av.open(tmp_path / "clip.webm", "w") as file:
        stream, time = file.add_stream("libvpx-vp9", rate=25), 0
        for size in (SIZE, (96, 96)):
            encoder = av.CodecContext.create("libvpx-vp9", "w")
            encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
            encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
            if size == SIZE:
                stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for packet in encode_pictures(encoder, [quarters(size)] * 4):
                packet.stream, packet.pts = stream, packet.pts + time
                packet.dts, packet.time_base = packet.pts, Fraction(1, 25)
                file.mux(packet)
            time += 4
    images = images_of(tmp_path / "clip.webm")
    assert [image.size for image in images] == 8 * [SIZE]
    assert np.abs(colours_of(images[-1].crop((8, 0, 56, 48))) - COLOURS).max() < 40


@pytest.mark.parametrize("aspect", [Fraction(255, 1), Fraction(1, 255)])
def test_a_pixel_aspect_out_of_this_world_is_ignored(tmp_path, aspect):
    clip = make_clip(tmp_path / "clip.mp4", images=[quarters()] * 2, pixel_aspect=aspect)
    assert images_of(clip)[0].size == SIZE


def test_the_smallest_clip_is_written(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 3, size=(1, 1), codec="ffv1", pixel_format="yuv444p")
    assert read_clip(convert(clip, tmp_path / "out.mp4").path)[0].size == (2, 2)
