"""Damaged clips: what can be read is read, the rest is left out and counted."""

import av
import numpy as np
import pytest
from PIL import Image

from tergan_hf.model.errors_tergan import VideoInputError

from .conftest import EXAMPLES
from .video_clips import convert, images_of, make_clip, read_clip, times_of


FRAMES = 50
KINDS = [
    ("mp4", "libx264"),
    ("mp4", "libx265"),
    ("mov", "prores_ks"),
    ("matroska", "libx264"),
    ("webm", "libvpx-vp9"),
    ("mpegts", "libx264"),
    ("mpeg", "mpeg2video"),
    ("avi", "mpeg4"),
    ("avi", "mjpeg"),
    ("flv", "libx264"),
]


@pytest.fixture(scope="module")
def moving() -> list[Image.Image]:
    face = Image.open(EXAMPLES / "london_099_happiness.jpg").convert("RGB").resize((160, 120))
    return [face.rotate(8 * np.sin(number / 5)) for number in range(FRAMES)]


def write(folder, images, container: str, codec: str):
    pixel_format = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}.get(codec, "yuv420p")
    options = {"g": "10", "x265-params": "log-level=none"} if codec == "libx265" else {"g": "10"}
    return make_clip(
        folder / "clip", size=(160, 120), images=images, container=container, codec=codec, pixel_format=pixel_format,
        options=options,
    )  # fmt: skip


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_60_spoilt_bytes_in_the_middle(tmp_path, moving, container, codec):
    data = write(tmp_path, moving, container, codec).read_bytes()
    random, fewest = np.random.default_rng(1), FRAMES
    for share in (0.35, 0.45, 0.5, 0.55, 0.65):
        spoilt = bytearray(data)
        at = int(share * len(data))
        spoilt[at : at + 60] = random.integers(0, 256, 60, np.uint8).tobytes()
        (tmp_path / "spoilt").write_bytes(spoilt)
        report = convert(tmp_path / "spoilt", tmp_path / "out.mp4")
        fewest = min(fewest, report.frames)
        assert len(read_clip(report.path)) == report.frames
        assert max(times_of(report.path)) == pytest.approx((FRAMES - 1) / 25, abs=0.45)
    assert fewest >= FRAMES - 12  # what hangs on a lost frame, to the next that stands alone


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("matroska", "libx264"), ("flv", "libx264")])
def test_damaged_packets_are_counted(tmp_path, moving, container, codec):
    clip = write(tmp_path, moving, container, codec)
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as source:
        packets = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    for number in (19, 29, 39):  # in the decoder's order, and nothing hangs on them
        at = data.find(packets[number])
        assert at > 0
        data[at : at + 60] = b"\xff" * 60
    (tmp_path / "spoilt").write_bytes(data)
    report = convert(tmp_path / "spoilt", tmp_path / "out.mp4")
    assert report.damaged_packets == 3
    assert report.frames == FRAMES - 3


@pytest.mark.parametrize(
    ("container", "codec"), [("matroska", "libx264"), ("mpegts", "libx264"), ("avi", "mpeg4"), ("flv", "libx264")]
)
def test_a_clip_that_is_cut_gives_what_it_has(tmp_path, moving, container, codec):
    data = write(tmp_path, moving, container, codec).read_bytes()
    (tmp_path / "cut").write_bytes(data[: 7 * len(data) // 10])
    report = convert(tmp_path / "cut", tmp_path / "out.mp4")
    assert FRAMES // 3 < report.frames < FRAMES
    assert len(read_clip(report.path)) == report.frames


def test_a_clip_that_ends_before_its_head_says_is_noted(tmp_path, moving):
    clip = make_clip(
        tmp_path / "clip", size=(160, 120), images=moving, container="mp4", options={"g": "10"},
        muxer={"movflags": "faststart"},
    )  # fmt: skip
    data = clip.read_bytes()
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    report = convert(tmp_path / "cut", tmp_path / "out.mp4")
    assert 5 < report.frames < FRAMES - 5
    (note,) = report.notes
    assert "of 2.0 seconds" in note
    assert convert(clip, tmp_path / "out.mp4").notes == []


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_a_clip_of_which_nothing_can_be_read_is_an_error(tmp_path, moving, container, codec):
    clip = write(tmp_path, moving[:4], container, codec)
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as source:
        packets = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    for packet in packets:
        chunk = packet[: 150 if container in ("mpegts", "mpeg") else len(packet)]
        at = data.find(chunk)
        assert at > 0
        data[at : at + len(packet)] = b"\xff" * len(packet)
    del data[len(clip.read_bytes()) :]
    (tmp_path / "spoilt").write_bytes(data)
    with pytest.raises(VideoInputError, match="spoilt"):
        images_of(tmp_path / "spoilt")
    with pytest.raises(VideoInputError, match="spoilt"):
        convert(tmp_path / "spoilt", tmp_path / "out.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip", "spoilt"]


def test_a_picture_that_begins_in_mid_stream_is_read_from_its_first_whole_frame(tmp_path, moving):
    data = write(tmp_path, moving, "mpegts", "libx264").read_bytes()
    start = 188 * (len(data) // 188 // 3)
    (tmp_path / "later.ts").write_bytes(data[start:])
    report = convert(tmp_path / "later.ts", tmp_path / "out.mp4")
    assert FRAMES // 2 < report.frames < FRAMES
    assert min(times_of(report.path)) == 0
