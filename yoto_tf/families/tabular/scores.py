"""Scores of a table's models, in NumPy."""

import math

import numpy as np

from yoto_tf.evaluation.sweep import mean_and_error


def classification(y, logit, miss, false_alarm, threshold=0.0):
    """Scores of alarms at one cost.

    Args:
        y: `(n,)`, 1 for the positive class, else 0.
        logit: `(n,)`, of the model's answer for these costs.
        miss, false_alarm: what one costs.
        threshold: of the logit, above which there is an alarm.

    Returns:
        dict: `expected_cost` per row, `miss_rate` of the positive rows,
        `false_alarm_rate` of the others, `auc` of the logit, `cross_entropy`
        weighted by the costs; and errors `NAME_se` of the first and the last.
    """
    y = np.asarray(y) > 0.5
    logit = np.asarray(logit, "float64")
    alarm = logit > threshold
    cost = miss * (y & ~alarm) + false_alarm * (~y & alarm)
    loss = np.where(
        y,
        miss * np.logaddexp(0, -logit),
        false_alarm * np.logaddexp(0, logit),
    )
    return {
        **mean_and_error("expected_cost", cost),
        "miss_rate": float((~alarm[y]).mean()),
        "false_alarm_rate": float(alarm[~y].mean()),
        "auc": area_under_curve(y, logit),
        **mean_and_error("full_loss", loss),
    }


def area_under_curve(y, logit):
    """The share of pairs of a positive and another row in which the positive
    one has the larger logit; equal ones count half (the Mann-Whitney
    statistic, which is the area under the ROC curve)."""
    _, place, counts = np.unique(logit, return_inverse=True, return_counts=True)
    # Ranks from 1; of equal logits their mean.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positives = y.sum()
    above = ranks[y].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (~y).sum()))


def best_threshold(y, logit, miss, false_alarm):
    """The threshold of the logit at which alarms cost least.

    Args:
        y, logit, miss, false_alarm: as of `classification`.

    Returns:
        The middle between two neighbouring logits, or infinity on either
        side; of several equally good ones the one nearest to 0.
    """
    order = np.argsort(logit, kind="stable")
    y, logit = np.asarray(y)[order] > 0.5, np.asarray(logit, "float64")[order]
    # With the first i rows silent and the others alarms.
    missed = np.concatenate([[0], np.cumsum(y)])
    alarms = (~y).sum() - np.concatenate([[0], np.cumsum(~y)])
    costs = miss * missed + false_alarm * alarms
    ends = np.concatenate([[-np.inf], logit, [np.inf]])
    # Equal logits cannot be parted.
    possible = ends[1:] > ends[:-1]
    middles = np.concatenate(
        [[-np.inf], (logit[1:] + logit[:-1]) / 2, [np.inf]]
    )
    best = possible & (costs == costs[possible].min())
    return float(min(middles[best], key=abs))


def quantile(y, answer, level, lower=None):
    """Scores of one level.

    Args:
        y: `(n,)` targets.
        answer: `(n,)` quantiles.
        level: in (0, 1).
        lower: `(n,)`, answers for the next lower level, if there is one.

    Returns:
        dict: `pinball` (and `full_loss`, the same), `under` and `over`, the
        mean amounts by which the target lies above and below the answer,
        `coverage`, the share of targets at or below it, and `crossings`, the
        share of rows whose answer is below that for the next lower level,
        NaN if there is none;
        errors `NAME_se` of all means.
    """
    y, answer = np.asarray(y, "float64"), np.asarray(answer, "float64")
    under, over = np.maximum(y - answer, 0), np.maximum(answer - y, 0)
    loss = level * under + (1 - level) * over
    crossed = math.nan if lower is None else np.mean(answer < lower)
    return {
        **mean_and_error("pinball", loss),
        **mean_and_error("under", under),
        **mean_and_error("over", over),
        **mean_and_error("coverage", y <= answer),
        "crossings": float(crossed),
        **mean_and_error("full_loss", loss),
    }
