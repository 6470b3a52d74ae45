"""What f(e) and f(i) know of what they should, and of what they should not (section 4.5).

Linear probes on frozen features, as in Alain & Bengio 2017: a linear classifier learns to read a factor, and its
accuracy on photos apart says how much of the factor is there in plain sight.
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
    Read expression and identity off every code.

    Args:
        features: code → (N, D); `expression` is f(e), `identity` f(i), and others to compare with.
        expressions, identities, expression_ids: (N,) of each photo; expression_ids where people share them.
        count: folds.

    Returns:
        factor → code → accuracy (mean over folds), and `information`: the mutual information between the factor and
        what the probe says of it, adjusted so that chance is 0 and certainty 1 (Vinh et al. 2010). `chance` is what
        naming the most frequent value gets. Expression is read on people apart (`expression`) and, where there are
        expression_ids, on expression_ids apart (`expression_of_new_ids`); identity on expression_ids apart, else on expressions apart.
        `gap` is in the spirit of the mutual information gap (Chen et al. 2018), for two vectors instead of single
        numbers: the mean over both factors of the information in the right code less the information in the other.
    """
    apart = expressions if expression_ids is None else expression_ids
    factors = {"expression": (expressions, identities), "identity": (identities, apart)}
    if expression_ids is not None:
        factors["expression_of_new_ids"] = (expressions, expression_ids)
    results: dict = {}
    for factor, (targets, groups) in factors.items():
        targets = np.asarray(targets)
        _, counts = np.unique(targets, return_counts=True)
        results[factor] = {"values": len(counts), "chance": float(counts.max() / counts.sum())}
        for code, columns in features.items():
            results[factor][code] = _read(columns, targets, groups, count)
    expression, identity = (
        {code: results[factor][code]["information"] for code in CODES} for factor in ("expression", "identity")
    )
    results["gap"] = float(
        (expression["expression"] - expression["identity"] + identity["identity"] - identity["expression"]) / 2
    )
    return results


def _read(columns, targets, groups, count: int) -> dict:
    measured = cross_validate(columns, targets, groups, count)
    confusion = np.array(measured["confusion"])
    true, answers = np.nonzero(confusion)
    repeats = confusion[true, answers]
    information = adjusted_mutual_info_score(np.repeat(true, repeats), np.repeat(answers, repeats))
    return {
        "accuracy": measured["mean"],
        "deviation": measured["deviation"],
        "information": float(information),
    }


def flatten_for_tsne(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    t-SNE (van der Maaten & Hinton 2008) of standardised features, of at most `MOST_POINTS` rows.

    Returns:
        the rows taken (M,), their places (M, 2).

    Raises:
        InvalidInputError: fewer than `FEWEST_POINTS` rows.
    """
    if len(features) < FEWEST_POINTS:
        raise InvalidInputError(f"t-SNE of {len(features)} photos shows nothing; it takes {FEWEST_POINTS}")
    rows = np.arange(len(features))
    if len(rows) > MOST_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_POINTS, replace=False))
    chosen = features[rows]
    chosen = (chosen - chosen.mean(0)) / np.maximum(chosen.std(0), 1e-6)
    places = TSNE(perplexity=min(30, (len(rows) - 1) / 3), init="pca", random_state=0).fit_transform(chosen)
    return rows, places
