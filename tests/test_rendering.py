"""From 3D heads to photos with exact ground truth."""

import numpy as np
import pytest
import torch
from datasets import load_dataset

from tergan_hf.configuration_tergan import EXPRESSIONS_WITH_NEUTRAL
from tergan_hf.data.augmentation import cut_crops, to_range, true_flow
from tergan_hf.data.framing import chip_size, frame_photos
from tergan_hf.data.loading import load_photos
from tergan_hf.data.sampling import ExpressionPairs, label_chips
from tergan_hf.modeling_tergan import warp
from tergan_hf.rendering.avatars import AvatarSettings, deck, head_files, render_avatars
from tergan_hf.rendering.expressions import FULL, MOST, Recipe, draw_recipe, full_recipe
from tergan_hf.rendering.gltf import GltfError, read_meshes
from tergan_hf.rendering.people import blend_heads, read_head
from tergan_hf.rendering.scene import Camera, draw_sitting

from .heads import make_head


SETTINGS = AvatarSettings(people=4, sittings=1, photos=7, decks=2, size=64)


@pytest.fixture(scope="module")
def heads_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    for name, colour in (("A", (220, 170, 140)), ("B", (120, 80, 60)), ("C", (180, 130, 100))):
        make_head(folder / f"{name}_Casual.glb", colour)
    (folder / "LICENSE").write_text("MIT")
    return folder


@pytest.fixture(scope="module")
def rendered(heads_folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("rendered")
    assert render_avatars(heads_folder, output, SETTINGS) == 28
    return output


def person(heads_folder, **changes):
    heads = [read_head(path) for path in sorted(heads_folder.glob("*.glb"))[:1]]
    return blend_heads(heads, np.ones(1), **changes)


def test_meshes_come_with_morphs_and_textures(heads_folder):
    face = read_meshes(heads_folder / "A_Casual.glb")[0]
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
def test_broken_files_are_named(heads_folder, tmp_path, spoil, message):
    path = tmp_path / "broken.glb"
    path.write_bytes(spoil((heads_folder / "A_Casual.glb").read_bytes()))
    with pytest.raises(GltfError, match=message) as caught:
        read_meshes(path)
    assert "broken.glb" in str(caught.value)


def test_a_head_without_morphs_is_named(tmp_path):
    with pytest.raises(GltfError, match=r"plain\.glb.*morph"):
        read_head(make_head(tmp_path / "plain.glb", morphs=()))


def test_blends_lie_between_their_heads(tmp_path):
    first = read_head(make_head(tmp_path / "a.glb", (200, 100, 100), width=0.06))
    second = read_head(make_head(tmp_path / "b.glb", (100, 100, 200), width=0.08), first.face)
    blend = blend_heads([first, second], np.array([0.5, 0.5]))
    assert blend.heads == ["a", "b"]
    np.testing.assert_allclose(blend.face.positions[:, 0].max(), 0.07, atol=1e-6)
    assert abs(int(blend.face.texture[..., 0].mean()) - 150) < 5


def test_recipes_are_bounded_and_both_sided():
    assert full_recipe("surprise").activations["RRbrowUp"] == full_recipe("surprise").activations["LLbrowUp"] == 1.0
    random = np.random.default_rng(0)
    for expression in FULL:
        for _ in range(50):
            values = draw_recipe(expression, random).activations.values()
            assert all(0 <= value <= MOST for value in values)
    smiles = [draw_recipe("happiness", random).activations.get("RsmileOpen", 0) for _ in range(50)]
    assert np.std(smiles) > 0.1


def test_decks_repeat_exactly():
    assert deck(1, SETTINGS) == deck(1, SETTINGS) != deck(0, SETTINGS)


def test_only_the_expression_changes_within_a_sitting(heads_folder):
    camera = Camera(person(heads_folder), draw_sitting(np.random.default_rng(0), 64), 64)
    neutral, again = camera.take(full_recipe("neutral")), camera.take(full_recipe("neutral"))
    assert np.array_equal(neutral.pixels, again.pixels)
    assert np.abs(neutral.motion).max() < 1e-6
    opened = camera.take(Recipe("surprise", 1.0, {"MouthOpen": 1.0}))
    assert not np.array_equal(neutral.pixels, opened.pixels)
    # The lower lip has come from above.
    assert opened.motion[1].min() < -0.05
    left_eye, right_eye, nose, left_corner, right_corner = neutral.landmarks
    assert left_eye[0] < nose[0] < right_eye[0] and left_eye[1] < nose[1] < left_corner[1]
    assert left_corner[0] < right_corner[0]


def test_the_set_loads_and_names_what_trainers_need(rendered):
    photos = load_photos(str(rendered))
    assert len(photos) == 28
    assert {
        "image",
        "identity",
        "sitting",
        "recipe",
        "expression",
        "heads",
        "landmarks",
        "motion",
        "activations",
    } <= set(photos.column_names)
    assert set(photos["expression"]) == set(FULL)
    assert (rendered / "LICENSE").read_text() == "MIT"
    assert load_dataset("parquet", data_files=str(rendered / "*.parquet"), split="train")[0]["image"].size == (64, 64)


def test_rendering_again_gives_the_same_bytes_and_goes_on_after_a_kill(heads_folder, rendered, tmp_path):
    render_avatars(heads_folder, tmp_path / "again", SETTINGS)
    shard = "train-00000.parquet"
    assert (tmp_path / "again" / shard).read_bytes() == (rendered / shard).read_bytes()
    before = (rendered / shard).stat().st_mtime_ns
    render_avatars(heads_folder, rendered, SETTINGS)
    assert (rendered / shard).stat().st_mtime_ns == before


def test_wrong_sources_and_mixed_sets_are_refused(heads_folder, rendered, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \.glb file"):
        render_avatars(tmp_path, tmp_path / "out", SETTINGS)
    with pytest.raises(ValueError, match="other settings"):
        render_avatars(heads_folder, rendered, AvatarSettings(people=5))
    with pytest.raises(ValueError, match="--exclude names heads that are not there: Z"):
        head_files(heads_folder, ("Z",))
    assert list(head_files(heads_folder, ("A",))) == ["B", "C"]


def test_excluded_heads_are_in_nobody(heads_folder, tmp_path):
    render_avatars(heads_folder, tmp_path, AvatarSettings(people=3, sittings=1, photos=7, size=32, exclude=("B",)))
    assert not any("B" in heads.split("+") for heads in load_photos(str(tmp_path))["heads"])


def test_exact_flow_turns_the_target_into_the_truth(rendered):
    """Drawn heads have no teeth: moving the target's pixels by the exact flow must come near the truth."""
    framed = frame_photos(load_photos(str(rendered)), 64)
    sets, _ = label_chips({"rendered": framed}, list(EXPRESSIONS_WITH_NEUTRAL))
    pairs = ExpressionPairs(sets, 40, chip_size(64), ground_truth_share=1.0)
    batch = torch.utils.data.default_collate([pairs[number] for number in range(40)])
    assert batch["has_motion"].all()
    mirrored = torch.tensor([[-0.95, 0.1, 0.03], [0.1, 0.95, -0.02]]).expand(40, 2, 3)
    target = cut_crops(to_range(batch["target"]), mirrored, 64)
    truth = cut_crops(to_range(batch["truth"]), mirrored, 64, registration=batch["registration"])
    flow, known = true_flow(batch["target_motion"], batch["truth_motion"], mirrored, batch["to_photo"], 64)
    moving = flow.abs().flatten(1).amax(1) > 0.05
    assert moving.sum() > 10 and known.float().mean() > 0.9
    miss = (warp(target, flow) - truth).abs().mean(1, keepdim=True)
    still = (target - truth).abs().mean(1, keepdim=True)
    moved = (flow.abs().amax(1, keepdim=True) > 0.02) & known
    assert miss[moved].mean() < 0.5 * still[moved].mean()
