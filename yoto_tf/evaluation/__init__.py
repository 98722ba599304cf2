"""Scores on a fixed grid: Pareto front, hypervolume, regret."""

from yoto_tf.evaluation.pareto import hypervolume
from yoto_tf.evaluation.pareto import pareto_front
from yoto_tf.evaluation.regret import mean_regret
from yoto_tf.evaluation.sweep import sweep

__all__ = [
    "hypervolume",
    "mean_regret",
    "pareto_front",
    "sweep",
]
