"""Disentanglement of f(e) and f(i) (section 4.5).

Linear probes on frozen features, as in Alain & Bengio 2017: a linear classifier learns to read a factor from a code.
Its accuracy on held-out photos says how much of the factor the code holds in linear form.
"""

import numpy as np
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_mutual_info_score

from ..model.errors_tergan import InvalidInputError
from .recognition import cross_validate


CODES = ("expression", "identity")
FEWEST_POINTS, MOST_POINTS = 8, 1000  # of a t-SNE


def probe(features: dict[str, np.ndarray], expressions, identities, expression_ids=None, count: int = 8) -> dict:
    """
    Probe every code for expression and identity.

    Args:
        features: code → (N, D); `expression` is f(e), `identity` is f(i), others are for comparison.
        expressions, identities, expression_ids: (N,) of each photo; expression ids only if people share them.
        count: number of folds.

    Returns:
        factor → code → `accuracy` (mean over the folds), its `deviation`, and `information`: the mutual information
        between the factor and the probe's answers, adjusted so that chance is 0 and certainty 1 (Vinh et al. 2010).
        `chance` is the share of the most frequent value.

        `expression` has folds of people; `expression_of_new_ids`, with expression ids only, has folds of expression
        ids. `identity` has folds of expression ids, else of expressions.

        `gap` is in the spirit of the mutual information gap (Chen et al. 2018), for two vectors instead of single
        numbers: the information in the right code minus that in the other code, mean over both factors.
    """
    identity_folds = expressions if expression_ids is None else expression_ids
    factors = {"expression": (expressions, identities), "identity": (identities, identity_folds)}
    if expression_ids is not None:
        factors["expression_of_new_ids"] = (expressions, expression_ids)
    results: dict = {}
    for factor, (targets, groups) in factors.items():
        targets = np.asarray(targets)
        _, counts = np.unique(targets, return_counts=True)
        results[factor] = {"values": len(counts), "chance": float(counts.max() / counts.sum())}
        for code, columns in features.items():
            results[factor][code] = _probe_code(columns, targets, groups, count)
    expression, identity = (
        {code: results[factor][code]["information"] for code in CODES} for factor in ("expression", "identity")
    )
    results["gap"] = float(
        (expression["expression"] - expression["identity"] + identity["identity"] - identity["expression"]) / 2
    )
    return results


def _probe_code(columns, targets, groups, count: int) -> dict:
    measured = cross_validate(columns, targets, groups, count)
    confusion = np.array(measured["confusion"])
    true, predicted = np.nonzero(confusion)
    repeats = confusion[true, predicted]
    information = adjusted_mutual_info_score(np.repeat(true, repeats), np.repeat(predicted, repeats))
    return {
        "accuracy": measured["mean"],
        "deviation": measured["deviation"],
        "information": float(information),
    }


def project_tsne(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    t-SNE (van der Maaten & Hinton 2008) of standardised features, of at most `MOST_POINTS` rows.

    Returns:
        the rows used (M,), their points (M, 2).

    Raises:
        InvalidInputError: there are fewer than `FEWEST_POINTS` rows.
    """
    if len(features) < FEWEST_POINTS:
        raise InvalidInputError(f"t-SNE needs at least {FEWEST_POINTS} photos, got {len(features)}")
    rows = np.arange(len(features))
    if len(rows) > MOST_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_POINTS, replace=False))
    chosen = features[rows]
    chosen = (chosen - chosen.mean(0)) / np.maximum(chosen.std(0), 1e-6)
    points = TSNE(perplexity=min(30, (len(rows) - 1) / 3), init="pca", random_state=0).fit_transform(chosen)
    return rows, points
