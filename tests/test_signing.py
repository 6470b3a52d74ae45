"""Signed C2PA manifests, with certificates made here, and `tergan verify`. Needs c2pa-python."""

import io
import json
import threading

import c2pa
import numpy as np
import pytest
from PIL import ExifTags, Image

from tergan_hf import (
    InvalidInputError,
    ManifestSigner,
    MissingFileError,
    OutputFileError,
    TerGanPipeline,
    save_synthetic,
    verify_file,
)
from tergan_hf.cli import tergan as command
from tergan_hf.model.provenance_tergan import SOURCE_TYPE
from tergan_hf.provenance.saving import signed_clip
from tergan_hf.provenance.signing import environment_signer

from .certificates import write_certificates
from .exit_status import exit_status
from .pictures import open_file
from .video_clips import make_clip, read_clip


PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Paths of a chain, its key and its root."""
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def signer(certificates):
    return ManifestSigner(*certificates[:2])


@pytest.fixture
def tergan(tiny_photo_pipeline, monkeypatch, capsys):
    """A function that runs the command and returns its exit status and what it printed."""
    monkeypatch.setattr(TerGanPipeline, "from_pretrained", lambda *_: tiny_photo_pipeline)
    monkeypatch.delenv("TERGAN_C2PA_CERT", raising=False)
    monkeypatch.delenv("TERGAN_C2PA_KEY", raising=False)
    environment_signer.cache_clear()
    yield lambda *words: (exit_status(command.main, *words), "".join(capsys.readouterr()))
    environment_signer.cache_clear()


def active_manifest(path):
    """The manifest as the library reads it."""
    with open(path, "rb") as file, c2pa.Reader(None, file) as reader:
        return reader.get_active_manifest()


def actions_of(manifest):
    (assertion,) = [entry for entry in manifest["assertions"] if entry["label"].startswith("c2pa.actions")]
    return assertion["data"]["actions"]


def change_pixels(path, output):
    """Copy a picture or clip with one bit of its pixels flipped."""
    content = bytearray(path.read_bytes())
    place = {
        ".jpg": len(content) - 40,
        ".png": content.find(b"IDAT") + 30,
        ".webp": len(content) // 2 if content.find(b"VP8") < 0 else content.find(b"VP8 ") + 60,
        ".mp4": content.find(b"mdat") + 100,
    }[path.suffix]
    content[place] ^= 1
    output.write_bytes(content)
    return output


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "plain.mp4", frames=5)


def sign_clip(clip, output, signer, **origin):
    with signed_clip(output, signer, **origin) as path:
        path.write_bytes(clip.read_bytes())
    return output


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.mp4"])
def test_a_signature_holds_until_the_file_changes(tmp_path, signer, clip, name):
    signed = tmp_path / name
    if name == "a.mp4":
        sign_clip(clip, signed, signer)
        pictures = [frame.tobytes() for frame in read_clip(signed)]
        assert pictures == [frame.tobytes() for frame in read_clip(clip)]
    else:
        save_synthetic(PICTURE, signed, signer=signer)
        unsigned = save_synthetic(PICTURE, tmp_path / f"unsigned{signed.suffix}")
        assert Image.open(signed).tobytes() == Image.open(unsigned).tobytes()
    provenance = verify_file(signed)
    assert provenance.holds and provenance.manifest.signer == "Jane Tester (Test Studio)"
    assert provenance.manifest.generator.startswith("TER-GAN ") and provenance.manifest.trusted is None
    changed = verify_file(change_pixels(signed, tmp_path / f"changed{signed.suffix}"))
    assert not changed.holds and changed.manifest.problems == ["the file was changed after it was signed"]


def test_the_manifest_says_what_was_done_and_of_what(tmp_path, signer):
    for name in ("me.bmp", "smiling.jpg"):
        PICTURE.save(tmp_path / name)
    path = save_synthetic(
        PICTURE, tmp_path / "a.jpg", signer=signer, parent=tmp_path / "me.bmp", inputs=[tmp_path / "smiling.jpg"]
    )
    manifest = active_manifest(path)
    opened, edited = actions_of(manifest)
    assert (opened["action"], edited["action"]) == ("c2pa.opened", "c2pa.edited")
    assert edited["digitalSourceType"] == SOURCE_TYPE
    parent, source = manifest["ingredients"]
    assert (parent["relationship"], parent["format"]) == ("parentOf", "image/bmp")
    assert (source["relationship"], source["format"]) == ("inputTo", "image/jpeg")
    for action, ingredient in ((opened, parent), (edited, source)):
        (reference,) = action["parameters"]["ingredients"]
        assert reference["url"].endswith(f"/{ingredient['label']}")
    # Without a parent it was created.
    (created,) = actions_of(active_manifest(save_synthetic(PICTURE, tmp_path / "b.jpg", signer=signer)))
    assert (created["action"], created["digitalSourceType"]) == ("c2pa.created", SOURCE_TYPE)


def test_the_manifest_tells_nothing_else_of_an_unsigned_source(tmp_path, signer):
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Jane Doe"
    xmp = b'<x:xmpmeta><rdf:Description xmpMM:InstanceID="xmp.iid:secret" xmpMM:DocumentID="secret"/></x:xmpmeta>'
    source = tmp_path / "at-the-clinic.jpg"
    PICTURE.save(source, exif=exif, xmp=xmp)
    content = save_synthetic(PICTURE, tmp_path / "a.png", signer=signer, parent=source).read_bytes()
    for secret in (b"Jane Doe", b"secret", b"at-the-clinic", source.read_bytes()[-200:]):
        assert secret not in content
    assert "thumbnail" not in json.dumps(active_manifest(tmp_path / "a.png"))


def test_a_signed_source_keeps_its_manifest(tmp_path, signer, clip):
    other = ManifestSigner(*write_certificates(tmp_path / "other", "Camera 7")[:2])
    photo = save_synthetic(PICTURE, tmp_path / "photo.webp", signer=other)
    driving = sign_clip(clip, tmp_path / "driving.mp4", other)
    result = sign_clip(clip, tmp_path / "a.mp4", signer, parent=photo, inputs=[driving])
    parent, source = verify_file(result).manifest.ingredients
    assert (parent.relationship, parent.media_type, parent.signer) == (
        "parentOf",
        "image/webp",
        "Camera 7 (Test Studio)",
    )
    assert (source.relationship, source.media_type, source.problems) == ("inputTo", "video/mp4", [])


def test_a_source_that_was_tampered_with_is_reported(tmp_path, signer):
    photo = save_synthetic(PICTURE, tmp_path / "photo.jpg", signer=signer)
    changed = change_pixels(photo, tmp_path / "changed.jpg")
    with pytest.warns(UserWarning, match=r"changed\.jpg: its C2PA manifest does not hold"):
        save_synthetic(PICTURE, tmp_path / "a.jpg", signer=signer, parent=changed)
    provenance = verify_file(tmp_path / "a.jpg")
    assert provenance.holds  # the result itself is as it was signed
    assert provenance.manifest.ingredients[0].problems == ["the file was changed after it was signed"]


def test_a_trust_list_decides_whose_signatures_count(tmp_path, signer, certificates):
    other = write_certificates(tmp_path / "other")
    photo = save_synthetic(PICTURE, tmp_path / "photo.jpg", signer=ManifestSigner(*other[:2]))
    path = save_synthetic(PICTURE, tmp_path / "a.jpg", signer=signer, parent=photo)
    trusted = verify_file(path, certificates[2].read_bytes())
    assert trusted.holds and trusted.manifest.trusted  # whoever signed the parent
    stranger = verify_file(path, other[2].read_bytes())
    assert not stranger.holds and stranger.manifest.trusted is False
    assert stranger.manifest.problems == ["the signer is not on the trust list"]
    with pytest.raises(InvalidInputError, match="trust list"):
        verify_file(path, b"no certificate")


def test_a_manifest_on_a_server_is_not_fetched(tmp_path, certificates):
    asked = []
    import http.server

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        chain, key, _ = (path.read_bytes() for path in certificates)
        builder = c2pa.Builder({"assertions": []})
        builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.DIGITAL_CAPTURE)
        builder.set_no_embed()
        builder.set_remote_url(f"http://127.0.0.1:{server.server_port}/a.c2pa")
        plain, signed = open_file(PICTURE, "JPEG"), io.BytesIO()
        builder.sign(
            c2pa.Signer.from_info(c2pa.C2paSignerInfo("es256", chain, key, None)), "image/jpeg", plain, signed
        )
        (tmp_path / "a.jpg").write_bytes(signed.getvalue())
        asked.clear()
        provenance = verify_file(tmp_path / "a.jpg")
        server.shutdown()
    assert not asked and not provenance.holds and "not fetched" in provenance.note


@pytest.mark.parametrize("kind", ["ec-384", "rsa", "ed25519"])
def test_keys_of_all_kinds_sign(tmp_path, kind):
    signer = ManifestSigner(*write_certificates(tmp_path, kind=kind)[:2])
    assert verify_file(save_synthetic(PICTURE, tmp_path / "a.png", signer=signer)).holds


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("missing.pem", "key.pem", r"no such file: .*missing\.pem"),
        ("chain.pem", "chain.pem", r"chain\.pem holds no private key"),
        ("key.pem", "key.pem", r"key\.pem holds no certificate"),
        ("root.pem", "key.pem", r"key\.pem is not the key of the first certificate in .*root\.pem"),
        ("locked/chain.pem", "locked/key.pem", r"key\.pem has a passphrase"),
        ("old/chain.pem", "old/key.pem", r"chain\.pem is valid from .*, not today"),
        ("k1/chain.pem", "k1/key.pem", "C2PA signs with EC keys"),
        ("self.pem", "self.key", r"C2PA does not accept .*self\.pem.*self-signed"),
    ],
)
def test_certificates_that_cannot_be_used_are_refused_at_once(tmp_path, certificate, key, message):
    write_certificates(tmp_path)
    write_certificates(tmp_path / "locked", passphrase=b"secret")
    write_certificates(tmp_path / "old", last_day=-30)
    write_certificates(tmp_path / "k1", kind="ec-k1")
    self_signed(tmp_path)
    with pytest.raises((InvalidInputError, MissingFileError), match=message):
        ManifestSigner(tmp_path / certificate, tmp_path / key)


def self_signed(folder):
    from cryptography.hazmat.primitives import serialization

    from .certificates import KEYS, _certify

    key, pem = KEYS["ec"](), serialization.Encoding.PEM
    certificate = _certify("Me", key, "Me", key, ("digital_signature",), 30)
    (folder / "self.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "self.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_what_cannot_be_signed_leaves_nothing(tmp_path, signer, clip):
    with pytest.raises(MissingFileError, match="no such file"):
        save_synthetic(PICTURE, tmp_path / "a.png", signer=signer, parent=tmp_path / "gone.jpg")
    with (
        pytest.raises(OutputFileError, match=r"b\.mp4 cannot be signed"),
        signed_clip(tmp_path / "b.mp4", signer) as path,
    ):
        path.write_text("no clip")
    with pytest.raises(KeyboardInterrupt), signed_clip(tmp_path / "c.mp4", signer) as path:
        path.write_bytes(clip.read_bytes())
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == [clip.name]


def test_the_command_signs_photos_and_clips_and_verifies_them(tergan, tmp_path, certificates, neutral, monkeypatch):
    chain, key, root = certificates
    (tmp_path / "in").mkdir()
    face = neutral.convert("RGB").resize((160, 160))
    face.save(tmp_path / "in" / "a.png")
    make_clip(tmp_path / "in" / "b.mp4", images=[face] * 2, size=face.size)
    out = tmp_path / "out"
    assert tergan("edit", tmp_path / "in", "surprise", "-o", out, "-q", "--sign", chain, key)[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.mp4"]
    code, printed = tergan("verify", out / "a.png", out / "b.mp4", "--trust", root)
    assert code == 0 and printed.count("VERIFIED. The file is as it was signed") == 2
    assert "signer:    Jane Tester (Test Studio)" in printed and "changed from video/mp4" in printed
    # One bad file among good ones fails the command.
    changed = change_pixels(out / "b.mp4", tmp_path / "changed.mp4")
    code, printed = tergan("verify", out / "a.png", changed)
    assert code == 1 and "REFUSED: the file was changed after it was signed." in printed
    code, printed = tergan("verify", changed, "--json")
    assert code == 1 and json.loads(printed)[0]["manifest"]["problems"]
    # The environment signs, too; the photo that shows the expression is an ingredient.
    monkeypatch.setenv("TERGAN_C2PA_CERT", chain.read_text())
    monkeypatch.setenv("TERGAN_C2PA_KEY", str(key))
    assert tergan("transfer", tmp_path / "in" / "a.png", out / "a.png", "-o", tmp_path / "t.jpg")[0] == 0
    parent, source = verify_file(tmp_path / "t.jpg").manifest.ingredients
    assert (parent.relationship, parent.signer) == ("parentOf", "Jane Tester (Test Studio)")
    assert (source.relationship, source.signer) == ("inputTo", None)


def test_a_bad_certificate_stops_the_command_before_the_work(tergan, tmp_path, certificates):
    chain, _, root = certificates
    PICTURE.save(tmp_path / "a.png")
    code, _ = tergan("edit", tmp_path / "a.png", "anger", "-o", tmp_path / "b.png", "--sign", chain, root)
    assert isinstance(code, str) and "holds no private key" in code and not (tmp_path / "b.png").exists()


def test_a_file_cannot_steer_the_terminal(tergan, tmp_path):
    certificates = write_certificates(tmp_path / "evil", "Jane\x1b[2J\nresult: VERIFIED")
    save_synthetic(PICTURE, tmp_path / "a.png", signer=ManifestSigner(*certificates[:2]))
    printed = tergan("verify", tmp_path / "a.png")[1]
    assert "\x1b" not in printed and "\nresult" not in printed


def test_a_time_stamp_authority_that_does_not_answer_is_named(tmp_path, certificates):
    signer = ManifestSigner(*certificates[:2], timestamp_url="http://127.0.0.1:9/")
    with pytest.raises(OutputFileError, match=r"a\.png cannot be signed .*127\.0\.0\.1:9"):
        save_synthetic(PICTURE, tmp_path / "a.png", signer=signer)
