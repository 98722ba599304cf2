"""The way around what Keras cannot do on several replicas.

Keras 3.15 fails in `fit` and `evaluate` under
`tf.distribute.MultiWorkerMirroredStrategy` (keras-team/keras#20585, open), in
two places of `keras/src/backend/tensorflow/trainer.py`: it builds a model of
a batch that it has averaged over workers as if that were one tensor (of the
devices of one machine, too, and fails where their parts differ in size); and
it averages logs, which are scalars, over their first axis. And under any
strategy of several replicas its loop of `steps_per_execution` asks for
placeholders that nobody feeds. A test compares these places with those that
this file was written for.
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


class Replicated(keras.Model):
    """A `keras.Model` that several workers build before `fit`, from what the
    data say of themselves, and not from a batch; with a loop of its own over
    the steps of one execution."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        strategy = self.distribute_strategy
        several = strategy.num_replicas_in_sync > 1
        if not (are_meant(strategy) or (several and self.built)):
            super()._maybe_symbolic_build(iterator, data_batch)
        elif self.compiled and not self.optimizer.built:
            # Several devices must not make variables in a step.
            with strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def make_train_function(self, force=False):
        if not self._loops_itself():
            return super().make_train_function(force)
        if self.train_function is None or force:
            # Terms of several examples exchange their rows, whose number
            # TensorFlow expects to be the same in all steps of a graph.
            self.train_function = (
                self._steps_of_one_graph()
                if self.group_size == 1
                else self._steps_until_the_end(self.train_step)
            )
        return self.train_function

    def make_test_function(self, force=False):
        if not self._loops_itself():
            return super().make_test_function(force)
        if self.test_function is None or force:
            self.test_function = self._steps_until_the_end(self.test_step)
        return self.test_function

    def _loops_itself(self):
        return (
            self.steps_per_execution > 1
            and not self.run_eagerly
            and self.distribute_strategy.num_replicas_in_sync > 1
        )

    def _one_step(self, step):
        strategy = self.distribute_strategy

        # Traced once, however often it stands in a loop.
        @tf.function(autograph=False, reduce_retracing=True)
        def one_step(data):
            # Logs are those of the global batch, on every replica.
            return keras.tree.map_structure(
                lambda v: strategy.experimental_local_results(v)[0],
                strategy.run(step, args=(data,)),
            )

        return one_step

    def _steps_of_one_graph(self):
        """Of data without an end."""
        one_step = self._one_step(self.train_step)

        @tf.function(autograph=False)
        def steps(iterator):
            return tf.while_loop(
                lambda index, _: index < self.steps_per_execution,
                lambda index, _: (index + 1, one_step(next(iterator))),
                (1, one_step(next(iterator))),
            )[1]

        return steps

    def _steps_until_the_end(self, step):
        """A graph each, of data whose end may come at any step."""
        one_step = self._one_step(step)

        def steps(iterator):
            values = None
            for _ in range(self.steps_per_execution):
                try:
                    # Not in the graph: a step without data could draw.
                    values = one_step(next(iterator))
                except (tf.errors.OutOfRangeError, StopIteration):
                    if values is None:
                        raise
                    break
            return values

        return steps


def logs(values):
    """What a step returns, so that Keras can average it over workers.

    Args:
        values: dict, name -> scalar.
    """
    if not are_meant(tf.distribute.get_strategy()):
        return values
    return {n: tf.reshape(v, (1,)) for n, v in values.items()}
