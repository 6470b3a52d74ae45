"""What of a driving clip reaches a result, by landmarks."""

import numpy as np
import pytest

from tergan_hf.evaluation.driving import (
    FEATURES,
    REGIONS,
    RIGID,
    align_landmarks,
    compare_clips,
    high_frequencies,
    mean_comparison,
)


RATE, FRAMES = 25.0, 100
SECONDS = np.arange(FRAMES) / RATE
MOVED = sorted(set(range(478)) - set(RIGID))


@pytest.fixture
def face() -> np.ndarray:
    """Landmarks (478, 2) in pixels; the lips and the eyes are where they belong, the others anywhere in the face."""
    random = np.random.default_rng(0)
    points = random.uniform(60, 180, (478, 2))
    eyes = {33: (80, 100), 133: (110, 100), 362: (130, 100), 263: (160, 100)}
    lids = {159: (95, 92), 145: (95, 108), 386: (145, 92), 374: (145, 108), 468: (95, 100), 473: (145, 100)}
    mouth = {13: (120, 155), 14: (120, 165), 61: (100, 160), 291: (140, 160)}
    brows = {107: (108, 80), 336: (132, 80), 168: (120, 98), 105: (90, 78), 334: (150, 78)}
    for number, point in {**eyes, **lids, **mouth, **brows}.items():
        points[number] = point
    return points


def clip_of(face: np.ndarray, opening: np.ndarray) -> np.ndarray:
    """A clip (T, 478, 2) in which the lower lip moves down by `opening` pixels (T,)."""
    clip = np.repeat(face[None], len(opening), axis=0)
    clip[:, 14, 1] += opening
    return clip


def turned(clip: np.ndarray) -> np.ndarray:
    """The same face on a head that moves, tilts and comes nearer."""
    angles, scales = 0.2 * np.sin(9 * SECONDS), 1 + 0.3 * SECONDS
    points = (clip @ [1, 1j]) * (scales * np.exp(1j * angles))[:, None] + (40 * SECONDS + 5j * SECONDS**2)[:, None]
    return np.stack([points.real, points.imag], axis=-1)


def test_features_tell_how_much_arrives(face):
    opening = 10 + 10 * np.sin(2 * np.pi * SECONDS)
    found = compare_clips(clip_of(face, opening), clip_of(face, 0.4 * opening + 3), RATE)
    assert found["frames"] == FRAMES
    mouth = found["features"]["mouth opening"]
    assert mouth["r"] == pytest.approx(1) and mouth["slope"] == pytest.approx(0.4)
    assert np.isnan(found["features"]["eye left"]["r"])  # it does not move
    mirrored = compare_clips(clip_of(face, opening), clip_of(face, 20 - opening), RATE)
    assert mirrored["features"]["mouth opening"]["r"] == pytest.approx(-1)


def test_the_gaze_follows_the_irises_to_the_viewers_right(face):
    driver = np.repeat(face[None], FRAMES, axis=0)
    driver[:, [468, 473], 0] += 5 * np.sin(SECONDS)[:, None]
    gaze = FEATURES["gaze"](align_landmarks(driver))
    assert np.corrcoef(gaze, np.sin(SECONDS))[0, 1] == pytest.approx(1)
    assert gaze.max() - gaze.min() == pytest.approx(5 * (np.sin(SECONDS).max() - np.sin(SECONDS).min()) / 30)


def test_motion_of_the_head_does_not_count(face):
    opening = 10 + 10 * np.sin(2 * np.pi * SECONDS)
    still, moving = clip_of(face, opening), turned(clip_of(face, opening))
    assert np.allclose(align_landmarks(still), align_landmarks(moving), atol=1e-6)
    found = compare_clips(still, moving, RATE)
    assert found["features"]["mouth opening"]["slope"] == pytest.approx(1, abs=1e-4)
    assert found["trembling"]["mouth"]["ratio"] == pytest.approx(1, abs=1e-3)


def test_trembling_is_what_the_result_adds(face):
    random = np.random.default_rng(1)
    driver = clip_of(face, 10 + 10 * np.sin(2 * np.pi * SECONDS))
    driver[:, MOVED] += random.normal(0, 0.2, driver[:, MOVED].shape)
    trembling, steady = driver.copy(), clip_of(face, 10 + 10 * np.sin(2 * np.pi * SECONDS))
    trembling[:, MOVED] += random.normal(0, 0.6, driver[:, MOVED].shape)
    worse, better = (compare_clips(driver, result, RATE)["trembling"] for result in (trembling, steady))
    assert set(worse) == set(REGIONS)
    assert worse["face"]["ratio"] == pytest.approx((0.2**2 + 0.6**2) / 0.2**2, rel=0.1)
    assert worse["face"]["still_ratio"] == pytest.approx(10, rel=0.15)
    assert better["face"]["ratio"] < 0.05


def test_fast_and_slow_are_told_apart():
    slow, fast = (np.sin(2 * np.pi * rate * SECONDS)[:, None] for rate in (1.0, 9.0))
    assert np.abs(high_frequencies(slow, RATE)).max() < 0.1
    assert np.abs(high_frequencies(fast, RATE) - fast)[10:-10].max() < 0.25
    at_cutoff = np.sin(2 * np.pi * 4.0 * SECONDS)
    kept = at_cutoff - high_frequencies(at_cutoff, RATE)
    assert (kept[20:-20] ** 2).mean() == pytest.approx(0.25, rel=0.05)  # half the power of the sine


def test_frames_without_a_face_are_left_out(face):
    opening = 10 + 10 * np.sin(2 * np.pi * SECONDS)
    driver, result = clip_of(face, opening), clip_of(face, 0.5 * opening)
    driver[10:14], result[0] = np.nan, np.nan
    found = compare_clips(driver, np.concatenate([result, result[:5]]), RATE)
    assert found["frames"] == FRAMES - 5
    assert found["features"]["mouth opening"]["slope"] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="0 frames"):
        compare_clips(np.full_like(driver, np.nan), result, RATE)


def test_the_mean_leaves_out_what_is_undefined(face):
    opening = 10 + 10 * np.sin(2 * np.pi * SECONDS)
    moving, still = clip_of(face, opening), clip_of(face, 0 * opening)
    found = [compare_clips(moving, moving, RATE), compare_clips(still, moving, RATE)]
    assert mean_comparison(found)["features"]["mouth opening"]["slope"] == pytest.approx(1)
