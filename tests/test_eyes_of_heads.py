"""Eyes of rendered heads look where their truth says."""

import numpy as np

from tergan_hf.expressions.blendshapes import BLENDSHAPE_INDEX
from tergan_hf.rendering.scene import Camera

from .test_rendering import heads_folder, person, straight, vector  # noqa: F401 (a fixture)


def test_an_eye_behind_a_half_closed_lid_looks_where_its_truth_says(heads_folder):  # noqa: F811
    camera = Camera(person(heads_folder), straight(), 64)
    open_eye, half = vector((0.0, -20.0)), vector((0.0, -20.0))
    half[BLENDSHAPE_INDEX["eyeBlinkRight"]] = 0.5
    eye = next(part for part in camera.parts if part.eyeball is not None and part.eyeball.side == "Right")
    posed, turned = eye.posed, []
    eye.posed = lambda weights: turned.append(posed(weights)) or turned[-1]
    for shown in (open_eye, half):
        camera.take(shown)
    np.testing.assert_array_equal(turned[0], turned[1])
    camera.take(vector())
    assert np.abs(turned[2] - turned[1]).max() > 0
