"""Layers: conditioning on loss parameters."""

# Refuses another backend, before Keras is imported.
import yoto_tf.keras_backend  # noqa: F401

# isort: split
from yoto_tf.layers.base import ConditioningLayer
from yoto_tf.layers.conditioning import Concatenation
from yoto_tf.layers.conditioning import FiLM
from yoto_tf.layers.conditioning import Gate
from yoto_tf.layers.conditioning import SigmoidFiLM
from yoto_tf.layers.spline import SplineFiLM

__all__ = [
    "Concatenation",
    "ConditioningLayer",
    "FiLM",
    "Gate",
    "SigmoidFiLM",
    "SplineFiLM",
]
