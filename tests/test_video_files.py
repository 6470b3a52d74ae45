"""Clips as files: any name, no playlist, nothing opened beside them, results that appear when they are complete."""

import os
import signal
import socket
import struct
import subprocess
import sys
import time

import av
import pytest
from PIL import Image

from tergan_hf.model.atomic_file_tergan import AtomicFile
from tergan_hf.model.errors_tergan import MissingFileError, OutputFileError, VideoInputError
from tergan_hf.model.video_tergan import VideoLimits, clip_seconds

from .conftest import EXAMPLES, ROOT
from .video_clips import convert, encode_pictures, images_of, make_clip, read_clip, tone_of


fcntl, resource = pytest.importorskip("fcntl"), pytest.importorskip("resource")  # Unix
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="what Linux has")
NAMES = [
    "2024-05-01T12:30:45.mp4",
    "pipe:0.mp4",
    "pipe:.mp4",
    "file:clip.mp4",
    "http:clip.mp4",
    "concat:a|b.mp4",
    "subfile,,start,0,end,9,,:x.mp4",
    "data:,x.mp4",
    "-i.mp4",
    "img%03d.mp4",
    "what?*[a-z].mp4",
    "#1 & $HOME;x.mp4",
    " leading and trailing .mp4",
    "a'b\"c\\d.mp4",
    "клип 視頻.mp4",
    "new\nline.mp4",
    "x" * 251 + ".mp4",
    "й" * 125 + ".mp4",
    pytest.param(os.fsdecode(b"latin \xe9.mp4"), marks=on_linux),
]
KINDS = [
    ("mov", "libx264"),
    ("3gp", "h263"),
    ("matroska", "libx264"),
    ("webm", "libvpx"),
    ("avi", "mpeg4"),
    ("flv", "flv"),
    ("mpegts", "mpeg2video"),
    ("mpeg", "mpeg1video"),
    ("asf", "mpeg4"),
    ("nut", "mpeg4"),
    ("gif", "gif"),
    ("apng", "apng"),
    ("ivf", "libvpx"),
    ("yuv4mpegpipe", "rawvideo"),
    ("mxf", "mpeg2video"),
    ("rm", "rv10"),
    ("wtv", "mpeg2video"),
    ("ogg", "libvpx"),
    ("h264", "libx264"),
    ("hevc", "libx265"),
    ("mpeg2video", "mpeg2video"),
    ("m4v", "mpeg4"),
]


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mp4", 5, container="mp4")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder that is the working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_may_have_any_name(clip, here, name):
    clip.rename(here / name)
    for path in (here / name, name, str(here / name)):
        assert len(images_of(path)) == 5
    assert clip_seconds(name) == pytest.approx(0.2)
    with pytest.raises(VideoInputError) as error:
        convert(name, name, limits=VideoLimits(pixels=1))
    str(error.value).encode()  # can be printed
    report = convert(name, name)  # over itself, when it is complete
    assert report.frames == 5
    assert os.listdir(here) == [name] and len(read_clip_of(here / name)) == 5


def read_clip_of(path) -> list:
    with open(path, "rb") as file, av.open(file) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_kinds_are_known_by_content(tmp_path, container, codec):
    pixel_format = {"gif": "rgb8", "apng": "rgb24"}.get(codec, "yuv420p")
    size = (176, 144) if codec == "h263" else (64, 48)
    options = {"x265-params": "log-level=none"} if codec == "libx265" else None
    make_clip(
        tmp_path / "clip", 5, size=size, container=container, codec=codec, pixel_format=pixel_format, options=options
    )
    (tmp_path / "clip").rename(tmp_path / "clip.txt")
    assert len(images_of(tmp_path / "clip.txt")) in (4, 5)  # bare MPEG may keep the last


@pytest.mark.parametrize("packet", [188, 192, 204])
def test_a_transport_stream_may_begin_in_mid_packet(tmp_path, packet):
    data = make_clip(tmp_path / "clip.ts", 10, container="mpegts").read_bytes()
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    framed = b"".join(bytes(4) + part if packet == 192 else part + bytes(packet - 188) for part in packets)
    (tmp_path / "other.ts").write_bytes(b"\x11" * 50 + framed)
    assert len(images_of(tmp_path / "other.ts")) == 10


def playlists(secret) -> dict[str, str]:
    """Files that would have FFmpeg open others."""
    segments = "#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    address = f"file:{secret}"
    made = {
        f"playlist {number}": f"#EXTM3U\n{segments.format(entry)}"
        for number, entry in enumerate((secret, secret.name, address, f"concat:{secret}", "http://127.0.0.1:9/x.ts"))
    }
    return made | {
        "after a blank line": f"\n#EXTM3U\n{segments.format(secret)}",
        "master": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{secret}\n",
        "live": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n",
        "concat script": f"ffconcat version 1.0\nfile '{secret}'\n",
        "DASH": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><BaseURL>'
        f"{address}</BaseURL></Period></MPD>",
        "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
        "captions": '{"captions":[{"duration":1,"content":"x","startOfParagraph":true,"startTime":0}]}',
        "ASX": f'<asx version="3.0"><entry><ref href="{address}"/></entry></asx>',
        "PLS": f"[playlist]\nFile1={secret}\nNumberOfEntries=1\n",
        "QuickTime redirect": f"RTSPtext\nrtsp://127.0.0.1:9/{secret}\n",
        "IMF": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"/>',
        "subtitles": "1\n00:00:00,000 --> 00:00:01,000\nx\n",
        "VobSub": "# VobSub index file, v7\n",
        "path": str(secret),
    }


@pytest.mark.parametrize("name", ["x.m3u8", "x.mp4", "x"])
def test_playlists_and_scripts_are_not_opened(clip, here, name):
    for what, text in playlists(clip).items():
        (here / name).write_text(text)
        for use in (images_of, clip_seconds, lambda path: convert(path, here / "out.mp4")):
            with pytest.raises(VideoInputError, match="playlists are not opened"):
                use(here / name)
        assert os.listdir(here) == [name], what


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "img%03d.jpg", "photo.mp4"])
def test_photos_are_no_clips(here, name):
    with Image.open(EXAMPLES / "london_014_neutral.jpg") as photo:
        photo.resize((64, 64)).save(here / name, "PNG" if "png" in name else "JPEG")
    with pytest.raises(VideoInputError, match="is no video"):
        images_of(name)


def test_a_movie_does_not_refer_to_another_file(here, tmp_path):
    """QuickTime's reference movies name the file that has the data."""
    clip = make_clip(tmp_path / "clip.mp4", 5, muxer={"movflags": "faststart"})
    path = str(clip).encode()
    record = bytes(150) + struct.pack(">HH", 2, len(path)) + path + bytes(len(path) % 2) + struct.pack(">hH", -1, 0)
    entry = struct.pack(">II4sI", 1, 12 + len(record), b"alis", 0) + record
    movie = boxes_changed(clip.read_bytes(), [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"], bytes(4) + entry)
    data = movie.index(b"mdat") + 4
    (here / "reference.mov").write_bytes(movie[:data] + bytes(len(movie) - data))
    with (
        open(here / "reference.mov", "rb") as file,
        av.open(
            file, options={"enable_drefs": "1", "use_absolute_path": "1"}, io_open=lambda url, *_: open(url, "rb")
        ) as container,
    ):
        assert len(list(container.decode(video=0))) == 5  # FFmpeg follows it where it may
    with pytest.raises(VideoInputError, match="no frame that can be read"):
        images_of(here / "reference.mov")


def boxes_changed(data: bytes, path: list[bytes], content: bytes) -> bytes:
    """MP4 boxes with the content of the first box along a path exchanged."""
    changed, at = b"", 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        inside = data[at + 8 : at + size]
        if path and kind == path[0]:
            inside = boxes_changed(inside, path[1:], content) if len(path) > 1 else content
            path = []
        changed += struct.pack(">I4s", 8 + len(inside), kind) + inside
        at += size
    return changed


def test_what_is_no_regular_file_is_refused_before_it_is_opened(here):
    os.mkfifo(here / "pipe.mp4")
    os.symlink("pipe.mp4", here / "link.mp4")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind("socket.mp4")
    began = time.monotonic()
    for path in ("pipe.mp4", "link.mp4", "socket.mp4", "/dev/zero", "/dev/null", "/dev/stdin"):
        with pytest.raises(VideoInputError, match="regular file"):
            images_of(path)
    with pytest.raises(MissingFileError, match="folder"):
        images_of(here)
    for path in ("missing.mp4", here / "missing" / "x.mp4", "link to nowhere.mp4"):
        with pytest.raises(MissingFileError, match="no such video"):
            images_of(path)
    for path in ("x" * 300, "zero\0byte.mp4"):
        with pytest.raises(VideoInputError, match="cannot be opened"):
            images_of(path)
    assert time.monotonic() - began < 2
    bound.close()


def test_a_title_that_is_no_utf_8_does_not_matter(tmp_path):
    with av.open(tmp_path / "clip.avi", "w", metadata_encoding="latin-1") as file:
        file.metadata["title"] = "café"
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        file.mux(stream.encode(av.VideoFrame(64, 48)) + stream.encode(None))
    assert len(images_of(tmp_path / "clip.avi")) == 1


@on_linux
def test_outputs_that_cannot_be_written_are_refused_before_the_work(clip, here):
    (here / "folder.mp4").mkdir()
    for output, error in (
        ("x" * 300 + ".mp4", OutputFileError),
        ("zero\0byte.mp4", OutputFileError),
        ("folder.mp4", OutputFileError),
        ("missing/out.mp4", MissingFileError),
        ("/proc/out.mp4", OutputFileError),
    ):
        with pytest.raises(error, match=r"out\.mp4|cannot be written|folder"):
            convert(clip, output, finish=lambda image: pytest.fail("work was done"))


def test_an_output_has_the_permissions_of_any_new_file(clip, here):
    (here / "plain").write_text("")
    convert(clip, "out.mp4")
    assert (here / "out.mp4").stat().st_mode == (here / "plain").stat().st_mode


@pytest.mark.parametrize("named", [pytest.param(False, marks=on_linux), True])
def test_a_full_disk_is_said_and_leaves_nothing(clip, here, monkeypatch, named):
    if named:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    (here / "out.mp4").write_text("older")
    noisy = make_clip(clip.with_name("long.mp4"), 200, size=(320, 240), sound="aac")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, usual[1]))
    try:
        with pytest.raises(OutputFileError, match=r"^out\.mp4 cannot be written"):
            convert(noisy, "out.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert os.listdir(here) == ["out.mp4"] and (here / "out.mp4").read_text() == "older"


# Importing takes seconds: one process does it and forks for each piece of work.
FORKING = """
import os, signal, sys, time
from tergan_hf.model.video_tergan import map_video

def step(frame, interval):
    print("frame", flush=True)
    time.sleep(0.05)
    return frame

for line in sys.stdin:
    clip, output, kind = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if not child:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
        if kind == "named":
            del os.O_TMPFILE
        print(os.getpid(), flush=True)
        map_video(clip, output, step, progress=False)
        os._exit(0)
    print("ended", os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture(scope="module")
def forking(tmp_path_factory):
    with subprocess.Popen(
        [sys.executable, "-c", FORKING], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        process.clip = make_clip(tmp_path_factory.mktemp("long") / "long.mp4", 400, sound="aac")
        yield process
        process.stdin.close()


@pytest.fixture
def killed(here, forking):
    """Kill the work on a clip in the middle of it."""

    def kill(how: int, kind: str):
        forking.stdin.write(f"{forking.clip}\t{here / 'out.mp4'}\t{kind}\n")
        forking.stdin.flush()
        child = int(forking.stdout.readline())
        for _ in range(10):
            assert forking.stdout.readline() == "frame\n"
        os.kill(child, how)
        while not (line := forking.stdout.readline()).startswith("ended"):
            assert line == "frame\n"
        assert line != "ended 0\n"

    return kill


@on_linux
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_work_that_is_killed_leaves_nothing(here, killed, how):
    (here / "out.mp4").write_text("older")
    killed(how, "unnamed")
    assert os.listdir(here) == ["out.mp4"] and (here / "out.mp4").read_text() == "older"


@on_linux
def test_where_files_need_a_name_the_next_work_removes_what_was_left(clip, here, killed):
    killed(signal.SIGINT, "named")
    assert os.listdir(here) == []
    killed(signal.SIGTERM, "named")
    (left,) = os.listdir(here)
    assert left.startswith(".tergan-") and len(left) < 40
    convert(clip, "first.mp4")
    assert left in os.listdir(here)  # it is young: somebody may be about to lock it
    os.utime(left, (0, 0))
    with open(left, "r+b") as written:
        fcntl.flock(written, fcntl.LOCK_EX)
        convert(clip, "second.mp4")
        assert left in os.listdir(here)  # somebody writes it
    (here / ".tergan-notes").write_text("not ours")
    convert(clip, "third.mp4")
    assert sorted(os.listdir(here)) == [".tergan-notes", "first.mp4", "second.mp4", "third.mp4"]


@on_linux
def test_a_file_without_a_name_gets_one_where_links_are_forbidden(here, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_, **__: (_ for _ in ()).throw(PermissionError(1, "no")))
    with AtomicFile(here / "out.mp4") as file:
        file.stream.write(b"content")
        assert os.listdir(here) == []
        file.commit()
    assert os.listdir(here) == ["out.mp4"] and (here / "out.mp4").read_bytes() == b"content"


def test_an_error_in_a_step_leaves_nothing(clip, here):
    with pytest.raises(ZeroDivisionError):
        convert(clip, "out.mp4", finish=lambda image: 1 / 0)
    assert os.listdir(here) == []
    assert len(read_clip(clip)) == 5


def test_a_cover_is_no_picture(here):
    def add_cover(file):
        cover = file.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        return cover, av.VideoFrame(32, 32, "yuvj420p")

    with av.open("song.m4a", "w", format="mp4") as file:
        tone, (cover, frame) = file.add_stream("aac", rate=48_000), add_cover(file)
        for packet in [
            *cover.encode(frame),
            *cover.encode(None),
            *tone.encode(tone_of(48_000, 1)),
            *tone.encode(None),
        ]:
            file.mux(packet)
    with pytest.raises(VideoInputError, match="has no picture"):
        images_of("song.m4a")
    with av.open("clip.mp4", "w") as file:
        (cover, frame), picture = add_cover(file), file.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        for packet in [*cover.encode(frame), *cover.encode(None)]:
            file.mux(packet)
        for packet in encode_pictures(picture, [av.VideoFrame(64, 48, "yuv420p") for _ in range(5)]):
            file.mux(packet)
    assert [image.size for image in images_of("clip.mp4")] == 5 * [(64, 48)]
