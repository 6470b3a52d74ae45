"""The sound of clips: copied where MP4 takes it, else encoded at a rate and layout that AAC has, else left out."""

from fractions import Fraction

import av
import numpy as np
import pytest

from .video_clips import TONE, convert, encode_pictures, make_clip, read_clip, times_of, tone_in, tone_of


def sound_of(path) -> tuple[str, int, str, float]:
    """Codec, rate, layout and length in seconds."""
    with av.open(str(path)) as container:
        context = container.streams.audio[0].codec_context
        frames = list(container.decode(audio=0))
        seconds = sum(frame.samples / frame.sample_rate for frame in frames)
        return context.codec.canonical_name, frames[0].sample_rate, frames[0].layout.name, seconds


def packets_of(path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize(
    ("codec", "rate", "container"),
    [
        ("aac", 48_000, "mp4"),
        ("aac", 8000, "matroska"),
        ("libmp3lame", 44_100, "avi"),
        ("libmp3lame", 16_000, "matroska"),
        ("ac3", 48_000, "mpegts"),
        ("eac3", 48_000, "matroska"),
        ("flac", 96_000, "mp4"),
        ("alac", 44_100, "mov"),
        ("libopus", 48_000, "webm"),
    ],
)
def test_sound_that_mp4_takes_is_copied(tmp_path, codec, rate, container):
    video = "libvpx-vp9" if container == "webm" else "libx264"
    clip = make_clip(tmp_path / "clip", 50, container=container, codec=video, sound=codec, sound_rate=rate)
    report = convert(clip, tmp_path / "out.mp4")
    assert report.damaged_packets == 0 and report.notes == []
    assert packets_of(report.path) == packets_of(clip)
    assert sound_of(report.path) == pytest.approx(sound_of(clip), abs=0.03)


def test_aac_in_packets_of_their_own_heads_is_copied(tmp_path):
    clip = make_clip(tmp_path / "clip.ts", 50, container="mpegts", sound="aac")
    report = convert(clip, tmp_path / "out.mp4")
    assert packets_of(report.path) == [packet[7:] for packet in packets_of(clip)]  # MP4 has one head for all
    assert tone_in(report.path) == pytest.approx(TONE, abs=2)


@pytest.mark.parametrize(
    ("codec", "rate", "container", "expected_rate"),
    [
        ("libmp3lame", 8000, "matroska", 8000),
        ("libmp3lame", 11_025, "matroska", 11_025),
        ("libmp3lame", 12_000, "matroska", 12_000),
        ("pcm_s16le", 4000, "avi", 8000),
        ("pcm_s16le", 37_800, "avi", 44_100),
        ("pcm_s16le", 192_000, "mov", 96_000),
        ("pcm_u8", 8000, "avi", 8000),
        ("pcm_f32le", 48_000, "matroska", 48_000),
        ("mp2", 48_000, "mpegts", 48_000),
        ("wavpack", 44_100, "matroska", 44_100),
    ],
)
def test_other_sound_is_encoded_at_a_rate_that_aac_has(tmp_path, codec, rate, container, expected_rate):
    clip = make_clip(tmp_path / "clip", 50, container=container, sound=codec, sound_rate=rate)
    report = convert(clip, tmp_path / "out.mp4")
    assert report.damaged_packets == 0 and report.notes == []
    kind, rate, layout, seconds = sound_of(report.path)
    assert (kind, rate, layout) == ("aac", expected_rate, "mono")
    assert seconds == pytest.approx(2.0, abs=0.15)
    assert tone_in(report.path) == pytest.approx(TONE, abs=2)
    assert len(read_clip(report.path)) == 50


def test_vorbis_is_encoded(tmp_path):
    clip = tmp_path / "clip.mkv"
    with av.open(clip, "w") as file:
        picture = file.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        tone = file.add_stream("vorbis", rate=44_100, layout="stereo", options={"strict": "experimental"})
        packets = encode_pictures(picture, [av.VideoFrame(64, 48, "yuv420p") for _ in range(50)])
        for packet in [*packets, *tone.encode(tone_of(44_100, 2, "stereo")), *tone.encode(None)]:
            file.mux(packet)
    report = convert(clip, tmp_path / "out.mp4")
    assert sound_of(report.path)[:3] == ("aac", 44_100, "stereo")
    assert tone_in(report.path) == pytest.approx(TONE, abs=2)


@pytest.mark.parametrize(
    ("layout", "expected", "noted"),
    [
        ("mono", "mono", False),
        ("stereo", "stereo", False),
        ("5.1", "5.1", False),
        ("quad", "stereo", False),
        ("7.1", "stereo", False),
        ("12 channels", "stereo", True),
        ("16 channels", "stereo", True),
        ("22.2", "stereo", True),
    ],
)
@pytest.mark.parametrize("container", ["mov", "matroska"])
def test_layouts_that_aac_lacks_are_mixed(tmp_path, layout, expected, noted, container):
    clip = make_clip(tmp_path / "clip", 50, container=container, sound="pcm_s16le", layout=layout)
    report = convert(clip, tmp_path / "out.mp4")
    kind, rate, mixed, seconds = sound_of(report.path)
    assert (kind, rate) == ("aac", 48_000)
    assert mixed == expected
    assert seconds == pytest.approx(2.0, abs=0.05)
    assert tone_in(report.path) == pytest.approx(TONE, abs=2)
    assert any("channels" in note for note in report.notes) == noted


@pytest.mark.parametrize("codec", ["aac", "mp2", "ac3"])
@pytest.mark.parametrize("change", [{"layout": "stereo"}, {"sound_rate": 32_000}])
def test_sound_may_change_in_mid_clip(tmp_path, codec, change):
    parts = [
        make_clip(
            tmp_path / "part.ts", 50, container="mpegts", start=start, sound=codec, sound_start=start, **settings
        ).read_bytes()
        for start, settings in ((0, {}), (2, change))
    ]
    (tmp_path / "clip.ts").write_bytes(b"".join(parts))
    report = convert(tmp_path / "clip.ts", tmp_path / "out.mp4")
    assert report.frames == 100
    with av.open(report.path) as container:
        frames = list(container.decode(audio=0))
    if codec != "ac3":  # whose every packet says what it is
        assert {(frame.sample_rate, frame.layout.name) for frame in frames} == {(48_000, "mono")}
    assert sum(frame.samples / frame.sample_rate for frame in frames) == pytest.approx(4.0, abs=0.15)
    loud = [np.abs(frame.to_ndarray()[0]).max() for frame in frames]
    assert np.mean([level > 0.1 for level in loud[len(loud) // 2 + 5 : -5]]) > 0.9  # the second part is heard


@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "aac"), ("matroska", "libmp3lame"), ("mpegts", "mp2"), ("mp4", "flac")]
)
def test_damaged_packets_of_sound_are_left_out_and_counted(tmp_path, container, codec):
    clip = make_clip(tmp_path / "clip", 50, container=container, sound=codec)
    data = bytearray(clip.read_bytes())
    packets = packets_of(clip)
    for packet in (packets[5], packets[10]):
        at = data.find(packet[:150])
        assert at > 0
        data[at : at + 100] = bytes(100)
    (tmp_path / "damaged").write_bytes(data)
    report = convert(tmp_path / "damaged", tmp_path / "out.mp4")
    assert report.frames == 50
    assert 1 <= report.damaged_packets <= (20 if container == "mpegts" else 4)  # bare MPEG sound has to find its beat
    assert max(times_of(report.path, "audio")) == pytest.approx(max(times_of(clip, "audio")), abs=0.1)
    assert tone_in(report.path) == pytest.approx(TONE, abs=5)  # decodes without an error


def test_sound_with_a_gap_keeps_it(tmp_path):
    clip = tmp_path / "clip.mkv"
    with av.open(clip, "w") as file:
        picture = file.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        tone = file.add_stream("pcm_s16le", rate=48_000, layout="mono")
        packets = encode_pictures(picture, [av.VideoFrame(64, 48, "yuv420p") for _ in range(75)])
        for start in (0, 2):
            frame = tone_of(48_000, 1)
            frame.pts = start * 48_000
            packets += tone.encode(frame)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            file.mux(packet)
    convert(clip, tmp_path / "out.mp4")
    starts = np.array(times_of(tmp_path / "out.mp4", "audio"))
    assert np.diff(starts).max() == pytest.approx(1.0, abs=0.1)
    assert starts.max() == pytest.approx(3.0, abs=0.1)


def test_sound_in_a_codec_that_this_ffmpeg_lacks_is_left_out_and_said(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 20, sound="libmp3lame")
    data = clip.read_bytes()
    unknown = data.replace(b"A_MPEG/L3", b"A_UNKNOWN")
    assert unknown != data
    (tmp_path / "unknown.mkv").write_bytes(unknown)
    report = convert(tmp_path / "unknown.mkv", tmp_path / "out.mp4")
    (note,) = report.notes
    assert report.frames == 20 and "sound" in note
    with av.open(report.path) as container:
        assert not container.streams.audio


def test_the_first_sound_that_can_be_decoded_is_taken(tmp_path):
    clip = tmp_path / "clip.mkv"
    with av.open(clip, "w") as file:
        picture = file.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        streams = [file.add_stream(codec, rate=48_000, layout="mono") for codec in ("libmp3lame", "aac")]
        packets = encode_pictures(picture, [av.VideoFrame(64, 48, "yuv420p") for _ in range(20)])
        for stream in streams:
            packets += stream.encode(tone_of(48_000, Fraction(4, 5))) + stream.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            file.mux(packet)
    clip.write_bytes(clip.read_bytes().replace(b"A_MPEG/L3", b"A_UNKNOWN"))
    report = convert(clip, tmp_path / "out.mp4")
    assert report.notes == [] and sound_of(report.path)[0] == "aac"


@pytest.mark.parametrize("codec", ["aac", "mp2"])
def test_sound_that_nothing_can_be_made_of_does_not_end_the_work(tmp_path, codec):
    clip = make_clip(tmp_path / "clip.mkv", 20, sound=codec)
    data = bytearray(clip.read_bytes())
    for packet in packets_of(clip):
        at = data.find(packet)
        assert at > 0
        data[at : at + len(packet)] = bytes(len(packet))
    (tmp_path / "silent.mkv").write_bytes(data)
    report = convert(tmp_path / "silent.mkv", tmp_path / "out.mp4")
    assert report.frames == 20 and report.damaged_packets >= 1
    assert len(read_clip(report.path)) == 20
    assert any("sound" in note for note in report.notes)
