"""Scores of any loss-conditional model, over a grid of its parameters."""

import math

import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.method import asking
from yoto_tf.points import term_column


def sweep(model, examples, grid, batch_size=500, done=None):
    """Scores a model at every point of a grid.

    Args:
        model: `LossConditionalModel`, whose outputs and terms depend on
            nothing but their arguments.
        examples: `yoto_tf.data.Examples`, two or more.
        grid: list of dicts, name -> value; of all loss parameters that vary.
        batch_size: examples at a time.
        done: called with the number of finished points.

    Returns:
        list of dicts, a row per point: the point, for every loss term its
        mean over the examples and that mean's standard error `NAME_se` (of a
        term that is called like its weight, `NAME_term` and `NAME_term_se`),
        and as `full_loss` the sum of the terms times their weights.

    Raises:
        InputError: for fewer than two examples, or values that were not
            trained.
    """
    if len(examples) < 2:
        raise InputError(
            f"expected two or more examples to score, received: {len(examples)}"
        )
    scored = _scorer(model)

    def score(part, values):
        chosen = examples[part]
        return scored(chosen.x, chosen.y, values)

    asked = [model.loss_parameters.numbers(point) for point in grid]
    rows = []
    for point, scores in zip(
        grid, per_example(score, len(examples), asked, batch_size), strict=True
    ):
        row = dict(point)
        for name, values in scores.items():
            row |= mean_and_error(term_column(name, point), values)
        rows.append(row)
        if done:
            done(len(rows))
    return rows


def per_example(score, num, grid, batch_size):
    """Scores all examples at each point, some at a time.

    Args:
        score: `score(part, values)`, of a slice of the examples and a point
            as scalar float32 tensors: dict of `(batch, ...)` tensors.
        num: number of examples.
        grid: list of dicts, name -> value.
        batch_size: examples at a time.

    Yields:
        For each point a dict of `(num, ...)` arrays.
    """
    for point in grid:
        values = {n: tf.constant(v, tf.float32) for n, v in point.items()}
        parts = [
            score(slice(start, start + batch_size), values)
            for start in range(0, num, batch_size)
        ]
        yield {
            name: np.concatenate([part[name].numpy() for part in parts])
            for name in parts[0]
        }


def _scorer(model):
    @tf.function(reduce_retracing=True)
    def graph(x, y, values):
        values = asking.filled(values, x)
        outputs = model.run(x, values, training=False)
        terms = model.checked_terms(x, y, outputs, values)
        weights = model.objective.weights(terms, values)
        full = sum(weights[n] * t for n, t in terms.items())
        return {**terms, "full_loss": full}

    def scored(x, y, values):
        x, y = model.check_batch(x, y)
        return graph(tf.convert_to_tensor(x), y, values)

    return scored


def mean_and_error(name, values):
    """Of per-example scores: dict of `name` and `name_se`.

    In float64: a float32 sum of 10,000 losses loses the third digit of an
    error bar.
    """
    values = np.asarray(values, "float64")
    error = values.std(ddof=1) / math.sqrt(len(values))
    return {name: float(values.mean()), f"{name}_se": float(error)}
