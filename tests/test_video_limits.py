"""Limits on clips: the size of frames, before they are decoded, and the time, while FFmpeg reads and decodes, too."""

import os
import struct
import sys
import time
from pathlib import Path

import av
import pytest
from PIL import Image

from tergan_hf.demo.limits import CLIP_LIMITS, check_clip
from tergan_hf.model.errors_tergan import VideoInputError, VideoLimitError
from tergan_hf.model.video_tergan import VideoLimits, clip_seconds, map_video

from .video_clips import SIZE, convert, images_of, make_clip


KINDS = [
    ("mp4", "libx264"),
    ("mov", "mjpeg"),
    ("matroska", "libx264"),
    ("webm", "libvpx-vp9"),
    ("mpegts", "libx264"),
    ("mpeg", "mpeg2video"),
    ("avi", "mpeg4"),
    ("flv", "libx264"),
    ("h264", "libx264"),
    ("gif", "gif"),
]
ONE_FRAME = VideoLimits(pixels=SIZE[0] * SIZE[1])


def write(path, container, codec, **settings):
    pixel_format = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
    return make_clip(path, container=container, codec=codec, pixel_format=pixel_format, **settings)


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_frames_over_the_limit_are_refused_by_their_head(tmp_path, container, codec):
    clip = write(tmp_path / "clip", container, codec)
    assert len(images_of(clip, limits=ONE_FRAME)) == len(images_of(clip)) == 20
    for limited in (images_of, clip_seconds):
        with pytest.raises(VideoLimitError, match=r"clip: its frames of 64×48 pixels are larger than 0\.0 megapixels"):
            limited(clip, limits=VideoLimits(pixels=SIZE[0] * SIZE[1] - 1))


def test_frames_larger_than_their_head_says_are_not_decoded(tmp_path):
    clip = write(tmp_path / "clip.mp4", "mp4", "libx264", size=(640, 480))
    data = clip.read_bytes()
    lying = data.replace(struct.pack(">HH", 640, 480), struct.pack(">HH", *SIZE))
    assert lying != data
    (tmp_path / "lying.mp4").write_bytes(lying)
    with pytest.raises(VideoInputError, match=r"lying\.mp4 has no frame that can be read.*larger than"):
        images_of(tmp_path / "lying.mp4", limits=ONE_FRAME)


def test_frames_that_grow_over_the_limit_are_left_out(tmp_path):
    parts = [write(tmp_path / "part.ts", "mpegts", "libx264", size=size).read_bytes() for size in (SIZE, (640, 480))]
    (tmp_path / "clip.ts").write_bytes(b"".join(parts))
    report = convert(tmp_path / "clip.ts", tmp_path / "out.mp4", limits=ONE_FRAME)
    assert 15 <= report.frames <= 20 and report.damaged_packets > 0


def test_the_limit_is_on_what_is_shown_too(tmp_path):
    clip = write(tmp_path / "clip.mp4", "mp4", "libx264", pixel_aspect=2)
    with pytest.raises(VideoLimitError, match="128×48"):
        images_of(clip, limits=ONE_FRAME)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux can forget a peak")
def test_a_small_file_of_huge_frames_takes_no_memory(tmp_path):
    clip = make_clip(
        tmp_path / "huge.mp4", size=(8000, 8000), images=[Image.new("RGB", (8000, 8000))] * 2,
        options={"preset": "ultrafast"},
    )  # fmt: skip
    assert clip.stat().st_size < 200_000
    for use in (check_clip, lambda clip: images_of(clip, limits=CLIP_LIMITS)):
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        before = peak_megabytes()
        with pytest.raises(VideoLimitError, match=r"frames of 8000×8000 pixels are larger than 9\.4 megapixels"):
            use(str(clip))
        assert peak_megabytes() - before < 60


def peak_megabytes() -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def test_the_time_limit_holds_while_ffmpeg_reads(tmp_path):
    clip = write(tmp_path / "clip.mkv", "matroska", "libx264", size=(640, 480))
    with open(clip, "r+b") as file:  # a hole behind the middle of it, which FFmpeg searches for what may follow
        file.truncate(clip.stat().st_size // 2)
        file.truncate(200 << 30)
    began = time.monotonic()
    for limited in (images_of, lambda clip, limits: convert(clip, tmp_path / "out.mp4", limits=limits)):
        with pytest.raises(VideoLimitError, match=r"clip\.mkv: not done after 0\.5 seconds"):
            limited(clip, limits=VideoLimits(seconds=0.5))
    assert time.monotonic() - began < 3
    assert os.listdir(tmp_path) == ["clip.mkv"]


def test_data_that_ffmpeg_had_no_time_to_read_are_not_called_damaged(tmp_path, monkeypatch):
    clip = write(tmp_path / "clip.mp4", "mp4", "libx264")

    def open_slowly(*_, timeout, **__):
        time.sleep(timeout[0])
        raise av.error.InvalidDataError(1, "Invalid data found when processing input")

    monkeypatch.setattr(av, "open", open_slowly)
    with pytest.raises(VideoLimitError, match=r"not done after 0\.1 seconds"):
        images_of(clip, limits=VideoLimits(seconds=0.1))


def test_the_time_limit_holds_while_frames_are_worked_on(tmp_path):
    clip = write(tmp_path / "clip.mp4", "mp4", "libx264")
    began = time.monotonic()
    with pytest.raises(VideoLimitError, match="seconds"):
        map_video(
            clip, tmp_path / "out.mp4", lambda frame, interval: time.sleep(0.2) or frame, progress=False,
            limits=VideoLimits(seconds=0.5),
        )  # fmt: skip
    assert time.monotonic() - began < 2
    assert os.listdir(tmp_path) == ["clip.mp4"]


def test_ordinary_work_is_within_the_limits_of_the_app(tmp_path):
    clip = write(tmp_path / "clip.mp4", "mp4", "libx264", size=(1920, 1080))
    check_clip(str(clip))
    assert convert(clip, tmp_path / "out.mp4", limits=CLIP_LIMITS).frames == 20
