"""Scores of codes against disentanglement_lib's values and formulas.

The reference values are those of its own functions, on codes whose draws are
not given. What depends on the draws, as the information of a dead code's
noise or of one rotation, is compared by its formula, with scikit-learn.
"""

import functools
import sys

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from yoto_tf.families.vae.metrics import counts
from yoto_tf.families.vae.metrics import factor_vae
from yoto_tf.families.vae.metrics import predictors

SIZES = 10, 10, 10, 8, 4, 15
KINDS = "perfect", "rotated", "duplicated", "noisy"


@functools.cache
def made(kind):
    """`(codes, factors)` of 4,000 points."""
    rng = np.random.RandomState(0)
    factors = np.stack([rng.randint(0, s, 4000) for s in SIZES], axis=1)
    z = (factors - factors.mean(0)) / factors.std(0)
    rng = np.random.RandomState(1)
    if kind == "rotated":
        return z @ np.linalg.qr(rng.randn(6, 6))[0].T, factors
    near = z + (0.7 if kind == "noisy" else 0.05) * rng.randn(*z.shape)
    if kind == "duplicated":
        return np.concatenate([near, near[:, :4]], 1), factors
    scale = 1 if kind == "noisy" else 0.01
    return np.concatenate([near, scale * rng.randn(4000, 4)], 1), factors


def parts(kind):
    codes, factors = made(kind)
    return (codes[:3000], factors[:3000]), (codes[3000:], factors[3000:])


@pytest.mark.parametrize(
    ("kind", "mig", "modularity", "spread"),
    [
        # The spread of modularity is that of dead codes: over twelve seeds
        # of theirs 0.83 to 0.89.
        ("perfect", 0.9695, 0.858, 0.04),
        ("rotated", 0.0362, 0.722, 0.07),
        ("duplicated", 0.3142, 0.9998, 0.0005),
        ("noisy", 0.2509, 0.857, 0.04),
    ],
)
def test_scores_of_counts_are_those_of_the_reference(
    kind, mig, modularity, spread
):
    fit, _ = parts(kind)
    assert counts.mutual_information_gap(*fit) == pytest.approx(mig, abs=0.005)
    assert counts.modularity(*fit) == pytest.approx(modularity, abs=spread)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_counts_follow_their_formulas(kind):
    (codes, factors), _ = parts(kind)
    binned = [np.digitize(c, np.histogram(c, 20)[1][:-1]) for c in codes.T[:7]]
    table = np.array(
        [[mutual_info_score(f, c) for f in factors.T] for c in binned]
    )
    codes = codes[:, :7]
    np.testing.assert_allclose(
        counts.information_of(codes, factors), table, atol=1e-9
    )
    entropy = [mutual_info_score(f, f) for f in factors.T]
    ordered = np.sort(table, axis=0)
    assert counts.mutual_information_gap(codes, factors) == pytest.approx(
        np.mean((ordered[-1] - ordered[-2]) / entropy)
    )
    squared = table**2
    largest = squared.max(1)
    share = (squared.sum(1) - largest) / (largest * 5)
    assert counts.modularity(codes, factors) == pytest.approx(
        np.mean(1 - share)
    )


@pytest.mark.parametrize("steps", [1, 5, 19])
def test_a_code_that_hardly_varies_has_bins(steps):
    """float32 has no room for 20 edges in so few steps of the last digit."""
    first = np.float32(0.1)
    code = first + np.spacing(first) * np.arange(steps + 1, dtype="float32")
    assert len(np.unique(code)) == steps + 1
    codes = np.tile(code, 40)[:, None]
    factors = np.tile(np.arange(steps + 1), 40)[:, None]
    found = counts.information_of(codes, factors)
    assert found == pytest.approx(np.log(steps + 1), abs=1e-6)


def test_a_code_without_any_information_has_no_modularity():
    codes = np.array([[0.0, 1.0]] * 4 + [[1.0, 1.0]] * 4)
    factors = np.array([[0, 0], [0, 1]] * 2 + [[1, 0], [1, 1]] * 2)
    # The first tells of one factor alone, the second of none.
    assert counts.modularity(codes, factors) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("rotated", 0.018), ("duplicated", 0.132), ("noisy", 0.156)]
    + [pytest.param("perfect", 0.202, marks=pytest.mark.slow)],
)
def test_sap_is_that_of_the_reference(kind, expected):
    found = predictors.separated_attribute_predictability(*parts(kind))
    assert found == pytest.approx(expected, abs=0.006)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("perfect", (0.995, 0.994, 0.994)),
        ("duplicated", (0.995, 0.796, 0.995)),
        ("noisy", (0.198, 0.179, 0.29)),
    ],
)
def test_dci_is_that_of_the_reference(kind, expected):
    (codes, factors), test = parts(kind)
    found = predictors.dci((codes[:1000], factors[:1000]), test)
    np.testing.assert_allclose(found, expected, atol=0.015)


def test_dci_weighs_rows_by_their_importance():
    # One factor per code; then every code equal in all.
    assert predictors._concentration(np.diag([1.0, 3.0])) == pytest.approx(1)
    assert predictors._concentration(np.ones((4, 3))) == pytest.approx(0)
    mixed = np.array([[3.0, 0.0], [0.5, 0.5]])
    assert predictors._concentration(mixed) == pytest.approx(3 / 4)
    assert predictors._concentration(np.zeros((2, 2))) == pytest.approx(0)


def test_factor_vae_votes_tell_factors_from_mixtures():
    (codes, factors), _ = parts("perfect")
    votes = 400, 400
    assert list(factor_vae.live_codes(codes)) == [True] * 6 + [False] * 4
    assert factor_vae.factor_vae_score(codes, factors, votes) == 1
    (rotated, factors), _ = parts("rotated")
    found = factor_vae.factor_vae_score(rotated, factors, votes)
    assert 0.3 < found < 0.8
    # By chance, one of six.
    noise = np.random.default_rng(0).standard_normal(codes.shape)
    found = factor_vae.factor_vae_score(noise, factors, votes)
    assert found == pytest.approx(1 / 6, abs=0.1)
    dead = 0.01 * noise
    assert factor_vae.factor_vae_score(dead, factors, votes) == 0


@pytest.mark.parametrize(
    "score", [predictors.separated_attribute_predictability, predictors.dci]
)
def test_without_scikit_learn_there_is_a_sentence(score, monkeypatch):
    # find_spec takes it for a module that is not there.
    monkeypatch.setitem(sys.modules, "sklearn", None)
    part = np.zeros((4, 2)), np.zeros((4, 2), int)
    with pytest.raises((ModuleNotFoundError, ValueError), match="sklearn"):
        score(part, part)
