"""Scores of alarms and quantiles, against sums done by hand."""

import math

import keras
import numpy as np
import pytest

from yoto_tf.evaluation.turning import without_effect
from yoto_tf.examples import Examples
from yoto_tf.families.tabular import model as models
from yoto_tf.families.tabular import scores
from yoto_tf.families.tabular.config import TableConditioningConfig
from yoto_tf.families.tabular.config import TableModelConfig
from yoto_tf.method.parameters import LogUniform
from yoto_tf.method.parameters import Uniform

Y = np.array([1, 1, 0, 0, 1, 0])
LOGIT = np.array([2.0, -1.0, 0.5, -3.0, 0.1, -0.2])


def test_what_alarms_cost_by_hand():
    found = scores.classification(Y, LOGIT, miss=5, false_alarm=2)
    # Alarms at rows 0, 2, 4: one miss (row 1), one false alarm (row 2).
    assert found["expected_cost"] == pytest.approx((5 + 2) / 6)
    spread = np.std([0, 5, 2, 0, 0, 0], ddof=1) / math.sqrt(6)
    assert found["expected_cost_se"] == pytest.approx(spread)
    assert found["miss_rate"] == pytest.approx(1 / 3)
    assert found["false_alarm_rate"] == pytest.approx(1 / 3)
    # Pairs of a positive above a negative, of 9.
    pairs = sum(p > n for p in LOGIT[Y == 1] for n in LOGIT[Y == 0])
    assert found["auc"] == pytest.approx(pairs / 9)
    equal = np.zeros(6)
    assert scores.classification(Y, equal, 1, 1)["auc"] == 0.5
    ranked = np.array([1, 2, 2, 0, 3, 0.0])
    # The positive rows 1, 2, 3 against 2, 0, 0: ties count half.
    auc = scores.classification(Y, ranked, 1, 1)["auc"]
    assert auc == pytest.approx((2 + 2.5 + 3) / 9)
    p = 1 / (1 + np.exp(-LOGIT))
    loss = -(5 * Y * np.log(p) + 2 * (1 - Y) * np.log(1 - p))
    assert found["full_loss"] == pytest.approx(loss.mean())


def test_a_moved_threshold_by_hand():
    found = scores.classification(Y, LOGIT, 1, 1, threshold=0.3)
    # Alarms at rows 0 and 2: misses 1 and 4, false alarm 2.
    assert found["expected_cost"] == pytest.approx(3 / 6)


@pytest.mark.parametrize("miss", [0.2, 1.0, 3.0, 50.0])
def test_the_best_threshold_is_the_best_of_all(miss):
    rng = np.random.default_rng(1)
    logit = np.round(rng.normal(size=60), 1)  # some are equal
    y = (rng.random(60) < 1 / (1 + np.exp(-logit))).astype(float)
    chosen = scores.best_threshold(y, logit, miss, 1.0)

    def cost(threshold):
        alarm = logit > threshold
        return (miss * y * ~alarm + (1 - y) * alarm).mean()

    tried = [cost(t) for t in np.arange(-4, 4, 0.05)]
    assert cost(chosen) == pytest.approx(min(tried))


def test_a_threshold_beyond_all_rows_is_infinite():
    y, logit = np.array([0, 0, 1]), np.array([1.0, 2.0, 0.0])
    assert scores.best_threshold(y, logit, 0.1, 1.0) == math.inf
    assert scores.best_threshold(y, logit, 50.0, 0.1) == -math.inf


def test_pinball_coverage_and_crossings_by_hand():
    y = np.array([1.0, 4.0, 2.0, 8.0])
    answer = np.array([2.0, 3.0, 2.0, 4.0])
    lower = np.array([1.0, 3.5, 2.0, 3.0])
    found = scores.quantile(y, answer, 0.75, lower)
    assert found["pinball"] == pytest.approx((0.25 + 0.75 + 0 + 3) / 4)
    assert found["under"] == pytest.approx(5 / 4)
    assert found["over"] == pytest.approx(1 / 4)
    assert found["coverage"] == 0.5
    assert found["crossings"] == 0.25
    # Below the lowest there is none to cross.
    assert np.isnan(scores.quantile(y, answer, 0.75)["crossings"])


def _classifier(kind="spline", sites=("input", "output"), **changed):
    return models.CostSensitiveClassifier(
        TableModelConfig(
            depth=0,
            conditioning=TableConditioningConfig(kind=kind, sites=sites),
            **changed,
        ),
        mean=[1.0, -2.0],
        variance=[4.0, 0.25],
        loss_parameters={"miss": LogUniform(1.0, 100.0)},
        seed=0,
    )


def test_the_linear_model_is_one_of_standardised_clipped_columns():
    model = _classifier()
    x = np.array([[3.0, -2.0], [1.0, -1.5], [401.0, -2.0]], "float32")
    model(x)
    model.output_layer.set_weights([np.array([[2.0], [-3.0]]), np.array([0.5])])
    found = model.predict(x, loss_parameters={"miss": 10.0}, verbose=0)
    # Row 2 lies 200 deviations away, and is taken as 5.
    expected = np.array([2 * 1 + 0.5, -3 * 1 + 0.5, 2 * 5 + 0.5])
    np.testing.assert_allclose(found["logit"], expected, rtol=1e-6)
    np.testing.assert_allclose(
        found["probability"], 1 / (1 + np.exp(-expected)), rtol=1e-6
    )


def test_terms_are_cross_entropy_in_two_parts():
    model = _classifier()
    outputs = {"logit": LOGIT.astype("float32")}
    terms = model.loss_terms(None, Y.astype("float32"), outputs, {})
    p = 1 / (1 + np.exp(-LOGIT))
    np.testing.assert_allclose(terms["miss"], -Y * np.log(p), rtol=1e-5)
    np.testing.assert_allclose(
        terms["false_alarm"], -(1 - Y) * np.log(1 - p), rtol=1e-5
    )


def test_the_term_of_a_quantile_is_the_pinball_loss():
    model = models.QuantileRegressor(
        TableModelConfig(),
        [0.0],
        [1.0],
        loss_parameters={"level": Uniform(0.1, 0.9)},
    )
    y = np.array([1.0, 4.0, 2.0], "float32")
    outputs = {"quantile": np.array([2.0, 3.0, 2.0], "float32")}
    level = np.array([0.1, 0.9, 0.5], "float32")
    terms = model.loss_terms(None, y, outputs, {"level": level})
    np.testing.assert_allclose(terms["pinball"], [0.9, 0.9, 0], rtol=1e-6)


def test_a_knob_without_effect_is_found():
    x = Examples(np.random.default_rng(0).normal(size=(20, 2)))
    told, untold = _classifier(), _classifier("none")
    for model in (told, untold):
        model(x.x[:2])
    # A spline begins as the identity: nothing is learned yet.
    assert without_effect(told, x) == [("miss", 1.0, 100.0)]
    told.output_site.kernel.assign_add(
        keras.random.normal(told.output_site.kernel.shape, seed=1)
    )
    assert without_effect(told, x) == []
    assert without_effect(untold, x) == [("miss", 1.0, 100.0)]
