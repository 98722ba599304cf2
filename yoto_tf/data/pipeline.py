"""The one input pipeline: arrays to batches, in a seeded order.

The order of the examples and their augmentation are pure functions of the
seed and the epoch, so that a run that is resumed sees what the uninterrupted
run would have seen.
"""

import numpy as np
import tensorflow as tf

from yoto_tf.data import preprocessing
from yoto_tf.errors import InputError
from yoto_tf.examples import Examples
from yoto_tf.examples import arrays_of


def training_batches(
    examples, batch_size, seed=0, first_epoch=0, augmentation="none"
):
    """Endless shuffled batches, epoch after epoch.

    Args:
        examples: images, `(n, size, size, channels)` uint8, or `Examples`.
        batch_size: examples per batch, n at most. The rest of an epoch that
            does not fill a batch is left out of it.
        seed: of order and augmentation.
        first_epoch: the epoch to begin with.
        augmentation: of images: `"none"` or `"crop_flip"`.

    Returns:
        `(dataset, steps_per_epoch)`; the dataset yields batches of images,
        or of what `fit` takes of `Examples`.

    Raises:
        InputError: if there are fewer examples than `batch_size`, or images
            that are not uint8.
    """
    arrays = _arrays(examples)
    num = len(arrays[0])
    if not 0 < batch_size <= num:
        raise InputError(
            f"expected a batch_size between 1 and the {num} training "
            f"examples, received: batch_size={batch_size}"
        )
    size = arrays[0].shape[1]
    sources = [tf.convert_to_tensor(a) for a in arrays]
    if augmentation == "crop_flip":
        sources = [_enlarged(arrays[0])]
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
        chosen = [tf.gather(source, indices) for source in sources]
        if augmentation == "crop_flip":
            chosen = [
                preprocessing.random_crop_and_flip(*chosen, size, step_seed)
            ]
        return _batch(
            tf.ensure_shape(c, (batch_size, *a.shape[1:]))
            for c, a in zip(chosen, arrays, strict=True)
        )

    dataset = (
        tf.data.Dataset.counter(first_epoch)
        .flat_map(epoch_batches)
        .map(batch, num_parallel_calls=2)
        .prefetch(4)
    )
    return dataset, steps


def on_gpu(batches, num):
    """Copies batches to the first GPU before a step asks for them.

    Args:
        batches: `tf.data.Dataset`.
        num: how many lie there; 0: a step copies its own.

    Returns:
        The dataset; the same where there is no GPU.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if not gpus or not num:
        return batches
    return batches.apply(
        tf.data.experimental.prefetch_to_device(gpus[0].name, num)
    )


def evaluation_batches(examples, batch_size):
    """All examples once, in order; the last batch may be smaller.

    Args:
        examples, batch_size: as of `training_batches`.

    Raises:
        InputError: for images that are not uint8.
    """
    tensors = _batch(tf.convert_to_tensor(a) for a in _arrays(examples))
    return (
        tf.data.Dataset.from_tensor_slices(tensors)
        .batch(batch_size)
        .prefetch(2)
    )


def _arrays(examples):
    arrays = arrays_of(examples)
    # Here, on the host: a compiled step cannot refuse anything.
    if not isinstance(examples, Examples) and (
        arrays[0].dtype != np.uint8 or arrays[0].ndim != 4
    ):
        raise InputError(
            "expected uint8 images (n, size, size, channels), received: "
            f"{arrays[0].dtype} of shape {arrays[0].shape}"
        )
    return arrays


def _batch(tensors):
    """What `fit` takes: inputs, or inputs and targets."""
    tensors = tuple(tensors)
    return tensors if len(tensors) > 1 else tensors[0]


def _enlarged(images):
    parts = [
        preprocessing.enlarge_for_crops(images[i : i + 1000])
        for i in range(0, len(images), 1000)
    ]
    return tf.convert_to_tensor(np.concatenate(parts))
