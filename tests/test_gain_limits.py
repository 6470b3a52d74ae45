"""benchmarks/gain_limits.py: the gain with one part after the other replaced by the truth."""

import importlib
import re

import pytest

from tergan_hf.data.building import build_set
from tergan_hf.rendering.avatar_set import DESCRIPTION
from tergan_hf.rendering.avatars import AvatarSettings, plan_avatars

from .conftest import ROOT
from .faces import repeatable_people
from .heads import write_heads
from .tiny_models import pipeline_of, save_pipeline, tiny_model


SETTINGS = AvatarSettings(people=2, sessions=1, expressions=4, expression_sets=1, size=64)


@pytest.fixture
def gain_limits(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("gain_limits")


def test_more_truth_gains_more(gain_limits, settable_pipeline, tmp_path, capsys):
    heads, photos = tmp_path / "heads", tmp_path / "photos"
    heads.mkdir()
    build_set(plan_avatars(write_heads(heads), SETTINGS, DESCRIPTION), photos)
    weights = save_pipeline(settable_pipeline, tmp_path / "weights")
    options = ["--weights", weights, "--pairs", 6, "--fit_steps", 5, "--output", tmp_path, "--device", "cpu"]
    gain_limits.main([str(photos), *map(str, options)])
    assert str(tmp_path / "results.md") in capsys.readouterr().out
    rows = re.findall(r"\| (.+) \| (-?\d+\.\d+) \|", (tmp_path / "results.md").read_text())
    gains = {name: float(gain) for name, gain in rows}
    assert gains["f(e) fitted to the truth"] >= gains["f(e) moved by the true blendshapes"]
    exact = [gain for name, gain in gains.items() if name.startswith("exact flow")]
    assert exact == sorted(exact) and 0.2 < exact[0] < exact[-1] <= 1


@pytest.mark.parametrize(
    ("preset", "complaint"),
    [("compact", "photo decoder is needed"), ("photo", "no column blendshapes and no column flow")],
)
def test_what_is_missing_is_named(gain_limits, tmp_path, preset, complaint):
    weights = save_pipeline(pipeline_of(tiny_model(preset)), tmp_path / "weights")
    photos = repeatable_people(tmp_path / "photos.parquet")
    with pytest.raises(SystemExit, match=complaint):
        gain_limits.main([str(photos), "--weights", str(weights), "--output", str(tmp_path), "--device", "cpu"])
