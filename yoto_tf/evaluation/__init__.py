"""Scores on a fixed grid of betas: curve, Pareto front, hypervolume."""

from yoto_tf.evaluation.pareto import hypervolume
from yoto_tf.evaluation.pareto import pareto_front
from yoto_tf.evaluation.rate_distortion import CurvePoint
from yoto_tf.evaluation.rate_distortion import rate_distortion_curve

__all__ = [
    "CurvePoint",
    "hypervolume",
    "pareto_front",
    "rate_distortion_curve",
]
