"""Time stamps of clips: whatever a clip's clock does, a result begins at 0 and sound stays where it was."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from tergan_hf.model.video_tergan import read_frames

from .video_clips import convert, images_of, make_clip, times_of


WRAP = 2**33 / 90_000  # seconds until MPEG's clock begins anew


def head_of(path) -> dict:
    with av.open(str(path)) as container:
        starts = {stream.type: float((stream.start_time or 0) * stream.time_base) for stream in container.streams}
        return {"start": container.start_time / 1e6, "seconds": container.duration / 1e6, **starts}


@pytest.mark.parametrize(
    ("container", "codec", "start"),
    [
        ("mpegts", "aac", 3600),
        ("mpegts", "mp2", 3600),
        ("mpegts", "aac", WRAP - 1),  # the clock begins anew in mid-clip
        ("mpegts", "aac", WRAP - 600),
        ("mpeg", "mp2", 500),
        ("matroska", "aac", 10),
        ("mov", "aac", 5),
        ("flv", "aac", 50),
    ],
)
def test_a_clip_that_begins_late_begins_at_0(tmp_path, container, codec, start):
    video = "mpeg2video" if container == "mpeg" else "libx264"
    clip = make_clip(
        tmp_path / "clip", 50, container=container, codec=video, start=start, sound=codec, sound_start=start,
        sound_rate=44_100,
    )  # fmt: skip
    report = convert(clip, tmp_path / "out.mp4")
    head = head_of(report.path)
    assert report.frames == 50 and report.damaged_packets == 0
    assert head["start"] == 0 and head["seconds"] == pytest.approx(2.0, abs=0.11)
    assert head["video"] == pytest.approx(head["audio"], abs=0.06)  # encoders of sound begin a little earlier


@pytest.mark.parametrize("codec", ["aac", "mp2"])  # copied, encoded anew
@pytest.mark.parametrize(("start", "sound_start"), [(3600.5, 3600), (3600, 3600.7)])
def test_sound_keeps_its_distance_from_the_picture(tmp_path, codec, start, sound_start):
    clip = make_clip(
        tmp_path / "clip.ts", 50, container="mpegts", start=start, sound=codec, sound_start=sound_start
    )  # fmt: skip
    before = min(times_of(clip, "audio")) - min(times_of(clip))
    convert(clip, tmp_path / "out.mp4")
    after = min(times_of(tmp_path / "out.mp4", "audio")) - min(times_of(tmp_path / "out.mp4"))
    assert head_of(tmp_path / "out.mp4")["start"] == 0
    assert after == pytest.approx(before, abs=0.025)
    assert (after < 0) == (sound_start < start)


def test_sound_without_an_edit_list_before_the_picture_is_kept(tmp_path):
    clip = make_clip(
        tmp_path / "clip.mp4", 50, sound="aac", sound_start=0.5, muxer={"use_editlist": "0"}
    )  # fmt: skip
    convert(clip, tmp_path / "out.mp4")
    assert head_of(tmp_path / "out.mp4") == pytest.approx(head_of(clip), abs=0.01)


def test_what_lies_before_an_edit_list_is_not_shown(tmp_path):
    clip = make_clip(
        tmp_path / "clip.mp4", 50, start=-1, sound="aac", sound_start=-1, muxer={"avoid_negative_ts": "disabled"}
    )  # fmt: skip
    report = convert(clip, tmp_path / "out.mp4")
    assert report.frames == 25
    assert times_of(report.path) == pytest.approx(np.arange(25) / 25)
    assert head_of(report.path)["seconds"] == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("codec", ["aac", "mp2"])
@pytest.mark.parametrize("second", [5000, 3, 98])  # forwards, backwards, back by less than a jump
def test_jumps_of_a_recorders_clock_are_taken_out(tmp_path, codec, second):
    parts = [
        make_clip(
            tmp_path / "part.ts", 50, container="mpegts", start=start, sound=codec, sound_start=start
        ).read_bytes()
        for start in (100, second)
    ]
    (tmp_path / "clip.ts").write_bytes(b"".join(parts))
    report = convert(tmp_path / "clip.ts", tmp_path / "out.mp4")
    assert report.frames == 100
    assert np.diff(times_of(report.path)) == pytest.approx(np.full(99, 0.04), abs=0.03)
    assert max(times_of(report.path)) == pytest.approx(3.96, abs=0.05)
    assert max(times_of(report.path, "audio")) == pytest.approx(4.0, abs=0.08)


def test_a_long_gap_in_a_container_without_jumps_is_meant(tmp_path):
    with av.open(tmp_path / "clip.mkv", "w") as file:
        stream = file.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in (0, 100, 500, 20_000, 20_100):
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 48)))
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    read = [(time, interval) for time, interval, _ in read_frames(tmp_path / "clip.mkv", progress=False)]
    assert [time for time, _ in read] == pytest.approx([0, 0.1, 0.5, 20, 20.1])
    assert [interval for _, interval in read[1:]] == pytest.approx([0.1, 0.4, 19.5, 0.1])
    convert(tmp_path / "clip.mkv", tmp_path / "out.mp4")
    assert times_of(tmp_path / "out.mp4") == pytest.approx([0, 0.1, 0.5, 20, 20.1])


def test_frames_without_time_stamps_follow_at_their_rate(tmp_path):
    clip = make_clip(tmp_path / "clip.h264", 20, container="h264")
    with av.open(str(clip)) as container:
        assert any(frame.pts is None for frame in container.decode(video=0))
    read = list(read_frames(clip, progress=False))
    assert [time for time, _, _ in read] == pytest.approx(np.arange(20) / 25)
    brightness = [np.asarray(image).mean() for _, _, image in read]
    assert brightness == sorted(brightness)
    convert(clip, tmp_path / "out.mp4")
    assert times_of(tmp_path / "out.mp4") == pytest.approx(np.arange(20) / 25)


def test_h264_in_avi_whose_time_stamps_are_in_disorder_runs_nearly_evenly(tmp_path):
    clip = make_clip(tmp_path / "clip.avi", 20, container="avi", rate=10)
    with av.open(str(clip)) as container:
        stamps = [frame.pts for frame in container.decode(video=0)]
    assert stamps != sorted(stamps)
    read = list(read_frames(clip, progress=False))
    assert [time for time, _, _ in read] == pytest.approx(np.arange(20) / 10, abs=0.101)
    intervals = [interval for _, interval, _ in read]
    assert min(intervals) == pytest.approx(0.1) and max(intervals) < 0.201


@pytest.mark.parametrize("codec", ["libmp3lame", "pcm_s16le"])  # copied, encoded anew
@pytest.mark.parametrize(("kind", "name"), [(9, "video"), (8, "audio")])
@pytest.mark.parametrize("seconds", [20, 10_000])
def test_one_damaged_time_stamp_moves_nothing_else(tmp_path, codec, kind, name, seconds):
    clip = make_clip(
        tmp_path / "clip.flv", 50, container="flv", options={"bf": "0"}, sound=codec, sound_rate=44_100
    )  # fmt: skip
    data, at, number = bytearray(clip.read_bytes()), 13, 0
    while at + 11 < len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        number += data[at] == kind
        if data[at] == kind and number == 20:
            time = int.from_bytes(data[at + 4 : at + 7], "big") + 1000 * seconds
            data[at + 4 : at + 8] = (time & 0xFFFFFF).to_bytes(3, "big") + (time >> 24).to_bytes(1, "big")
        at += 11 + size + 4
    (tmp_path / "spoilt.flv").write_bytes(data)
    convert(clip, tmp_path / "expected.mp4")
    report = convert(tmp_path / "spoilt.flv", tmp_path / "out.mp4")
    assert report.frames == 50
    for kind in ("video", "audio"):
        expected = times_of(tmp_path / "expected.mp4", kind)
        assert times_of(report.path, kind) == pytest.approx(expected, abs=0.05)


def test_times_count_from_the_first_frame(tmp_path):
    clip = make_clip(tmp_path / "clip.ts", 5, container="mpegts", start=3600)
    assert [time for time, _, _ in read_frames(clip, progress=False)] == pytest.approx(np.arange(5) / 25)
    assert len(images_of(clip)) == 5
