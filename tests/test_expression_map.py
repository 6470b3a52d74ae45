"""The plane of f(e): places of photos, and f(e) of places."""

import numpy as np
import pytest

from tergan_hf.data.loading import load_photos
from tergan_hf.evaluation.expression_map import ExpressionMap, main, map_of_photos

from .conftest import WEIGHTS
from .faces import repeatable_people


@pytest.fixture
def clusters():
    """Three expressions, far apart on two axes of six; the other axes differ a little between them."""
    random = np.random.default_rng(0)
    middles = np.array([[5, 0, 1, 0, 0, 0], [0, 4, 0, 1, 0, 0], [-5, -4, 0, 0, 1, 0]], float)
    labels = np.repeat([0, 1, 2], [40, 40, 10])
    return middles[labels] + random.normal(0, 0.1, (90, 6)), labels


def test_places_and_expressions_invert_each_other(clusters):
    fitted = ExpressionMap.fit(*clusters, ["a", "b", "c"])
    np.testing.assert_allclose(fitted.axes @ fitted.axes.T, np.eye(2), atol=1e-5)
    for place in (fitted.places[0], [0.3, -0.2], [50.0, 50.0]):
        np.testing.assert_allclose(fitted.locate(fitted.expression_at(place)), place, atol=1e-3)
    # Amid photos of an expression, a place gives what they have beside the plane, too.
    for label in range(3):
        mean = fitted.embeddings[fitted.labels == label].mean(0)
        assert np.abs(fitted.expression_at(fitted.locate(mean)) - mean).max() < 0.15


def test_it_goes_with_the_weights(clusters, tmp_path):
    fitted = ExpressionMap.fit(*clusters, ["a", "b", "c"])
    fitted.save(tmp_path)
    again = ExpressionMap.from_pretrained(tmp_path)
    assert again.expressions == ["a", "b", "c"]
    np.testing.assert_allclose(again.places, fitted.places, atol=0.01)
    (tmp_path / "expression_map.safetensors").write_bytes(b"broken")
    assert ExpressionMap.from_pretrained(tmp_path) is None
    assert ExpressionMap.from_pretrained(tmp_path / "nowhere") is None


def test_the_map_of_the_weights_is_theirs(embedded_pipeline):
    found = ExpressionMap.from_pretrained(WEIGHTS)
    assert found is not None, "make it: python -m tergan_hf.expression_map --model weights/ter-gan --data_root …"
    assert found.expressions == embedded_pipeline.labels
    assert found.embeddings.shape[1] == embedded_pipeline.model.config.expression_embedding_size


def test_photos_are_drawn_evenly(tiny_pipeline, tmp_path):
    photos = load_photos(str(repeatable_people(tmp_path / "people.parquet")))
    fitted = map_of_photos(tiny_pipeline, [(photos, False)], count=3)
    assert len(fitted.labels) == 3 * 4  # the set shows four expressions
    assert set(np.bincount(fitted.labels)) == {0, 3}


def test_bad_input_is_named(tmp_path, clusters):
    with pytest.raises(ValueError, match="three photos"):
        ExpressionMap.fit(clusters[0][:2], clusters[1][:2], ["a", "b", "c"])
    with pytest.raises(SystemExit, match=r"training\.yaml is missing"):
        main(["--model", str(tmp_path), "--data_root", str(tmp_path)])
