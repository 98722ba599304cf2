"""Data: from where they lie to arrays in three parts and `tf.data` batches."""

from yoto_tf.data.pipeline import evaluation_batches
from yoto_tf.data.pipeline import on_gpu
from yoto_tf.data.pipeline import training_batches
from yoto_tf.data.splits import load_images
from yoto_tf.examples import Examples
from yoto_tf.examples import Splits

__all__ = [
    "Examples",
    "Splits",
    "evaluation_batches",
    "load_images",
    "on_gpu",
    "training_batches",
]
