"""Scores of codes against disentanglement_lib's values and formulas.

The reference values are those of its own functions, to the digits that they
were noted with. The order of the draws was not noted with them; the one here
gives them all.
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
    factors = np.stack([rng.randint(0, s, 4000) for s in SIZES])
    z = (factors - factors.mean(1)[:, None]) / factors.std(1)[:, None]
    rng = np.random.RandomState(1)
    if kind == "rotated":
        z = np.linalg.qr(rng.randn(6, 6))[0] @ z
    if kind == "duplicated":
        z = np.concatenate([z, z[:4]])
    near = z + (0.7 if kind == "noisy" else 0.05) * rng.randn(*z.shape)
    if kind != "duplicated":
        # Codes that know nothing.
        scale = 1 if kind == "noisy" else 0.01
        near = np.concatenate([near, scale * rng.randn(4, 4000)])
    return near.T, factors.T


def parts(kind):
    codes, factors = made(kind)
    return (codes[:3000], factors[:3000]), (codes[3000:], factors[3000:])


@pytest.mark.parametrize(
    ("kind", "mig", "modularity"),
    [
        ("perfect", 0.9695, 0.858),
        ("rotated", 0.0362, 0.722),
        ("duplicated", 0.3142, 0.9998),
        ("noisy", 0.2509, 0.857),
    ],
)
def test_scores_of_counts_are_those_of_the_reference(kind, mig, modularity):
    fit, _ = parts(kind)
    assert counts.mutual_information_gap(*fit) == pytest.approx(mig, abs=6e-5)
    found = counts.modularity(*fit)
    assert found == pytest.approx(modularity, abs=6e-4)


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
    assert found == pytest.approx(expected, abs=6e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("perfect", (0.995, 0.994, 0.994)),
        ("rotated", (0.094, 0.136, 0.43)),
        ("duplicated", (0.995, 0.796, 0.995)),
        ("noisy", (0.198, 0.179, 0.29)),
    ],
)
def test_dci_is_that_of_the_reference(kind, expected):
    (codes, factors), test = parts(kind)
    found = predictors.dci((codes[:1000], factors[:1000]), test)
    # The reference's trees had no seed, which moves the third digit; of its
    # informativeness two are known.
    assert found[:2] == pytest.approx(expected[:2], abs=0.003)
    assert found[2] == pytest.approx(expected[2], abs=0.006)


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
