"""What metadata say about where a file comes from, and how `tergan verify` reads them. Without C2PA."""

import json
import sys
import time

import numpy as np
import pytest
from PIL import ExifTags, Image

from tergan_hf import InvalidInputError, ManifestSigner, MissingFileError, MissingPackageError, save_synthetic
from tergan_hf.cli import tergan as command
from tergan_hf.model.provenance_tergan import NOTICE, as_synthetic, xmp_box
from tergan_hf.provenance.metadata import read_metadata
from tergan_hf.provenance.saving import signed_clip
from tergan_hf.provenance.signing import environment_signer

from .conftest import NEUTRAL
from .exit_status import exit_status
from .video_clips import make_clip, read_clip


TERM = "compositeWithTrainedAlgorithmicMedia"


@pytest.fixture
def tergan(capsys):
    """A function that runs the command and returns its exit status and what it printed."""
    return lambda *words: (exit_status(command.main, *words), capsys.readouterr().out)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg", "a.webp"])
def test_pictures_say_that_they_are_synthetic(tmp_path, name):
    path = save_synthetic(Image.new("RGB", (80, 60), "teal"), tmp_path / name)
    claims = read_metadata(path)
    assert (claims.description, claims.source_type, claims.synthetic) == (NOTICE, TERM, True)


def test_plain_pictures_are_not_synthetic_and_other_formats_are_refused(tmp_path):
    image = Image.new("RGB", (80, 60), "teal")
    image.save(tmp_path / "plain.png")
    assert not read_metadata(tmp_path / "plain.png").synthetic
    with pytest.raises(ValueError, match=r"a\.gif"):
        save_synthetic(image, tmp_path / "a.gif")


def test_the_visible_mark_and_the_quality_are_the_callers_choice(tmp_path, neutral):
    sizes = {
        quality: save_synthetic(neutral.convert("RGB"), tmp_path / f"{quality}.jpg", quality=quality).stat().st_size
        for quality in (40, 95)
    }
    assert sizes[40] < sizes[95] / 2
    plain = Image.new("RGB", (300, 200), "teal")
    marked = Image.open(save_synthetic(plain, tmp_path / "marked.png", mark=True))
    difference = np.abs(np.asarray(marked, int) - np.asarray(plain, int))
    assert difference[150:, 150:].max() > 50 and not difference[:150].any()


def test_clips_say_that_they_are_synthetic(tiny_photo_pipeline, tmp_path, smiling):
    face = smiling.convert("RGB").resize((160, 160))
    clip = make_clip(tmp_path / "in.mp4", images=[face] * 3, size=face.size, sound="aac")
    tiny_photo_pipeline.edit_video(clip, "happiness", tmp_path / "out.mp4", progress=False)
    claims = read_metadata(tmp_path / "out.mp4")
    assert (claims.description, claims.source_type) == (NOTICE, TERM)
    assert len(read_clip(tmp_path / "out.mp4")) == 3  # the box at the end disturbs no player
    assert not read_metadata(clip).synthetic
    # Tags of one's own replace the notice there, and XMP keeps it.
    tiny_photo_pipeline.edit_video(
        clip, "happiness", tmp_path / "own.mp4", progress=False, metadata={"comment": "for the film"}
    )
    assert read_metadata(tmp_path / "own.mp4").synthetic


@pytest.mark.parametrize(
    "written",
    [
        'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{}"',
        "Iptc4xmpExt:DigitalSourceType='http://cv.iptc.org/newscodes/digitalsourcetype/{}'",
        "><Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/{}</Iptc4xmpExt:DigitalSourceType",
        '><Iptc4xmpExt:DigitalSourceType rdf:resource="http://cv.iptc.org/newscodes/digitalsourcetype/{}"/',
    ],
)
def test_other_programs_write_the_source_type_in_other_ways(tmp_path, written):
    xmp = f"<x:xmpmeta><rdf:Description {written.format('trainedAlgorithmicMedia')}></x:xmpmeta>"
    for name in ("a.jpg", "a.webp"):
        Image.new("RGB", (8, 8)).save(tmp_path / name, xmp=xmp.encode())
        assert read_metadata(tmp_path / name).source_type == "trainedAlgorithmicMedia"


@pytest.mark.parametrize("text", ["DigitalSourceType ", "<dc:description><rdf:Alt><rdf:li ", "DigitalSourceType >"])
def test_no_text_takes_long_to_read(tmp_path, text):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp", xmp=(text * (900_000 // len(text))).encode())
    started = time.perf_counter()
    assert not read_metadata(tmp_path / "a.webp").synthetic
    assert time.perf_counter() - started < 20  # and not minutes


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.apng"])
def test_results_have_the_notice_under_any_ending(tmp_path, name):
    as_synthetic(Image.new("RGB", (8, 8))).save(tmp_path / name)
    assert read_metadata(tmp_path / name).synthetic


def test_a_photo_of_a_camera_is_not_called_synthetic(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "At the lake"
    xmp = b'<x Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/>'
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif, xmp=xmp)
    claims = read_metadata(tmp_path / "a.jpg")
    assert (claims.description, claims.source_type, claims.synthetic) == ("At the lake", "digitalCapture", False)
    assert not read_metadata(NEUTRAL).synthetic


@pytest.mark.parametrize("damage", ["cut", "size", "endless", "text", "empty"])
def test_damaged_files_claim_nothing_and_raise_nothing(tmp_path, damage):
    path = tmp_path / "a.mp4"
    make_clip(path, frames=3)
    content = path.read_bytes()
    content = {
        "cut": content[: len(content) // 2],
        "size": content + b"\x00\x00\x00\x04free" + xmp_box(),
        "endless": b"\x00\x00\x00\x08free" * 20_000 + xmp_box(),
        "text": b"ftyp",
        "empty": b"",
    }[damage]
    path.write_bytes(content)
    assert read_metadata(path).source_type is None


def test_verify_without_c2pa_tells_the_metadata_and_fails(monkeypatch, tergan, tmp_path):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    path = save_synthetic(Image.new("RGB", (8, 8)), tmp_path / "a.png")
    code, printed = tergan("verify", path)
    assert code == 1 and NOTICE in printed and "partly made by a trained model" in printed
    assert "pip install" in printed and "NOT VERIFIED" in printed
    code, printed = tergan("verify", path, "--json")
    (answer,) = json.loads(printed)
    assert code == 1 and answer["metadata"]["source_type"] == TERM and answer["holds"] is False
    assert tergan("verify", tmp_path / "missing.png")[0] == 1


def test_signing_without_c2pa_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(MissingPackageError, match=r"pip install .*c2pa-python"):
        ManifestSigner(tmp_path / "chain.pem", tmp_path / "key.pem")


def test_the_environment_names_a_certificate_and_its_key_or_neither(monkeypatch):
    environment_signer.cache_clear()
    monkeypatch.delenv("TERGAN_C2PA_KEY", raising=False)
    monkeypatch.delenv("TERGAN_C2PA_CERT", raising=False)
    assert environment_signer() is None
    environment_signer.cache_clear()
    monkeypatch.setenv("TERGAN_C2PA_CERT", "chain.pem")
    with pytest.raises(InvalidInputError, match="set both or none"):
        environment_signer()


def test_a_clip_without_a_signer_is_written_in_its_place(tmp_path):
    with signed_clip(tmp_path / "a.mp4", None) as path:
        assert path == tmp_path / "a.mp4"


def test_pictures_are_saved_whole_or_not_at_all(tmp_path):
    with pytest.raises(MissingFileError, match="no such folder"):
        save_synthetic(Image.new("RGB", (8, 8)), tmp_path / "no" / "a.png")
    with pytest.raises(OSError, match=r"a\.webp: 20000×1 pixels cannot be saved as WEBP.*choose \.png"):
        save_synthetic(Image.new("RGB", (20_000, 1)), tmp_path / "a.webp")
    assert not list(tmp_path.iterdir())
