"""The app's handlers, called as the page calls them: answers to awkward input, and files left on disk."""

import os
import signal
import subprocess
import sys
import time

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from tergan_hf.demo import upload_folder
from tergan_hf.demo.cards import model_card
from tergan_hf.demo.components import message_for_visitors, write_result
from tergan_hf.demo.edit_session import EditSession
from tergan_hf.demo.limits import Allowance, LimitError
from tergan_hf.provenance.signing import environment_signer
from tergan_hf.provenance.verification import verify_file

from .app_handlers import built_app, handlers_of, shows_sliders
from .awkward_inputs import FACE, LABEL, write_awkward_clips, write_awkward_inputs
from .conftest import NEUTRAL, ROOT, SMILING, WEIGHTS


@pytest.fixture(scope="module")
def app(embedded_pipeline, tmp_path_factory):
    with built_app(embedded_pipeline, WEIGHTS, tmp_path_factory.mktemp("gradio")) as built:
        yield built


@pytest.fixture(scope="module")
def handlers(app):
    return handlers_of(app)


@pytest.fixture
def session(embedded_pipeline):
    return EditSession("ter-gan", embedded_pipeline)


def test_blendshapes_are_shown_and_set_as_the_published_weights_can(app, handlers, embedded_pipeline):
    face, tables = handlers["recognize"](SMILING)[0], handlers["recognize_photo"](None, SMILING)[1]
    assert max(face["scores"], key=face["scores"].get) == "happiness"
    assert list(face.get("blendshapes", ())) == embedded_pipeline.blendshape_names
    assert ("Strongest blendshapes" in tables) == bool(embedded_pipeline.blendshape_names)
    can_set = len(embedded_pipeline.editable_names) > len(embedded_pipeline.labels)
    assert shows_sliders(app) == can_set


def test_a_hundred_awkward_photos_get_the_right_answer_or_a_message(handlers, tmp_path):
    inputs = write_awkward_inputs(tmp_path)
    assert len(inputs) >= 100
    wrong = []
    for path, expected in inputs.items():
        try:
            answer = handlers["recognize"](str(path))
            right = expected == FACE and all(max(face["scores"], key=face["scores"].get) == LABEL for face in answer)
            wrong += [] if answer and right else [(path.name, answer)]
        except gr.Error as error:
            # The message names no path of the server, and no visible face is refused.
            if expected == FACE or str(tmp_path) in str(error) or "on our side" in str(error):
                wrong.append((path.name, str(error)))
    assert wrong == []
    assert sorted(inputs) == sorted(path for path in tmp_path.iterdir())


def test_awkward_clips_get_a_message(handlers, tmp_path):
    for clip in write_awkward_clips(tmp_path):
        text, timeline, moves, table = handlers["recognize_clip"](None, str(clip))
        assert timeline is None and not moves["visible"] and table["interactive"] is False
        with pytest.raises(gr.Error) as error:
            handlers["animate"](None, str(clip), NEUTRAL, None, 1.0, "automatic", True)
        for message in (text, str(error.value)):
            assert message and str(tmp_path) not in message and "on our side" not in message
    assert "minutes long" in handlers["recognize_clip"](None, str(tmp_path / "three hours by its head.mp4"))[0]


# Takes an upload folder of its own, writes a photo there and waits. It runs the file alone: package and Gradio would
# import too much.
OWN_FOLDER = """
import os, runpy, sys, types
sys.modules |= {"gradio": types.ModuleType("gradio"), "gradio.utils": types.ModuleType("gradio.utils")}
sys.modules["gradio.utils"].get_upload_folder = lambda: os.environ["GRADIO_TEMP_DIR"]
use = runpy.run_path("tergan_hf/demo/upload_folder.py")["use_own_upload_folder"]
open(use() + "/photo", "w").close()
input()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_visitors_files_go_with_the_server(tmp_path, signal_number):
    # A background job inherits that Ctrl-C is ignored.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)" + OWN_FOLDER
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}
    server = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment
    )
    try:
        while not list(tmp_path.glob("ter-gan-*/photo")):
            assert server.poll() is None
            time.sleep(0.1)
        server.send_signal(signal_number)
        server.wait(20)
    finally:
        server.kill()
    assert not list(tmp_path.glob("ter-gan-*"))


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_the_next_server_removes_what_a_killed_one_left(tmp_path):
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}
    servers = []
    try:
        for _ in range(2):
            servers.append(
                subprocess.Popen([sys.executable, "-c", OWN_FOLDER], stdin=subprocess.PIPE, cwd=ROOT, env=environment)
            )
            while len(list(tmp_path.glob("ter-gan-*/photo"))) < len(servers):
                assert servers[-1].poll() is None
                time.sleep(0.1)
        servers[0].kill()
        servers[0].wait()
        assert len(list(tmp_path.glob("ter-gan-*/photo"))) == 2
        upload_folder.remove_abandoned_folders(tmp_path)
        assert len(list(tmp_path.glob("ter-gan-*/photo"))) == 1, "the other one still runs"
    finally:
        for server in servers:
            server.kill()


def test_an_encoded_photo_changes_as_with_the_pipelines_own_steps(session, embedded_pipeline):
    """`transfer` also averages over other views; a session takes one view."""
    pipe, photo = embedded_pipeline, Image.open(NEUTRAL).convert("RGB")
    cropped = pipe.cut_out(photo, pipe.faces(photo)[0].crop_transform)
    expression = session.read_expression(session.find_faces(SMILING, "expression photo"))
    encoded = session.encode_photo(session.find_faces(NEUTRAL, "your photo"))
    for intensity in (0.4, 1.2):
        result = session.draw_full_size(encoded, expression, intensity)
        with torch.inference_mode():
            embedding = torch.from_numpy(expression.embedding)[None]
            change = pipe.model.change(embedding, pipe.pixel_values([cropped]), intensity)
        expected = pipe.paste(cropped, change, 0)
        assert np.abs(np.asarray(result, int) - np.asarray(expected, int)).max() <= 1
    closeups = session.draw_closeups(encoded, [expression, expression], [0.0, 1.0])
    before, after = (np.asarray(picture, int) for picture in closeups)
    assert np.abs(before - np.asarray(encoded.closeup.photo, int)).max() == 0 < np.abs(before - after).max()


def test_a_click_chooses_the_face(session, tmp_path):
    both = Image.new("RGB", (520, 320), "white")
    both.paste(Image.open(SMILING).resize((320, 320)), (200, 0))
    both.paste(Image.open(NEUTRAL).resize((200, 200)), (0, 60))
    both.save(tmp_path / "both.png")
    found = session.find_faces(str(tmp_path / "both.png"), "your photo", (100, 150))
    assert found.chosen == 1 and len(found.thumbnails) == 2
    assert session.find_faces(str(tmp_path / "both.png"), "your photo").chosen == 0
    encoded, expression = session.encode_photo(found), session.label_expression("surprise")
    changed = np.abs(np.asarray(session.draw_preview(encoded, expression), int) - np.asarray(both, int)).sum(-1)
    assert changed[:, :200].any() and not changed[:, 220:].any()


def test_parts_of_the_face_change_apart(session):
    encoded = session.encode_photo(session.find_faces(NEUTRAL, "your photo"))
    photo, expression = np.asarray(encoded.preview.photo, int), session.label_expression("surprise")
    landmarks = encoded.detected.chosen_face.landmarks * encoded.preview.photo.width / Image.open(NEUTRAL).width
    split = int(landmarks[2, 1])  # the tip of the nose
    changed = {
        name: np.abs(np.asarray(session.draw_preview(encoded, expression, 1.0, strengths), int) - photo).sum(-1)
        for name, strengths in {"brows": (1, 0, 0), "mouth": (0, 0, 1), "nothing": (0, 0, 0)}.items()
    }
    assert changed["brows"][:split].sum() > 5 * changed["brows"][split:].sum()
    assert changed["mouth"][split:].sum() > 5 * changed["mouth"][:split].sum()
    assert changed["nothing"].max() == 0


def test_downloads_are_signed_if_the_environment_names_a_certificate(tmp_path, monkeypatch):
    from .certificates import write_certificates

    chain, key, _ = write_certificates(tmp_path)
    monkeypatch.setenv("TERGAN_C2PA_CERT", str(chain))
    monkeypatch.setenv("TERGAN_C2PA_KEY", str(key))
    environment_signer.cache_clear()
    image, photo = Image.new("RGB", (300, 200), "teal"), str(tmp_path / "me.jpg")
    image.save(photo)
    provenance = verify_file(write_result(image, True, "JPEG", photo, [photo]))
    environment_signer.cache_clear()
    assert provenance.holds
    assert [entry.relationship for entry in provenance.manifest.ingredients] == ["parentOf", "inputTo"]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("target (/srv/x/me.png): no face was found", "Your photo: no face was found."),
        ("source (/srv/x/me.png): no image file; use PNG", "Expression photo: no image file; use PNG."),
        ("/srv/x/me.png is no video ([Errno 1] '/srv/x/me.png')", "The clip is no video."),
        ("no face, or pass detect=False if it is a face crop already", "No face."),
    ],
)  # fmt: skip
def test_messages_are_for_visitors(message, shown):
    assert message_for_visitors(message, ["/srv/x/me.png"]) == shown


def test_long_work_is_ended(monkeypatch):
    allowance = Allowance(lambda: False)
    with pytest.raises(LimitError, match="frames"):
        for _ in range(10_000):
            allowance()
    monkeypatch.setattr("tergan_hf.demo.limits.MAX_WORK_SECONDS", -1)
    with pytest.raises(LimitError, match="seconds"):
        Allowance(lambda: False)()


def test_the_page_shows_the_models_card(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n\n# Mine\n")
    assert model_card(str(tmp_path)) == "# Mine"
    (tmp_path / "README.md").write_text("---\n# Mine\n")
    assert model_card(str(tmp_path)) == "---\n# Mine"
    assert model_card(str(tmp_path / "nothing")) == model_card("nobody/nothing") == ""
    assert "## Results" in model_card(str(WEIGHTS))
