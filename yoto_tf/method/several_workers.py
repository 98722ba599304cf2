"""The way around what Keras cannot do under several workers.

Keras 3.15 fails in `fit` and `evaluate` under
`tf.distribute.MultiWorkerMirroredStrategy` (keras-team/keras#20585, open), in
two places of `keras/src/backend/tensorflow/trainer.py`: it builds a model of
a batch that it has averaged over workers as if that were one tensor; and it
averages logs, which are scalars, over their first axis. A test compares these
places with those that this file was written for.
"""

import keras
import tensorflow as tf


def are_meant(strategy):
    """Whether a `tf.distribute.Strategy` is one of several processes."""
    return (
        isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        # As Keras asks.
        and strategy.extended._in_multi_worker_mode()
    )


class BuiltBefore(keras.Model):
    """A `keras.Model` that several workers build before `fit`, from what the
    data say of themselves, and not from a batch."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if not are_meant(self.distribute_strategy):
            super()._maybe_symbolic_build(iterator, data_batch)


def logs(values):
    """What a step returns, so that Keras can average it over workers.

    Args:
        values: dict, name -> scalar.
    """
    if not are_meant(tf.distribute.get_strategy()):
        return values
    return {n: tf.reshape(v, (1,)) for n, v in values.items()}
