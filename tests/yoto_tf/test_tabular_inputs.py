"""What a model of tables is given: rows and targets, or refused in one
sentence; a served row with a hole harms no other."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import yoto_tf
from export.saved_model import export_model
from yoto_tf.errors import InputError
from yoto_tf.families.tabular.config import TableModelConfig
from yoto_tf.families.tabular.model import CostSensitiveClassifier
from yoto_tf.families.tabular.model import QuantileRegressor
from yoto_tf.session import Session

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = (X[:, 0] > 0).astype("float32")
HOLE = np.where(np.arange(24).reshape(8, 3) == 7, np.nan, X)


def compiled(made, **parameter):
    model = made(
        TableModelConfig(depth=1, hidden_units=4),
        np.zeros(3),
        np.ones(3),
        loss_parameters=parameter,
    )
    # Without graphs, so that each is fast.
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    model(X)
    return model


@pytest.fixture(scope="module")
def alarms():
    keras.utils.set_random_seed(0)
    return compiled(CostSensitiveClassifier, miss=yoto_tf.LogUniform(1, 100))


@pytest.fixture(scope="module")
def level():
    return compiled(QuantileRegressor, level=yoto_tf.Uniform(0.1, 0.9))


@pytest.mark.parametrize("method", ["__call__", "predict", "evaluate", "fit"])
@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        # Would be repeated for all columns.
        (X[:, :1], r"shape \(batch, 3\), received: shape \(8, 1\)"),
        (X[:, [0, 1, 2, 0]], r"received: shape \(8, 4\)"),
        (X[0], r"received: shape \(3,\)"),
        (X[:, None], r"received: shape \(8, 1, 3\)"),
        (HOLE, "finite numbers in rows x"),
        # Would be taken for the largest that is known.
        (np.where(HOLE > 0, X, np.inf), "finite numbers in rows x"),
    ],
)
def test_what_are_no_rows_is_refused(alarms, method, x, sentence):
    before = alarms.get_weights()
    y = (Y[: len(x)],) if method in ("evaluate", "fit") else ()
    options = {} if method == "__call__" else {"verbose": 0}
    with pytest.raises(InputError, match=f"^expected .*{sentence}"):
        getattr(alarms, method)(x, *y, **options)
    for old, new in zip(before, alarms.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("method", ["evaluate", "fit"])
@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (Y + 1, "targets of 1 .* and 0, received: y from 1 to 2"),
        (2 * Y - 1, "received: y from -1 to 1"),
        (Y * np.nan, "received: y from nan"),
        (np.stack([1 - Y, Y], 1), r"\(batch,\), received: shape \(8, 2\)"),
        (np.where(Y > 0, "y", "n"), "targets y of numbers, received: .*<U1"),
        (list(Y), "targets y, received: lists of float32"),
        (Y.tolist(), "targets y, received: lists of float;"),
        (None, "a target y for each row, received: none"),
    ],
)
def test_what_are_no_targets_is_refused(alarms, method, y, sentence):
    before = alarms.get_weights()
    with pytest.raises(InputError, match=f"^expected .*{sentence}"):
        getattr(alarms, method)(X, y, verbose=0)
    for old, new in zip(before, alarms.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_targets_of_a_regression_are_finite_and_any_number(level):
    level.evaluate(X, 100 * Y - 7, verbose=0)
    with pytest.raises(InputError, match="^expected finite targets"):
        level.evaluate(X, np.where(Y > 0, np.inf, Y), verbose=0)


def test_truth_and_columns_of_pandas_are_targets(alarms):
    wanted = alarms.evaluate(X, Y, verbose=0)
    frame = pd.DataFrame(X)
    for x, y in ((X, Y > 0), (X, Y[:, None]), (frame, pd.Series(Y))):
        np.testing.assert_allclose(
            alarms.evaluate(x, y, verbose=0), wanted, rtol=1e-6
        )


def test_targets_of_another_rank_than_before_are_refused_in_a_graph(alarms):
    alarms.compile(keras.optimizers.SGD(1e-3))
    try:
        alarms.test_on_batch(X, Y)
        with pytest.raises(InputError, match="^expected targets y of shape"):
            alarms.test_on_batch(X, np.stack([Y, Y], 1))
    finally:
        alarms.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)


def test_a_served_row_with_a_hole_is_answered_by_nan_and_the_others_as_ever(
    alarms,
):
    asked = {"miss": np.full(8, 3, "float32")}
    served = alarms.served_outputs(HOLE.astype("float32"), asked)
    wanted = alarms(X, asked)
    holes = np.isnan(HOLE).any(axis=1)
    assert holes.sum() == 1
    for name, answer in served.items():
        assert np.isnan(answer[holes]).all()
        np.testing.assert_allclose(
            answer[~holes], wanted[name][~holes], rtol=1e-6
        )


@pytest.mark.slow
def test_such_a_row_is_flagged_or_fails_its_request(alarms, tmp_path):
    rows, asked = HOLE.astype("float32"), np.full(8, 3, "float32")
    holes = np.isnan(HOLE).any(axis=1)
    for invalid_rows in ("flag", "error"):
        path, _ = export_model(
            alarms, tmp_path / invalid_rows, invalid_rows, example=X
        )
        with Session(path) as session:
            inputs = {"inputs": rows, "miss": asked}
            if invalid_rows == "flag":
                found = session.run("predict", inputs)
                np.testing.assert_array_equal(found["in_range"], ~holes)
                assert np.isnan(found["probability"][holes]).all()
                assert np.isfinite(found["probability"][~holes]).all()
            else:
                at = np.flatnonzero(holes)[0]
                with pytest.raises(
                    tf.errors.InvalidArgumentError,
                    match=rf"(?s)as of finite numbers.*\[{at}\]",
                ):
                    session.run("predict", inputs)
                whole = {n: v[~holes] for n, v in inputs.items()}
                assert len(session.run("predict", whole)["logit"]) == 7
