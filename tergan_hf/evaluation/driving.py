"""How much of a driving clip's face reaches a result, and how much the result trembles, by landmarks of both."""

from collections.abc import Callable

import numpy as np

from ..model.errors_tergan import InvalidInputError
from ..portraits.landmarks import BROWS, EYE_CORNERS, FACE_LANDMARKS, IRISES, OUTER_LIPS, UPPER_LIDS
from .metrics import correlate


CUTOFF = 4.0  # Hz; trembling lies above, expressions mostly below
STILL_SHARE = 0.25  # of the frames: those in which the driver moves least
LEAST_DEVIATION = 1e-6  # of a feature that moves
# Landmarks of MediaPipe's face mesh that expressions hardly move: eye corners, nose bridge, forehead, temples.
RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 10, 109, 338, 127, 356, 234, 454)
OUTER_EYE_CORNERS = [EYE_CORNERS[side][0] for side in ("Right", "Left")]
REGIONS: dict[str, list[int]] = {
    "face": list(range(FACE_LANDMARKS)),
    "eyes": UPPER_LIDS["Right"] + UPPER_LIDS["Left"],
    "brows": BROWS["Right"][:5] + BROWS["Left"][:5],  # their upper edges
    "mouth": [*OUTER_LIPS, 13, 14],
}


def _distance(landmarks: np.ndarray, one: int, other: int) -> np.ndarray:
    return np.linalg.norm(landmarks[:, one] - landmarks[:, other], axis=1)


def _gaze(landmarks: np.ndarray) -> np.ndarray:
    offsets = [
        (landmarks[:, IRISES[side][0], 0] - landmarks[:, corners, 0].mean(1)) / _distance(landmarks, *corners)
        for side, corners in EYE_CORNERS.items()
    ]
    return np.mean(offsets, axis=0)


# Lengths over the distance of the outer eye corners, but for lids and gaze: these are over the eye's own width.
# Right is the subject's. Landmarks are aligned, so that x runs along the eyes and y downwards.
FEATURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "eye right": lambda p: _distance(p, 159, 145) / _distance(p, 33, 133),
    "eye left": lambda p: _distance(p, 386, 374) / _distance(p, 362, 263),
    "mouth opening": lambda p: _distance(p, 13, 14),
    "mouth width": lambda p: _distance(p, 61, 291),
    "mouth corners": lambda p: p[:, [13, 14], 1].mean(1) - p[:, [61, 291], 1].mean(1),
    "inner brows": lambda p: (_distance(p, 107, 168) + _distance(p, 336, 168)) / 2,
    "outer brows": lambda p: (_distance(p, 105, 159) + _distance(p, 334, 386)) / 2,
    "gaze": _gaze,
}


def compare_clips(driver: np.ndarray, result: np.ndarray, rate: float) -> dict:
    """
    Compare the landmarks of a driving clip and of its result, frame by frame.

    Args:
        driver, result: (T, 478, 2) MediaPipe's landmarks in pixels, NaN in frames without a face. The longer one is
            cut.
        rate: frames per second.

    Returns:
        `frames`, those with a face in both, and their `share` of all; `features`, by name: `r` and `slope` of the
        result on the driver, and `deviation`, the driver's own; `trembling`, by region: `driver` and `result`, the
        root mean square of `high_frequencies`, `ratio`, the result's energy over the driver's, and `still_ratio`, the
        same in the quarter of the frames in which the driver moves least. Undefined numbers are NaN.

    Raises:
        InvalidInputError: fewer than three frames have a face in both.
    """
    count = min(len(driver), len(result))
    seen = np.isfinite(driver[:count]).all((1, 2)) & np.isfinite(result[:count]).all((1, 2))
    if seen.sum() < 3:
        raise InvalidInputError(f"{int(seen.sum())} frames have a face in both clips; at least 3 are needed")
    aligned = [align_landmarks(fill_gaps(clip[:count], seen)) for clip in (driver, result)]
    high = [high_frequencies(clip, rate)[seen] for clip in aligned]
    speed = np.linalg.norm(np.gradient(aligned[0], axis=0), axis=2).mean(1)[seen]
    still = speed <= np.quantile(speed, STILL_SHARE)
    return {
        "frames": int(seen.sum()),
        "share": float(seen.mean()),
        "features": {name: _compare(*(measure(clip[seen]) for clip in aligned)) for name, measure in FEATURES.items()},
        "trembling": {
            name: _compare_energy(high[0][:, region], high[1][:, region], still) for name, region in REGIONS.items()
        },
    }


def align_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """
    Remove the motion of the head: fit a similarity from the `RIGID` landmarks of each frame to their mean shape, by
    least squares. In that shape the eyes are level.

    Args:
        landmarks: (T, 478, 2) in pixels.

    Returns:
        (T, 478, 2) in distances of the outer eye corners of the mean shape.
    """
    points = landmarks[..., 0] + 1j * landmarks[..., 1]  # a similarity is a complex line
    mean = points[0]
    for _ in range(3):
        points = _fit_lines(points[:, RIGID], mean[list(RIGID)], points)
        mean = points.mean(0)
        right, left = mean[OUTER_EYE_CORNERS]
        mean = (mean - (right + left) / 2) / (left - right)
    points = _fit_lines(points[:, RIGID], mean[list(RIGID)], points)
    return np.stack([points.real, points.imag], axis=-1)


def _fit_lines(rigid: np.ndarray, shape: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Move the points of each frame so that its rigid ones fit the shape."""
    centre = rigid.mean(1, keepdims=True)
    offsets, wanted = rigid - centre, shape - shape.mean()
    slope = (offsets.conj() * wanted).sum(1, keepdims=True) / (abs(offsets) ** 2).sum(1, keepdims=True)
    return slope * (points - centre) + shape.mean()


def high_frequencies(series: np.ndarray, rate: float) -> np.ndarray:
    """
    What a Gaussian low-pass leaves over. Its power is halved at `CUTOFF`, and it does not delay.

    Args:
        series: (T, …). rate: values per second.

    Returns:
        (T, …).
    """
    deviation = np.sqrt(np.log(2)) / (2 * np.pi * CUTOFF) * rate
    reach = min(max(1, int(np.ceil(4 * deviation))), len(series) - 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    # Odd reflection, so that a slope goes on at the ends.
    before, after = 2 * series[:1] - series[reach:0:-1], 2 * series[-1:] - series[-2 : -reach - 2 : -1]
    padded = np.concatenate([before, series, after])
    return series - sum(
        weight * padded[first : first + len(series)] for first, weight in enumerate(kernel / kernel.sum())
    )


def fill_gaps(series: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Interpolate (T, …) linearly where `seen`, (T,), is false."""
    moments, flat = np.arange(len(series)), series.reshape(len(series), -1)
    filled = [np.interp(moments, moments[seen], column[seen]) for column in flat.T]
    return np.stack(filled, axis=1).reshape(series.shape)


def _compare(driver: np.ndarray, result: np.ndarray) -> dict[str, float]:
    """Pearson's r, slope of the result on the driver, and the driver's standard deviation."""
    r, slope = correlate(driver, result) if driver.std() > LEAST_DEVIATION else (np.nan, np.nan)
    if result.std() <= LEAST_DEVIATION:
        r = np.nan
    return {"r": r, "slope": slope, "deviation": float(driver.std())}


def _compare_energy(driver: np.ndarray, result: np.ndarray, still: np.ndarray) -> dict[str, float]:
    """High frequencies (T, L, 2) of both clips, and which frames are still, (T,) → energies."""
    energies = [(clip**2).sum(2).mean(1) for clip in (driver, result)]
    own, made = (float(energy.mean()) for energy in energies)
    still_own, still_made = (float(energy[still].mean()) for energy in energies)
    return {
        "driver": own**0.5, "result": made**0.5, "ratio": made / own if own else np.nan,
        "still_ratio": still_made / still_own if still_own else np.nan,
    }  # fmt: skip


def mean_comparison(found: list[dict]) -> dict:
    """The mean over several results of `compare_clips`, without what is undefined."""

    def mean(values: list) -> object:
        if isinstance(values[0], dict):
            return {name: mean([value[name] for value in values]) for name in values[0]}
        known = [value for value in values if np.isfinite(value)]
        return float(np.mean(known)) if known else np.nan

    return {part: mean([one[part] for one in found]) for part in ("features", "trembling")}
