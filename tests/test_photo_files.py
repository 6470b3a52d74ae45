"""Photos as cameras and programs write them: profiles, sizes, orientation, metadata, and what is no face."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageFilter

from tergan_hf import FaceDetector, ImageInputError, InvalidInputError, NoFaceFoundError, save_synthetic
from tergan_hf.model.image_loading_tergan import read_image, to_srgb
from tergan_hf.model.provenance_tergan import encode_synthetic, is_marked_synthetic

from .conftest import EXAMPLES
from .pictures import open_file


def display_p3() -> bytes:
    """A profile with the primaries of Display P3: sRGB's with another red and green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    columns = {b"rXYZ": (0.51512, 0.24120, -0.00105), b"gXYZ": (0.29198, 0.69225, 0.04189)}
    columns[b"bXYZ"] = (0.15710, 0.06657, 0.78407)
    for tag, values in columns.items():
        entry = profile.index(tag)
        offset = int.from_bytes(profile[entry + 4 : entry + 8], "big") + 8
        for index, value in enumerate(values):
            encoded = round(value * 65536).to_bytes(4, "big", signed=True)
            profile[offset + 4 * index : offset + 4 * index + 4] = encoded
    return bytes(profile)


def grey_profile() -> bytes:
    """The smallest grey ICC profile: a white point and a gamma of 2.2."""
    white = b"XYZ \0\0\0\0" + b"".join(round(value * 65536).to_bytes(4, "big") for value in (0.9642, 1, 0.8249))
    curve = b"curv\0\0\0\0" + (1).to_bytes(4, "big") + round(2.2 * 256).to_bytes(2, "big") + b"\0\0"
    table = (2).to_bytes(4, "big")
    for tag, offset, size in ((b"wtpt", 156, 20), (b"kTRC", 176, 16)):
        table += tag + offset.to_bytes(4, "big") + size.to_bytes(4, "big")
    head = bytearray(128)
    head[0:4] = (192).to_bytes(4, "big")
    head[8:12], head[12:16], head[16:20], head[20:24] = b"\x02\x40\0\0", b"mntr", b"GRAY", b"XYZ "
    head[36:40] = b"acsp"
    head[68:80] = white[8:20]
    return bytes(head) + table + white + curve


# Colours


def test_grey_photos_lose_their_grey_profile(neutral):
    photo = read_image(open_file(neutral.convert("L"), "JPEG", icc_profile=grey_profile()), "photo")
    assert photo.mode == "RGB"
    assert "icc_profile" not in photo.info
    # 2.2 and sRGB's curve are nearly the same.
    difference = np.asarray(photo.convert("L"), float) - np.asarray(neutral.convert("L"), float)
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("LAB", "TIFF"), ("LA", "PNG")])
def test_other_colour_spaces_become_srgb_and_keep_no_profile(neutral, mode, kind):
    source = neutral.convert("L").convert("LA") if mode == "LA" else neutral.convert(mode)
    profile = grey_profile() if mode == "LA" else b"no profile at all"
    photo = read_image(open_file(source, kind, icc_profile=profile), "photo")
    assert photo.mode == "RGB" and "icc_profile" not in photo.info
    seen = neutral.convert("L").convert("RGB") if mode == "LA" else neutral.convert("RGB")
    assert np.abs(np.asarray(photo, int) - np.asarray(seen, int)).mean() < 3


def test_wide_gamut_photos_keep_pixels_and_profile(neutral, tiny_pipeline):
    profile = display_p3()
    photo = read_image(open_file(neutral, "PNG", icc_profile=profile), "photo")
    assert photo.info["icc_profile"] == profile
    assert np.array_equal(np.asarray(photo), np.asarray(neutral.convert("RGB")))
    result = tiny_pipeline.edit(open_file(neutral, "PNG", icc_profile=profile), "happiness")
    for kind in ("PNG", "JPEG", "WEBP"):
        files = (
            open_file(result, kind),
            open_file(result, kind, exif=Image.Exif()),
            io.BytesIO(encode_synthetic(result, kind)),
        )
        assert [Image.open(file).info["icc_profile"] for file in files] == [profile] * 3
    crop = tiny_pipeline.edit(open_file(neutral, "PNG", icc_profile=profile), "happiness", paste_back=False)
    assert crop.info["icc_profile"] == profile


def test_wide_gamut_becomes_srgb_for_clips():
    red = Image.new("RGB", (4, 4), (200, 60, 60))
    red.info["icc_profile"] = display_p3()
    converted = to_srgb(red)
    # Display P3's red of 200 is brighter than sRGB's; P3 (200, 60, 60) is about (217, 45, 54) in sRGB.
    assert np.abs(np.asarray(converted, int) - (217, 45, 54)).max() <= 3
    assert not converted.info
    red.info["icc_profile"] = b"damaged"
    assert np.array_equal(np.asarray(to_srgb(red)), np.asarray(red))


# Sizes


def test_photos_beyond_pillows_limit_are_read(monkeypatch, neutral):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # the photo has more than twice as many
    file = open_file(neutral, "PNG")
    with pytest.raises(Image.DecompressionBombError):
        Image.open(file)
    file.seek(0)
    assert read_image(file, "photo").size == neutral.size
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_files_that_would_start_a_program_are_refused(tmp_path):
    (tmp_path / "x.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(ImageInputError, match="not an image file"):
        read_image(tmp_path / "x.eps", "photo")


# Orientation


@pytest.mark.parametrize("turn", ["ROTATE_90", "ROTATE_180", "ROTATE_270"])
@pytest.mark.parametrize("name", ["london_014_neutral", "london_099_happiness"])
def test_turned_photos_have_the_same_landmarks_and_expression(embedded_pipeline, name, turn):
    upright = Image.open(EXAMPLES / f"{name}.jpg").convert("RGB")
    turned = upright.transpose(getattr(Image.Transpose, turn))
    expected = embedded_pipeline.faces(upright)[0].landmarks
    found = embedded_pipeline.faces(turned)[0].landmarks
    width, height = upright.size
    back = {
        "ROTATE_90": lambda points: np.stack([width - points[:, 1], points[:, 0]], 1),
        "ROTATE_180": lambda points: np.subtract((width, height), points),
        "ROTATE_270": lambda points: np.stack([points[:, 1], height - points[:, 0]], 1),
    }[turn](found)
    eyes = np.linalg.norm(expected[0] - expected[1])
    assert np.abs(back - expected).max() < 0.06 * eyes
    label = name.split("_")[-1]
    assert embedded_pipeline.recognize(turned)[0]["label"] == label


# What is no face


def test_a_larger_blurred_patch_does_not_come_before_a_face(smiling):
    photo = smiling.convert("RGB")
    scene = Image.new("RGB", (1000, 620), (128, 120, 110))
    scene.paste(photo.resize((450, 600)).filter(ImageFilter.GaussianBlur(10)), (0, 0))
    scene.paste(photo.resize((280, 373)), (600, 60))
    face, patch = FaceDetector().detect(scene)
    assert face.box[0] > 600 > patch.box[2]
    assert np.prod(patch.box[2:] - patch.box[:2]) > 1.3 * np.prod(face.box[2:] - face.box[:2])


def test_edits_that_change_nothing_say_so(tiny_pipeline, neutral):
    with pytest.warns(UserWarning, match="nothing changed"):
        tiny_pipeline.transfer(neutral, neutral)


def test_no_face_is_an_error_that_says_what_to_use(tiny_pipeline):
    with pytest.raises(NoFaceFoundError, match=r"at least about 40 pixels.*, or pass detect=False"):
        tiny_pipeline.edit(Image.new("RGB", (300, 300), "grey"), "happiness")


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_an_image_without_pixels_is_refused(tiny_pipeline, size):
    for detect in (False, True):
        with pytest.raises(ImageInputError, match="it has no pixels"):
            tiny_pipeline.recognize(Image.new("RGB", size), detect=detect)


def test_premultiplied_colours_are_put_on_white():
    photo = Image.new("RGBA", (4, 4), (200, 60, 40, 128))
    expected = np.asarray(read_image(photo, "photo"), int)
    assert np.abs(np.asarray(read_image(photo.convert("RGBa"), "photo"), int) - expected).max() <= 2
    grey = Image.new("LA", (4, 4), (100, 128)).convert("La")
    assert abs(np.asarray(read_image(grey, "photo"), int) - 177).max() <= 2


# Settings


@pytest.mark.parametrize("intensity", [1000, -4, 1e30, float("nan"), float("inf"), "strong", None, True, [1]])
def test_intensities_are_bounded_everywhere(tiny_pipeline, neutral, tmp_path, intensity):
    with pytest.raises(InvalidInputError, match="intensity must be a number from -3 to 3"):
        tiny_pipeline.edit(neutral, "happiness", intensity=intensity)
    with pytest.raises(InvalidInputError, match="intensity must be a number from -3 to 3"):
        tiny_pipeline.transfer(neutral, neutral, intensity=intensity)
    with pytest.raises(InvalidInputError, match="intensity must be a number from -3 to 3"):
        tiny_pipeline.edit_video("no.mp4", "happiness", tmp_path / "x.mp4", intensity=intensity)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), "half", None, True])
def test_thresholds_are_bounded(tiny_pipeline, neutral, threshold):
    with pytest.raises(InvalidInputError, match="threshold must be a number from 0 to 1"):
        tiny_pipeline.recognize(neutral, threshold=threshold)


# Metadata


def test_results_say_that_they_are_synthetic_and_nothing_of_the_source(tiny_pipeline, neutral, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Jane Doe"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    source = tmp_path / "source.jpg"
    neutral.save(source, exif=exif, comment=b"taken at home")
    for result in (tiny_pipeline.edit(source, "happiness"), tiny_pipeline.transfer(source, source)):
        for name in ("x.png", "x.jpg", "x.webp"):
            result.save(tmp_path / name)
            assert is_marked_synthetic(tmp_path / name)
            content = (tmp_path / name).read_bytes()
            assert b"Jane Doe" not in content and b"taken at home" not in content
            assert ExifTags.IFD.GPSInfo not in Image.open(tmp_path / name).getexif()
    # What Pillow makes of a result is a plain image: the helper marks that.
    save_synthetic(result.resize((64, 64)), tmp_path / "small.png")
    assert is_marked_synthetic(tmp_path / "small.png")
    result.save(tmp_path / "own.png", exif=exif)  # the caller's own metadata are kept
    assert Image.open(tmp_path / "own.png").getexif()[ExifTags.Base.Artist] == "Jane Doe"


def test_deep_grey_photos_are_read_as_before():
    pixels = np.random.default_rng(0).integers(0, 65536, (700, 3000)).astype(np.uint16)
    read = np.asarray(read_image(Image.fromarray(pixels), "photo"))[..., 0]
    assert (read == np.uint8(pixels / 65535 * 255)).all()
