"""The one input pipeline: uint8 arrays to batches, in a seeded order.

The order of the images and their augmentation are pure functions of the seed
and the epoch, so that a run that is resumed sees what the uninterrupted run
would have seen.
"""

import numpy as np
import tensorflow as tf

from yoto_tf.data import preprocessing
from yoto_tf.errors import InputError


def training_batches(
    images, batch_size, seed=0, first_epoch=0, augmentation="none"
):
    """Endless shuffled batches, epoch after epoch.

    Args:
        images: `(n, size, size, channels)` uint8.
        batch_size: images per batch, n at most. The rest of an epoch that
            does not fill a batch is left out of it.
        seed: of order and augmentation.
        first_epoch: the epoch to begin with.
        augmentation: `"none"` or `"crop_flip"`.

    Returns:
        `(dataset, steps_per_epoch)`; the dataset yields
        `(batch_size, size, size, channels)` uint8.

    Raises:
        InputError: if there are fewer images than `batch_size`, or they are
            not uint8.
    """
    images = _uint8(images)
    num = len(images)
    if not 0 < batch_size <= num:
        raise InputError(
            f"expected a batch_size between 1 and the {num} training images, "
            f"received: batch_size={batch_size}"
        )
    size = images.shape[1]
    source = tf.convert_to_tensor(images)
    if augmentation == "crop_flip":
        source = _enlarged(images)
    steps = num // batch_size

    def epoch_batches(epoch):
        epoch_seed = tf.stack([tf.cast(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(
            tf.range(num), epoch_seed
        )
        order = tf.reshape(order[: steps * batch_size], (steps, batch_size))
        step_seeds = tf.random.split(epoch_seed, steps)
        return tf.data.Dataset.from_tensor_slices((order, step_seeds))

    def batch(indices, step_seed):
        chosen = tf.gather(source, indices)
        if augmentation == "crop_flip":
            chosen = preprocessing.random_crop_and_flip(chosen, size, step_seed)
        return tf.ensure_shape(chosen, (batch_size, *images.shape[1:]))

    dataset = (
        tf.data.Dataset.counter(first_epoch)
        .flat_map(epoch_batches)
        .map(batch, num_parallel_calls=2)
        .prefetch(4)
    )
    return dataset, steps


def evaluation_batches(images, batch_size):
    """All images once, in order; the last batch may be smaller.

    Args:
        images: `(n, size, size, channels)` uint8.
        batch_size: images per batch.

    Raises:
        InputError: if the images are not uint8.
    """
    images = _uint8(images)
    return (
        tf.data.Dataset.from_tensor_slices(tf.convert_to_tensor(images))
        .batch(batch_size)
        .prefetch(2)
    )


def _uint8(images):
    # Here, on the host: a compiled step cannot refuse anything.
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise InputError(
            "expected uint8 images (n, size, size, channels), received: "
            f"{images.dtype} of shape {images.shape}"
        )
    return images


def _enlarged(images):
    parts = [
        preprocessing.enlarge_for_crops(images[i : i + 1000])
        for i in range(0, len(images), 1000)
    ]
    return tf.convert_to_tensor(np.concatenate(parts))
