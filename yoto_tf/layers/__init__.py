"""Layers: conditioning on loss weights, and the posterior's sampling."""

from yoto_tf.layers.conditioning import Concatenation
from yoto_tf.layers.conditioning import ConditioningLayer
from yoto_tf.layers.conditioning import FiLM
from yoto_tf.layers.conditioning import Gate
from yoto_tf.layers.conditioning import SigmoidFiLM
from yoto_tf.layers.posterior import GaussianPosterior
from yoto_tf.layers.spline import SplineFiLM

__all__ = [
    "Concatenation",
    "ConditioningLayer",
    "FiLM",
    "Gate",
    "GaussianPosterior",
    "SigmoidFiLM",
    "SplineFiLM",
]
