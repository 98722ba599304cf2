"""Scores of a code from predictors of the factors: SAP and DCI.

Definitions as in disentanglement_lib; see `counts` for codes and factors.
scikit-learn is imported when a score is asked for.
"""

import warnings

import numpy as np

from yoto_tf import extras


def separated_attribute_predictability(fit, test):
    """SAP (Kumar et al., ICLR 2018): of each factor the accuracy of the best
    code less that of the second, by linear classifiers of one code each; the
    mean over the factors. A perfect code has some 0.2, not 1.

    Args:
        fit: `(codes, factors)` that the classifiers are trained on.
        test: those that they are tested on.

    Returns:
        Number in [0, 1].
    """
    extras.require("training", "sklearn")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    (codes, factors), (test_codes, test_factors) = fit, test
    accuracy = np.zeros((codes.shape[1], factors.shape[1]))
    with warnings.catch_warnings():
        # The definition's number of iterations, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for i, j in np.ndindex(*accuracy.shape):
            classifier = LinearSVC(
                C=0.01, class_weight="balanced", random_state=0
            )
            classifier.fit(codes[:, i, None], factors[:, j])
            said = classifier.predict(test_codes[:, i, None])
            accuracy[i, j] = np.mean(said == test_factors[:, j])
    best = -np.sort(-accuracy, axis=0)
    return float(np.mean(best[0] - best[1]))


def dci(fit, test, seed=0):
    """Disentanglement, completeness, informativeness (Eastwood & Williams,
    ICLR 2018), of what gradient boosted trees make of the codes.

    Args:
        fit, test: as of `separated_attribute_predictability`. 10,000 points
            of 10 codes and the six factors of Shapes3D take minutes.
        seed: of the trees.

    Returns:
        `(disentanglement, completeness, informativeness)`, in [0, 1]; the
        last is the mean accuracy on `test`.
    """
    extras.require("training", "sklearn")
    from sklearn.ensemble import GradientBoostingClassifier

    (codes, factors), (test_codes, test_factors) = fit, test
    importance = np.zeros((codes.shape[1], factors.shape[1]))
    accuracies = []
    for j, labels in enumerate(factors.T):
        trees = GradientBoostingClassifier(random_state=seed)
        trees.fit(codes, labels)
        importance[:, j] = np.abs(trees.feature_importances_)
        said = trees.predict(test_codes)
        accuracies.append(np.mean(said == test_factors[:, j]))
    return (
        _concentration(importance),
        _concentration(importance.T),
        float(np.mean(accuracies)),
    )


def _concentration(importance):
    """Of each row 1 - its entropy, in units of the largest; the mean over the
    rows by their shares in all of the importance."""
    if importance.sum() == 0:
        importance = np.ones_like(importance)
    shares = importance + 1e-11
    shares = shares / shares.sum(axis=1, keepdims=True)
    entropy = -np.sum(shares * np.log(shares), axis=1)
    weights = importance.sum(axis=1) / importance.sum()
    return float(np.sum(weights * (1 - entropy / np.log(shares.shape[1]))))
