"""Clips in, clips out."""

import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from tergan_hf import TerGanPipeline
from tergan_hf.model.errors_tergan import InvalidInputError, NoFaceFoundError, VideoInputError, VideoLimitError
from tergan_hf.model.face_detection_tergan import DetectedFace
from tergan_hf.model.face_tracking_tergan import FaceTracker, OneEuroFilter, select_face
from tergan_hf.model.video_tergan import VideoLimits, map_video, read_frames

from .conftest import EXAMPLES
from .video_clips import read_clip, write_clip


@pytest.fixture(scope="module")
def neutral() -> Image.Image:
    """A face that reads as neutral beyond doubt, also in a small clip."""
    return Image.open(EXAMPLES / "london_036_neutral.jpg")


@pytest.fixture(scope="module")
def clip(tmp_path_factory, smiling):
    """Ten frames of a face that turns a little, one without it, with sound."""
    small = smiling.resize((240, 240))
    frames = [small.rotate(3 * np.sin(number / 2), fillcolor="white") for number in range(9)]
    frames.insert(5, Image.new("RGB", (240, 240), "white"))
    return write_clip(tmp_path_factory.mktemp("clips") / "клип 1.mp4", frames, sound="aac")


def test_frames_times_and_sound_are_kept(clip, tmp_path):
    intervals = []

    def change(frame, interval):
        intervals.append(interval)
        return frame

    report = map_video(clip, tmp_path / "out.mp4", change, progress=False)
    assert (report.path, report.frames, report.damaged_packets, report.notes) == (tmp_path / "out.mp4", 10, 0, [])
    assert intervals == pytest.approx([0.1] * 10)
    with av.open(str(clip)) as before, av.open(str(tmp_path / "out.mp4")) as after:
        assert after.streams.video[0].average_rate == before.streams.video[0].average_rate
        assert after.streams.audio[0].codec_context.name == "aac"
        length = [float(c.streams.audio[0].duration * c.streams.audio[0].time_base) for c in (before, after)]
        assert length[1] == pytest.approx(length[0], abs=0.1)
    same = [
        np.abs(np.asarray(a, int) - np.asarray(b, int)).mean()
        for a, b in zip(read_clip(clip), read_clip(tmp_path / "out.mp4"))
    ]
    assert max(same) < 3


def test_steps_share_the_cores_and_everything_else_keeps_them(clip, tmp_path):
    usual, seen = torch.get_num_threads(), []

    def step(frame, interval=None):
        seen.append(torch.get_num_threads())
        return frame

    torch.set_num_threads(4)
    try:
        map_video(clip, tmp_path / "out.mp4", step, step, progress=False)
        with ThreadPoolExecutor(1) as anew:
            elsewhere = anew.submit(torch.get_num_threads).result()
        assert seen == 20 * [2]
        assert torch.get_num_threads() == elsewhere == 4
    finally:
        torch.set_num_threads(usual)


def test_pixels_that_are_not_square_are_shown_as_they_are_seen(tmp_path, smiling):
    frames = [smiling.resize((48, 64))] * 3
    source = write_clip(tmp_path / "narrow.mp4", frames, pixel_aspect=Fraction(4, 3))
    assert [image.size for _, _, image in read_frames(source, progress=False)] == [(64, 64)] * 3
    map_video(source, tmp_path / "out.mp4", lambda frame, interval: frame, progress=False)
    assert read_clip(tmp_path / "out.mp4")[0].size == (64, 64)


def test_bad_videos_are_named_and_leave_nothing(tmp_path, smiling):
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    with pytest.raises(VideoInputError, match=r"text\.mp4"):
        map_video(text, tmp_path / "out.mp4", lambda frame, interval: frame)
    with pytest.raises(FileNotFoundError, match=r"missing\.mp4"):
        map_video(tmp_path / "missing.mp4", tmp_path / "out.mp4", lambda frame, interval: frame)
    source = write_clip(tmp_path / "ok.mp4", [smiling.resize((64, 64))] * 3)
    with pytest.raises(ValueError, match=r"\.mp4 file, got 'out.avi'"):
        map_video(source, tmp_path / "out.avi", lambda frame, interval: frame)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ok.mp4", "text.mp4"]


def largest_change(photo, frame) -> int:
    """Of 8×8 blocks of 200-pixel pictures: coding alone changes them by 4, the smile by 28."""
    blocks = [np.asarray(image.resize((25, 25), Image.Resampling.BOX), int) for image in (photo, frame)]
    return int(np.abs(blocks[0] - blocks[1]).max())


def test_a_photo_is_animated_and_a_clip_edited(embedded_pipeline: TerGanPipeline, clip, neutral, tmp_path):
    photo = neutral.resize((201, 201))
    report = embedded_pipeline.transfer_video(clip, photo, tmp_path / "animated.mp4", progress=False)
    assert (report.frames, report.frames_without_face) == (10, 1)
    animated = read_clip(report.path)
    assert animated[0].size == (200, 200)  # H.264 takes even sides only
    assert largest_change(photo.crop((0, 0, 200, 200)), animated[0]) > 15
    report = embedded_pipeline.edit_video(clip, "surprise", tmp_path / "edited.mp4", progress=False)
    edited, original = read_clip(report.path), read_clip(clip)
    changes = [np.abs(np.asarray(a, int) - np.asarray(b, int)).mean() for a, b in zip(edited, original)]
    assert changes[5] < 1 and min(changes[:5] + changes[6:]) > 2 * changes[5]


def test_damage_is_reported_by_all_uses_of_clips(embedded_pipeline, clip, neutral, tmp_path):
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        packet = [bytes(packet) for packet in container.demux(video=0) if packet.size][-1]
    at = data.find(packet)
    data[at : at + 60] = b"\xff" * 60
    (tmp_path / "spoilt.mp4").write_bytes(data)
    for use, given in ((embedded_pipeline.transfer_video, neutral), (embedded_pipeline.edit_video, "surprise")):
        report = use(tmp_path / "spoilt.mp4", given, tmp_path / "out.mp4", progress=False)
        assert (report.frames, report.frames_without_face, report.damaged_packets) == (9, 1, 1)
    with pytest.warns(UserWarning, match="^1 damaged packets"):
        timeline = embedded_pipeline.recognize_video(tmp_path / "spoilt.mp4", progress=False)
    assert len(timeline) == 9


def test_limits_hold_in_all_uses_of_clips(embedded_pipeline, clip, neutral, tmp_path):
    for limits, message in ((VideoLimits(pixels=1000), "240×240"), (VideoLimits(seconds=0.01), "seconds")):
        for use in (
            lambda limits: embedded_pipeline.transfer_video(clip, neutral, tmp_path / "out.mp4", limits=limits),
            lambda limits: embedded_pipeline.edit_video(clip, "surprise", tmp_path / "out.mp4", limits=limits),
            lambda limits: embedded_pipeline.recognize_video(clip, limits=limits),
        ):
            with pytest.raises(VideoLimitError, match=message):
                use(limits)
    assert list(tmp_path.iterdir()) == []


def test_intensity_zero_leaves_the_photo(embedded_pipeline, clip, neutral, tmp_path):
    photo = neutral.resize((200, 200))
    embedded_pipeline.transfer_video(clip, photo, tmp_path / "still.mp4", intensity=0.0, progress=False)
    assert max(largest_change(photo, frame) for frame in read_clip(tmp_path / "still.mp4")) < 8


def test_relative_transfer_begins_with_the_photos_own_expression(embedded_pipeline, smiling, neutral, tmp_path):
    still = write_clip(tmp_path / "still.mp4", [smiling.resize((240, 240))] * 4)
    photo = neutral.resize((200, 200))
    found = {}
    for relative in (True, False):
        embedded_pipeline.transfer_video(still, photo, tmp_path / "out.mp4", relative=relative, progress=False)
        found[relative] = largest_change(photo, read_clip(tmp_path / "out.mp4")[0])
    assert found[True] < 8 and found[False] > 15


def test_large_photos_are_reduced_and_a_point_chooses_a_face_of_the_original(
    embedded_pipeline, smiling, neutral, tmp_path
):
    both = Image.new("RGB", (640, 320))
    for number in range(2):
        both.paste(neutral.convert("RGB").resize((320, 320)), (320 * number, 0))
    clip = write_clip(tmp_path / "still.mp4", [smiling.resize((240, 240))] * 2)
    options = {"face": (480, 160), "max_side": 400, "relative": False, "progress": False}
    embedded_pipeline.transfer_video(clip, both, tmp_path / "out.mp4", **options)
    frame = read_clip(tmp_path / "out.mp4")[-1]
    assert frame.size == (400, 200)
    sides = [(0, 0, 200, 200), (200, 0, 400, 200)]
    left, right = (largest_change(both.resize(frame.size).crop(side), frame.crop(side)) for side in sides)
    assert left < 10 and right > 15
    for wrong in (0, -5, None, "300", float("nan")):
        with pytest.raises(InvalidInputError, match="max_side must be a number of pixels"):
            embedded_pipeline.transfer_video(clip, both, tmp_path / "out.mp4", max_side=wrong)


@pytest.fixture(scope="module")
def smiles(embedded_pipeline, neutral):
    """A person at rest and ever happier, 240×240."""
    calm = neutral.resize((240, 240))
    return [calm, *(embedded_pipeline.edit(calm, "happiness", share) for share in (0.5, 1.0))]


def change_since(photo, frame) -> float:
    return float(np.abs(np.asarray(frame, int) - np.asarray(photo, int)).mean())


def test_changes_are_carried_from_a_clip_that_begins_calmly(embedded_pipeline, smiles, smiling, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", smiles[:1] * 16 + smiles[1:] + smiles[2:] * 4)
    photo = smiling.resize((200, 200))
    report = embedded_pipeline.transfer_video(clip, photo, tmp_path / "out.mp4", progress=False)
    (face,) = report.faces
    assert (report.frames, face.relative, face.frames_without_face) == (22, True, 0) and face.reference_seconds < 1.5
    frames = read_clip(report.path)
    assert largest_change(photo, frames[0]) < 8
    still, moved = (change_since(frames[0], frames[number]) for number in (15, -1))
    assert still < 0.2 and moved > 2 * still


def test_a_clip_that_begins_with_a_smile_shows_it_at_once(embedded_pipeline, smiles, neutral, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", smiles[2:] * 18 + smiles[:1] * 10)
    photo = neutral.resize((200, 200))
    report = embedded_pipeline.transfer_video(clip, photo, tmp_path / "out.mp4", progress=False)
    assert report.faces[0].relative is False and report.faces[0].reference_seconds is None
    frames = read_clip(report.path)
    labels = [embedded_pipeline.recognize(frame)[0]["label"] for frame in (frames[0], frames[-1])]
    assert labels == ["happiness", "neutral"]


def test_a_smile_before_the_calm_frame_stays_a_smile(embedded_pipeline, smiles, neutral, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", smiles[2:] * 6 + smiles[:1] * 12)
    report = embedded_pipeline.transfer_video(clip, neutral.resize((200, 200)), tmp_path / "out.mp4", progress=False)
    assert report.faces[0].relative and report.faces[0].reference_seconds > 0.5
    frames = read_clip(report.path)
    labels = [embedded_pipeline.recognize(frame)[0]["label"] for frame in (frames[0], frames[-1])]
    assert labels == ["happiness", "neutral"]


def test_steps_can_wait_until_the_first_has_looked_ahead(clip, tmp_path):
    read, begun, first_has_begun = [], [], threading.Event()

    def first(frame, interval):
        if len(read) == 2:
            first_has_begun.wait(20)  # its second step has a thread of its own, which may be slow
        read.append(1)
        return frame

    def waits():
        return 2 <= len(read) < 5

    def second(frame):
        begun.append(len(read))
        first_has_begun.set()
        return frame

    map_video(clip, tmp_path / "out.mp4", first, second, waits=waits, progress=False)
    assert len(begun) == len(read) == 10
    assert begun[0] <= 2 and min(begun[1:]) >= 5
    frames = zip(read_clip(clip), read_clip(tmp_path / "out.mp4"))
    assert max(change_since(before, after) for before, after in frames) < 3


def side_by_side(left, right) -> Image.Image:
    both = Image.new("RGB", (480, 240), "white")
    both.paste(left, (0, 0))
    both.paste(right, (240, 0))
    return both


LEFT, RIGHT = (120, 120), (360, 120)


def halves_that_change(before, after) -> list[bool]:
    """Whether the left and the right half change between two frames of a clip."""
    halves = [(0, 0, 240, 240), (240, 0, 480, 240)]
    return [change_since(before.crop(half), after.crop(half)) > 0.3 for half in halves]


def test_each_face_of_a_photo_has_its_own_driver(embedded_pipeline, smiles, smiling, tmp_path):
    other = smiling.resize((240, 240))
    clip = write_clip(
        tmp_path / "clip.mp4", [side_by_side(person, other) for person in [smiles[0]] * 3 + smiles[2:] * 3]
    )
    photo = side_by_side(other, smiles[0])

    def changed(**named):
        report = embedded_pipeline.transfer_video(clip, photo, tmp_path / "out.mp4", progress=False, **named)
        frames = read_clip(report.path)
        return report, halves_that_change(frames[0], frames[-1])

    report, halves = changed(faces={LEFT: RIGHT, RIGHT: LEFT}, relative=True)
    assert halves == [False, True]
    assert [face.face for face in report.faces] == [RIGHT, LEFT] and report.frames_without_face == 0
    assert changed(faces={LEFT: LEFT, RIGHT: RIGHT}, relative=True)[1] == [True, False]
    report, halves = changed(faces={LEFT: LEFT, RIGHT: LEFT}, relative=True)
    assert halves == [True, True] and len(report.faces) == 1
    report, halves = changed(faces={LEFT: LEFT, RIGHT: RIGHT})
    assert [face.relative for face in report.faces] == [True, False]  # each begins in its own way


def test_each_face_of_a_clip_takes_its_own_expression(embedded_pipeline, smiles, smiling, tmp_path):
    def labels_of(image):
        return [embedded_pipeline.recognize(image, face=face)[0]["label"] for face in (LEFT, RIGHT)]

    frame = side_by_side(smiles[0], smiling.resize((240, 240)))
    clip = write_clip(tmp_path / "clip.mp4", [frame] * 3)
    expressions = {LEFT: "surprise", RIGHT: "neutral"}
    report = embedded_pipeline.edit_video(clip, expressions, tmp_path / "out.mp4", progress=False)
    assert [face.face for face in report.faces] == [LEFT, RIGHT] and report.faces[0].relative is None
    edited = read_clip(report.path)[-1]
    assert labels_of(edited) == ["surprise", "neutral"]
    report = embedded_pipeline.edit_video(clip, {RIGHT: "neutral"}, tmp_path / "out.mp4", progress=False)
    assert labels_of(frame) == ["neutral", "happiness"] and labels_of(read_clip(report.path)[-1]) == [
        "neutral",
        "neutral",
    ]


def test_faces_are_named_once_and_in_one_way(embedded_pipeline, smiles, smiling, tmp_path):
    photo = side_by_side(smiles[0], smiling.resize((240, 240)))
    clip = write_clip(tmp_path / "clip.mp4", [photo] * 2)
    out = tmp_path / "out.mp4"
    for message, named in (
        ("leave out face", {"faces": {0: 1}, "driving_face": 0}),
        ("faces must map", {"faces": {}}),
        ("faces must map", {"faces": [0, 1]}),
        ("are the same face", {"faces": {LEFT: 0, (130, 110): 1}}),
        ("face=2, but 2 found", {"faces": {2: 0}}),
        ("face=2, but 2 found", {"faces": {0: 2}}),
    ):
        with pytest.raises(InvalidInputError, match=message):
            embedded_pipeline.transfer_video(clip, photo, out, progress=False, **named)
    with pytest.raises(InvalidInputError, match="leave out face"):
        embedded_pipeline.edit_video(clip, {0: "anger"}, out, face=1, progress=False)
    with pytest.raises(InvalidInputError, match="expression of face 1: 'bored' is neither"):
        embedded_pipeline.edit_video(clip, {0: "anger", 1: "bored"}, out, progress=False)
    assert not out.exists()


def test_a_clip_without_a_face_is_an_error_and_leaves_what_was_there(embedded_pipeline, tmp_path):
    empty = write_clip(tmp_path / "empty.mp4", [Image.new("RGB", (96, 96), "white")] * 3)
    (tmp_path / "out.mp4").write_text("older")
    with pytest.raises(NoFaceFoundError, match=r"empty\.mp4"):
        embedded_pipeline.edit_video(empty, "happiness", tmp_path / "out.mp4", progress=False)
    assert (tmp_path / "out.mp4").read_text() == "older"
    assert len(list(tmp_path.iterdir())) == 2


def test_tracker_follows_between_detections(embedded_pipeline, neutral):
    detector = embedded_pipeline.detector
    tracker = FaceTracker(detector)
    searches = []
    original = tracker._search
    tracker._search = lambda frame, doubtful: searches.append(1) or original(frame, doubtful)
    for number in range(12):
        moved = neutral.rotate(0, translate=(4 * number, 2 * number), fillcolor="white")
        found = tracker(moved, 0.04)
    expected = detector.detect(moved)[0].landmarks
    eyes = np.linalg.norm(expected[0] - expected[1])
    assert len(searches) == 1
    assert np.linalg.norm(found - expected, axis=1).max() < 0.12 * eyes


def test_filter_steadies_what_trembles_and_follows_what_moves():
    random = np.random.default_rng(0)
    steady = OneEuroFilter(min_cutoff=1.0, speed=0.02)
    trembling = np.array([steady(random.normal(0, 1, 3), 0.04) for _ in range(200)])
    assert trembling[50:].std() < 0.45
    following = OneEuroFilter(min_cutoff=1.0, speed=0.02)
    for number in range(100):
        value = following(np.full(3, 10.0 * number), 0.04)
    assert abs(value - 990).max() < 15


def test_faces_are_chosen_by_index_or_point():
    faces = [
        DetectedFace(np.array([left, 0, left + side, side], float), np.zeros((5, 2)), 1.0)
        for left, side in ((0, 100), (200, 50))
    ]
    assert select_face(faces, None, "photo") is faces[0]
    assert select_face(faces, 1, "photo") is faces[1]
    assert select_face(faces, (210, 10), "photo") is faces[1]
    assert select_face(faces, (160, 30), "photo") is faces[1]  # the nearest
    with pytest.raises(ValueError, match=r"photo: face=2, but 2 found"):
        select_face(faces, 2, "photo")
    for wrong in ("left", True, (1, 2, 3), -1):
        with pytest.raises(ValueError, match="face"):
            select_face(faces, wrong, "photo")
