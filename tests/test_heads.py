"""Reading 3D heads and blending people from them."""

import numpy as np
import pytest

from tergan_hf.rendering.gltf import GltfError, read_meshes
from tergan_hf.rendering.people import blend_heads, read_head
from tergan_hf.rendering.variations import vary_person

from .heads import MORPHS, make_head


def test_meshes_have_morphs_and_textures(tmp_path):
    face = read_meshes(make_head(tmp_path / "a.glb"))[0]
    assert face.name == "face" and "MouthOpen" in face.morphs
    assert face.positions.shape == (256, 3) and face.triangles.max() == 255 and face.texture.shape == (64, 64, 4)
    np.testing.assert_allclose(face.morphs["MouthOpen"][:, 1].min(), -0.03, atol=1e-6)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda data: b"hello", "not a binary glTF"),
        (lambda data: data[: len(data) // 2], "cut off"),
        (lambda data: data[:12] + b"\xff" * 200 + data[212:], "glTF"),
    ],
)
def test_broken_files_are_named(tmp_path, spoil, message):
    path = tmp_path / "broken.glb"
    path.write_bytes(spoil(make_head(tmp_path / "a.glb").read_bytes()))
    with pytest.raises(GltfError, match=message) as caught:
        read_meshes(path)
    assert "broken.glb" in str(caught.value)


def test_a_head_without_morphs_is_named(tmp_path):
    with pytest.raises(GltfError, match=r"plain\.glb.*morph"):
        read_head(make_head(tmp_path / "plain.glb", morphs=()))


def test_a_head_without_a_morph_target_is_named(tmp_path):
    with pytest.raises(GltfError, match=r"part\.glb.*no morph target Chew, LeyeClose"):
        read_head(
            make_head(tmp_path / "part.glb", morphs=[name for name in MORPHS if name not in ("Chew", "LeyeClose")])
        )


def test_blends_lie_between_their_heads(tmp_path):
    first = read_head(make_head(tmp_path / "a.glb", (200, 100, 100), width=0.06))
    second = read_head(make_head(tmp_path / "b.glb", (100, 100, 200), width=0.08), first.face)
    blend = blend_heads([first, second], np.array([0.5, 0.5]))
    assert blend.heads == ["a", "b"]
    np.testing.assert_allclose(blend.face.positions[:, 0].max(), 0.07, atol=1e-6)
    assert abs(int(blend.face.texture[..., 0].mean()) - 150) < 5


def test_a_blend_can_have_the_skin_and_eyes_of_other_heads(tmp_path):
    first = read_head(make_head(tmp_path / "a.glb", (200, 100, 100), width=0.06))
    others = [
        read_head(make_head(tmp_path / f"{name}.glb", colour, width=0.08), first.face)
        for name, colour in (("b", (100, 100, 200)), ("c", (20, 100, 100)))
    ]
    plain = blend_heads([first], np.ones(1))
    blend = blend_heads([first], np.ones(1), skin=(others, np.array([0.75, 0.25])))
    assert blend.heads == ["a", "b", "c"]  # keeping a head out of training must also keep out its skin
    np.testing.assert_array_equal(blend.face.positions, plain.face.positions)
    assert abs(int(blend.face.texture[..., 0].mean()) - 80) < 5
    eyes = {mesh.name: mesh for mesh in blend.parts}["h_L_eye"]
    np.testing.assert_array_equal(eyes.texture, others[0].parts["h_L_eye"].texture)
    np.testing.assert_allclose(eyes.positions.mean(0), {m.name: m for m in plain.parts}["h_L_eye"].positions.mean(0))


def test_a_varied_person_has_another_shape_with_the_eyes_in_their_sockets(tmp_path):
    person = blend_heads([read_head(make_head(tmp_path / "a.glb"))], np.ones(1))
    varied = vary_person(person, np.random.default_rng(0))
    moved = varied.face.positions - person.face.positions
    assert 1e-4 < np.abs(moved).max() < 0.02
    assert not np.allclose(moved[:, 0], -moved[:, 0][::-1], atol=1e-5)  # not symmetric
    shift = varied.eyeball_centres() - person.eyeball_centres()
    for eye, way in zip(person.eyeball_centres(), shift):
        nearest = np.linalg.norm(person.face.positions[:, :2] - eye[:2], axis=1).argmin()
        np.testing.assert_allclose(moved[nearest, :2], way[:2], atol=2e-3)
