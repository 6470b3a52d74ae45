"""The expression map: points of photos, and f(e) of points."""

import numpy as np
import pytest

from tergan_hf.cli.expression_map import main
from tergan_hf.evaluation.expression_map import ExpressionMap
from tergan_hf.evaluation.map_fitting import fit_map

from .conftest import WEIGHTS


@pytest.fixture
def clusters():
    """Six-dimensional f(e) of three expressions, far apart on two axes and a little apart on the others."""
    random = np.random.default_rng(0)
    middles = np.array([[5, 0, 1, 0, 0, 0], [0, 4, 0, 1, 0, 0], [-5, -4, 0, 0, 1, 0]], float)
    labels = np.repeat([0, 1, 2], [40, 40, 10])
    return middles[labels] + random.normal(0, 0.1, (90, 6)), labels


def test_points_and_expressions_invert_each_other(clusters):
    fitted = ExpressionMap.fit(*clusters, ["a", "b", "c"])
    np.testing.assert_allclose(fitted.axes @ fitted.axes.T, np.eye(2), atol=1e-5)
    for point in (fitted.points[0], [0.3, -0.2], [50.0, 50.0]):
        np.testing.assert_allclose(fitted.locate(fitted.expression_at(point)), point, atol=1e-3)
    # Among photos of an expression, a point also has their components across the plane.
    for label in range(3):
        mean = fitted.embeddings[fitted.labels == label].mean(0)
        assert np.abs(fitted.expression_at(fitted.locate(mean)) - mean).max() < 0.15


def test_the_map_is_stored_beside_the_weights(clusters, tmp_path):
    fitted = ExpressionMap.fit(*clusters, ["a", "b", "c"])
    fitted.save(tmp_path)
    again = ExpressionMap.from_pretrained(tmp_path)
    assert again.expressions == ["a", "b", "c"]
    np.testing.assert_allclose(again.points, fitted.points, atol=0.01)
    (tmp_path / "expression_map.safetensors").write_bytes(b"broken")
    assert ExpressionMap.from_pretrained(tmp_path) is None
    assert ExpressionMap.from_pretrained(tmp_path / "nowhere") is None


def test_the_published_map_fits_the_published_weights(embedded_pipeline):
    found = ExpressionMap.from_pretrained(WEIGHTS)
    assert found is not None, "make it: python -m tergan_hf.expression_map --model weights/ter-gan --data_root …"
    assert found.expressions == embedded_pipeline.labels
    assert found.embeddings.shape[1] == embedded_pipeline.model.config.expression_embedding_size


def test_photos_are_drawn_evenly(tiny_pipeline, drawn_people):
    fitted = fit_map(tiny_pipeline, [(drawn_people, False)], count=3)
    assert len(fitted.labels) == 3 * 4  # the set shows four expressions
    assert set(np.bincount(fitted.labels)) == {0, 3}


def test_bad_input_is_named(tmp_path, clusters):
    with pytest.raises(ValueError, match="three photos"):
        ExpressionMap.fit(clusters[0][:2], clusters[1][:2], ["a", "b", "c"])
    with pytest.raises(SystemExit, match=r"training\.yaml is missing"):
        main(["--model", str(tmp_path), "--data_root", str(tmp_path)])
