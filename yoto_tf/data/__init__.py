"""Images: from TFDS or a folder to a `tf.data` pipeline of uint8 batches."""

from yoto_tf.data.pipeline import evaluation_batches
from yoto_tf.data.pipeline import training_batches
from yoto_tf.data.splits import ImageSplits
from yoto_tf.data.splits import load_images

__all__ = [
    "ImageSplits",
    "evaluation_batches",
    "load_images",
    "training_batches",
]
