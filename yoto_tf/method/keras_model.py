"""What Keras does in `__call__` or leaves out, for models with own steps."""

import keras
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.method import asking
from yoto_tf.method import batch_parts as parts
from yoto_tf.method import first_batch
from yoto_tf.method import precision
from yoto_tf.method import replicas
from yoto_tf.method import saving


class KerasModel(saving.Saved):
    """A `keras.Model` that is asked under loss parameters.

    Adds to Keras that `predict` and `evaluate` take loss parameters; that
    layers may build on first use and are rebuilt when the model is loaded;
    that data are checked outside of what XLA compiles; and that what is
    refused in a graph reaches the user as one sentence. The attributes it
    uses are those of `LossConditionalModel`.
    """

    def check_inputs(self, x):
        """Returns inputs as the network uses them, or refuses them.

        The place for `yoto_tf.method.assertions.checked`: with
        `jit_compile=True` XLA drops assertions inside of the step.

        Args:
            x: a batch as given to a call, `fit`, `evaluate` or `predict`.
        """
        return x

    def check_batch(self, x, y):
        """As `check_inputs`, with the targets, or None; returns `(x, y)`."""
        return self.check_inputs(x), y

    @property
    def is_adapted(self):
        """Whether `adapt` has nothing to do any more."""
        return True

    def adapt(self, x):
        """Learns what is worked out from data before training, as
        `keras.layers.Normalization.adapt` does; `fit` calls it with its
        first examples, `train_on_batch` with its first batch, once. By
        default there is nothing to learn.

        Args:
            x: inputs, as for `fit`.
        """

    # Calls.

    def __call__(self, x, loss_parameters=None, **kwargs):
        if loss_parameters is None:
            x, loss_parameters = asking.unwrapped(x)
        given = x
        x = self.check_inputs(x)
        values = asking.values_for(x, self.loss_parameters, loss_parameters)
        outputs = self.run(
            x, precision.widened(values, self.loss_dtype), **kwargs
        )
        self._note_batch(given, None)
        return outputs

    def run(self, x, loss_parameters, **kwargs):
        """Calls the network on what is checked: `call`, with outputs in
        float32 or more.

        Args:
            x: a batch, as `check_inputs` returns it.
            loss_parameters: dict, name -> `(batch,)` float32, or float64
                of a model of that; all names.
            **kwargs: of `call`.
        """
        # Keras would first try the call on symbols, and warn of layers that
        # are used in training or in the loss alone. Variables of several
        # replicas can be made in that way alone.
        before = self.built
        self.built = before or (
            getattr(self.build, "_is_default", False)
            and not replicas.has_several(self)
        )
        try:
            with precision.dtype_errors(self.dtype_policy):
                outputs = super().__call__(x, loss_parameters, **kwargs)
        except Exception:
            self.built = before
            raise
        if self._run_spec is None:
            self._run_spec = first_batch.spec_of((x, None))
        return precision.widened(outputs, self.loss_dtype)

    # Steps, compiled or not.

    _xla = False
    _batch_parts = 1

    @property
    def batch_parts(self):
        """Parts of a batch that a train step computes at once. Not saved:
        it is of the processor, not of the model."""
        return self._batch_parts

    @batch_parts.setter
    def batch_parts(self, num_parts):
        parts.check(num_parts, self, self._xla)
        self._batch_parts, self.train_function = num_parts, None

    @property
    def metrics(self):
        # Only ours: Keras would add a `loss` of its own that stays 0.
        return self._trackers.all

    def compile(
        self,
        optimizer="adam",
        *,
        metrics=None,
        weighted_metrics=None,
        jit_compile=False,
        batch_parts=1,
        **kwargs,
    ):
        """Configures training, as `keras.Model.compile` does.

        Args:
            optimizer: a Keras optimizer or its name.
            metrics, weighted_metrics: of outputs against y, scored in
                `evaluate` and validation at every watched value
                (`accuracy_at_miss=4`), never over random draws.
            jit_compile: compile the step with XLA.
            batch_parts: compute a batch of `fit` in so many parts at once,
                each of which sees its own examples alone (as
                `BatchNormalization` does). The result is the same but for
                rounding. It is faster on a processor of as many cores where
                operations have one thread each
                (`tf.config.threading.set_intra_op_parallelism_threads(1)`).
            **kwargs: `run_eagerly`, `steps_per_execution`,
                `auto_scale_loss`.

        Raises:
            InputError: for a `loss` or `loss_weights`: the terms come from
                `loss_terms`, the weights from the constructor; and for
                `batch_parts` that the model cannot have.
        """
        for name in ("loss", "loss_weights"):
            if kwargs.get(name) is not None:
                raise InputError(
                    "expected the loss terms from loss_terms() and their "
                    "weights from the constructor, received: "
                    f"compile({name}=...)"
                )
        parts.check(batch_parts, self, jit_compile)
        before = getattr(self, "optimizer", None)
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        if before is not None and before is not self.optimizer:
            self._run_length.leave(before)
        self._batch_parts = batch_parts
        # Keras would compile the whole step, checks and random draws too.
        self._xla, self.jit_compile = self.jit_compile, False
        scored = {"metrics": metrics, "weighted_metrics": weighted_metrics}
        self._trackers.compile(getattr(self, "output_names", None), **scored)
        given = {**scored, **kwargs}
        self._compile_arguments = {
            "optimizer": self.optimizer,
            "jit_compile": jit_compile,
            **{k: v for k, v in given.items() if v is not None},
        }

    def get_compile_config(self):
        if not self.compiled:
            return None
        return {
            k: keras.saving.serialize_keras_object(v)
            for k, v in self._compile_arguments.items()
        }

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            # So that the optimizer's state can be loaded next.
            self.optimizer.build(self.trainable_variables)

    def _compiled(self, function):
        """The part of a step that XLA compiles, if `compile` asked for it.

        It updates no variables, so that `tf.distribute` may merge outside.
        """
        if not self._xla or self.run_eagerly:
            return function
        # Not converted, as Keras does not convert the step itself: errors
        # stay what they are.
        return tf.function(
            function, jit_compile=True, reduce_retracing=True, autograph=False
        )
