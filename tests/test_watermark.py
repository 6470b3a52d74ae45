"""The invisible mark, with a stand-in for TrustMark, whose models come from elsewhere."""

import json
import sys
from functools import partial
from types import ModuleType
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from tergan_hf.cli import tergan
from tergan_hf.provenance.saving import save_synthetic
from tergan_hf.provenance.verification import verify_file
from tergan_hf.provenance.watermark import Watermark

from .conftest import EXAMPLES, NEUTRAL
from .exit_status import exit_status


class LowestBits:
    """TrustMark's interface; it keeps the text in the lowest bits of the red values."""

    class Encoding:
        BCH_5 = 1

    def __init__(self, **_):
        print("Fetching model file (once only)")

    def encode(self, image, text):
        pixels = np.asarray(image).copy()
        bits = np.unpackbits(np.frombuffer(text.ljust(8).encode(), np.uint8))
        pixels[0, :64, 0] = pixels[0, :64, 0] & 254 | bits
        return Image.fromarray(pixels)

    def decode(self, image):
        bits = np.asarray(image)[0, :64, 0] & 1
        text = np.packbits(bits).tobytes().decode(errors="replace").strip()
        return text, text.isprintable() and len(text) > 3, 1


@pytest.fixture
def trustmark(monkeypatch):
    """Installs the stand-in; its class can be changed."""
    module = ModuleType("trustmark")
    module.TrustMark = LowestBits
    monkeypatch.setitem(sys.modules, "trustmark", module)
    return module


def test_a_saved_picture_has_the_mark(trustmark, tmp_path, capsys):
    photo = Image.open(NEUTRAL).convert("RGB")
    watermark = Watermark()
    marked = save_synthetic(photo, tmp_path / "marked.png", watermark=watermark)
    plain = save_synthetic(photo, tmp_path / "plain.png")
    assert verify_file(marked, watermark=watermark).watermark is True
    assert verify_file(plain, watermark=watermark).watermark is False
    assert verify_file(marked).watermark is None
    (tmp_path / "cut.png").write_bytes(marked.read_bytes()[:20_000])
    assert verify_file(tmp_path / "cut.png", watermark=watermark).watermark is None
    differs = np.abs(np.asarray(Image.open(marked), int) - np.asarray(photo, int))
    assert 0 < differs.max() <= 1
    photo.info["icc_profile"] = b"a profile"
    assert watermark.add(photo).info["icc_profile"] == b"a profile"
    assert capsys.readouterr().out == ""


run = partial(exit_status, tergan.main)


def test_commands_add_and_find_it(trustmark, tmp_path, capsys):
    output = str(tmp_path / "out.png")
    assert run("edit", NEUTRAL, "surprise", "-o", output, "--watermark", "-q") == 0
    capsys.readouterr()
    for options, found in ([], False), (["--watermark"], True):
        run("verify", output, *options)
        assert ("watermark: made with TER-GAN" in capsys.readouterr().out) == found
    run("verify", NEUTRAL, "--watermark", "--json")
    assert json.loads(capsys.readouterr().out)[0]["watermark"] is False


def test_what_is_missing_is_a_sentence(trustmark, monkeypatch, tmp_path):
    def unreachable(**_):
        raise URLError("no network")

    unreachable.Encoding = LowestBits.Encoding
    trustmark.TrustMark = unreachable
    wanted = ["edit", NEUTRAL, "surprise", "-o", str(tmp_path / "a.png"), "--watermark"]
    assert "cannot fetch its models" in run(*wanted)
    monkeypatch.setitem(sys.modules, "trustmark", None)
    assert "pip install trustmark" in run(*wanted)
    assert not (tmp_path / "a.png").exists()


def test_clips_are_refused(trustmark, tmp_path):
    clip = str(EXAMPLES.parent / "expressions" / "avatar_clip.mp4")
    assert "--watermark is for photos" in run("edit", clip, "surprise", "-o", str(tmp_path / "a.mp4"), "--watermark")
