"""Scores on a fixed grid: curve, Pareto front, hypervolume, regret."""

from yoto_tf.evaluation.pareto import hypervolume
from yoto_tf.evaluation.pareto import pareto_front
from yoto_tf.evaluation.rate_distortion import rate_distortion_curve
from yoto_tf.evaluation.regret import mean_regret
from yoto_tf.evaluation.sweep import sweep

__all__ = [
    "hypervolume",
    "mean_regret",
    "pareto_front",
    "rate_distortion_curve",
    "sweep",
]
