"""Photos with damage, odd metadata or unusual containers: they are read, or a sentence says why not."""

import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from tergan_hf import ImageInputError
from tergan_hf.data.media_files import find_media
from tergan_hf.model.face_alignment_tergan import crop_face
from tergan_hf.model.image_loading_tergan import read_image
from tergan_hf.provenance.metadata import read_metadata

from .pictures import encoded, open_file


def exif_with_text_resolution() -> bytes:
    """Orientation 6, and a resolution that is text, which cannot be written again."""
    entries = (
        struct.pack("<HHII", ExifTags.Base.Orientation, 3, 1, 6),
        struct.pack("<HHI4s", ExifTags.Base.XResolution, 2, 3, b"72\0\0"),
    )
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + b"\0\0\0\0"


@pytest.fixture(scope="module")
def stripes() -> Image.Image:
    pixels = np.zeros((12, 20, 3), np.uint8)
    pixels[:4, :, 0], pixels[:, :5, 1] = 200, 100
    return Image.fromarray(pixels)


def test_a_turned_photo_with_an_odd_tag_is_turned(stripes):
    photo = read_image(open_file(stripes, "PNG", exif=exif_with_text_resolution()), "photo")
    assert np.array_equal(np.asarray(photo), np.asarray(stripes.transpose(Image.Transpose.ROTATE_270)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_that_of_exif(stripes, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = open_file(stripes, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    file.seek(0)
    assert np.array_equal(np.asarray(read_image(file, "photo")), expected)


def test_damaged_exif_is_passed_over(stripes, tmp_path):
    xmp = PngImagePlugin.PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", '<rdf Iptc4xmpExt:DigitalSourceType="http://x/trainedAlgorithmicMedia"/>')
    path = tmp_path / "short.png"
    path.write_bytes(encoded(stripes, exif=b"Exif\0\0II*\0", pnginfo=xmp))
    assert read_image(path, "photo").size == stripes.size
    assert read_metadata(path).source_type == "trainedAlgorithmicMedia"


def test_an_error_of_a_decoder_is_a_sentence(stripes, monkeypatch):
    def fail(*_):
        raise RuntimeError("Failed to decode image")

    monkeypatch.setattr(Image.Image, "load", fail)
    with pytest.raises(ImageInputError, match=r"photo: the file cannot be read as an image \(Failed to decode image"):
        read_image(Image.new("RGB", (9, 9)), "photo")


def test_tiff_and_crops_have_no_limit_on_pixels(stripes, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    photo = read_image(open_file(stripes, "TIFF"), "photo")
    assert photo.tobytes() == stripes.tobytes()
    whole = np.array([[1 / photo.width, 0, 0], [0, 1 / photo.height, 0]])
    inside = np.array([[1.5 / photo.width, 0, -0.25], [0, 1.5 / photo.height, -0.25]])
    assert {crop_face(photo, transform, 8).size for transform in (whole, inside)} == {(8, 8)}
    assert Image.MAX_IMAGE_PIXELS == 50


def test_floats_may_go_up_to_one(stripes):
    grey = np.asarray(stripes.convert("L"))
    for scale in (1.0, 255.0):
        photo = Image.fromarray(grey.astype(np.float32) / scale)
        levels = np.asarray(read_image(photo, "photo"))[..., 0]
        assert np.abs(levels.astype(int) - grey).max() <= 1


def test_an_open_file_is_a_photo(stripes, tmp_path):
    stripes.save(tmp_path / "a.png")
    with open(tmp_path / "a.png", "rb") as file:
        assert read_image(file, "photo").tobytes() == stripes.tobytes()


def test_a_link_that_leads_to_itself_is_skipped(stripes, tmp_path):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    stripes.save(tmp_path / "a.png")
    for without in (None, tmp_path / "out"):
        found = find_media(tmp_path, without=without)
        assert [path.name for path in found.files] == ["a.png"] and found.skipped == ["loop.png"]
