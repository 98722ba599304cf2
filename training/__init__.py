"""Fit scripts: train, evaluate, plot, measure."""

from yoto_tf import extras

extras.require(
    "training",
    "tyro",
    "matplotlib",
    "tensorboard",
    "keras_tuner",
    "sklearn",
    "pebble",
    "pandas",
    "rich",
)
