"""What Keras does in `__call__` or leaves out, for models with own steps."""

import keras
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.models import first_batch
from yoto_tf.models.assertions import as_input_errors


class StepModel(keras.Model):
    """A `keras.Model` whose train and test steps do not call it.

    Adds to Keras that its layers may build on first use and are rebuilt when
    it is loaded; that data are checked outside of what XLA compiles; and
    that what is refused in a graph reaches the user as one sentence.
    """

    def check_batch(self, x, y):
        """Returns a batch as the steps use it, or refuses it.

        The place for `yoto_tf.models.assertions.checked`: with
        `jit_compile=True` XLA drops assertions inside of the step.

        Args:
            x, y: a batch as given to `fit`; y is None if there is none.

        Returns:
            `(x, y)`.
        """
        return x, y

    # Steps, compiled or not.

    _xla = False

    def compile(self, optimizer="adam", *, jit_compile=False, **kwargs):
        """Configures training, as `keras.Model.compile` does.

        Args:
            optimizer: a Keras optimizer or its name.
            jit_compile: compile the step with XLA.
            **kwargs: `run_eagerly`, `steps_per_execution`,
                `auto_scale_loss`.

        Raises:
            InputError: for a `loss`, `metrics` or `loss_weights`: the terms
                come from `loss_terms`, the weights from the constructor.
        """
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if kwargs.get(name) is not None:
                raise InputError(
                    "expected the loss terms from loss_terms() and their "
                    "weights from the constructor, received: "
                    f"compile({name}=...)"
                )
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        # Keras would compile the whole step, checks and random draws too.
        self._xla, self.jit_compile = self.jit_compile, False
        self._compile_arguments = {
            "optimizer": self.optimizer,
            "jit_compile": jit_compile,
            **{k: v for k, v in kwargs.items() if v is not None},
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
        return tf.function(function, jit_compile=True, reduce_retracing=True)

    # Data in, one sentence out.

    def fit(self, x=None, y=None, *args, **kwargs):
        with as_input_errors():
            self._look_at(x, y)
            return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        with as_input_errors():
            self._look_at(x, y)
            return super().evaluate(x, y, *args, **kwargs)

    def predict(self, *args, **kwargs):
        with as_input_errors():
            return super().predict(*args, **kwargs)

    def train_on_batch(self, *args, **kwargs):
        with as_input_errors():
            return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args, **kwargs):
        with as_input_errors():
            return super().test_on_batch(*args, **kwargs)

    def predict_on_batch(self, x):
        with as_input_errors():
            return super().predict_on_batch(x)

    def _look_at(self, x, y):
        """Refuses what is no data, and builds the model, where the data tell
        their shapes, before callbacks read or write its weights."""
        leaves = keras.tree.flatten(x)
        if any(isinstance(leaf, int | float | str) for leaf in leaves):
            raise InputError(
                "expected arrays or tensors, received: lists of "
                f"{type(leaves[0]).__name__}; numpy.asarray makes an array"
            )
        if any(getattr(leaf, "shape", ())[:1] == (0,) for leaf in leaves):
            raise InputError("expected one or more examples, received: none")
        if not self.built and self.compiled and not self.run_eagerly:
            spec = first_batch.spec_of_data(x, y)
            if spec is not None:
                first_batch.build(self, spec)
                self._spec, self.built = spec, True

    def export(self, *args, **kwargs):
        """Refused: Keras would export `call` alone, unchecked.

        Raises:
            InputError: always.
        """
        raise InputError(
            "expected export.saved_model.export_model(model, ...), or "
            "`python -m export.saved_model RUN` for a run, which serve the "
            "loss weights as inputs, received: model.export()"
        )

    # Weights that a load finds again.

    _spec = None

    def _note_batch(self, x, y):
        if self._spec is None:
            self._spec = first_batch.spec_of((x, y))
        self.built = True

    def get_build_config(self):
        config = super().get_build_config()
        if self._spec is None:
            return config
        return {**(config or {}), "batch": self._spec}

    def build_from_config(self, config):
        config = dict(config)
        self._spec = config.pop("batch", None)
        if config:
            super().build_from_config(config)
        if self._spec is not None:
            first_batch.build(self, self._spec)

    def save_own_variables(self, store):
        super().save_own_variables(store)
        first_batch.save_weight_count(self, store)

    def load_own_variables(self, store):
        super().load_own_variables(first_batch.load_weight_count(self, store))
