"""Keras' `fit`, `evaluate`, `predict` and their like: data in, one sentence
out."""

import contextlib

from yoto_tf.errors import InputError
from yoto_tf.method import asking
from yoto_tf.method import first_batch
from yoto_tf.method import first_rows
from yoto_tf.method import given_data
from yoto_tf.method import replicas
from yoto_tf.method import run_length
from yoto_tf.method import several_workers
from yoto_tf.method.assertions import as_input_errors
from yoto_tf.method.keras_model import KerasModel


class DataModel(KerasModel):
    """A `KerasModel` that is given data, checked before weights change."""

    _scored_names = None

    def check_shapes(self, x):
        """Refuses arrays, tensors or a Dataset that a network cannot take,
        where they tell it before a batch is read. A hook."""

    def fit(self, x=None, y=None, *args, **kwargs):
        with as_input_errors():
            given_data.check_targets(y)
            self._look_at(x, y)
            noted = run_length.noted(self._run_length, (x, y, *args), kwargs)
            given_data.check_sample_weight(noted.get("sample_weight"))
            names = "sample_weight", "class_weight"
            given_data.check_weights_have_targets(x, y, *map(noted.get, names))
            held_out = noted.get("validation_data")
            if isinstance(held_out, tuple) and len(held_out) == 3:
                given_data.check_weights_have_targets(*held_out)
            given_data.check_batches(noted, self.group_size, self.batch_parts)
            if not self.is_adapted:
                noted["x"], first = first_rows.peeked(x)
                self.adapt(
                    first_rows.before_validation(
                        first, noted.get("validation_split")
                    )
                )
            given = [noted.get(n) for n in ("x", "y", "sample_weight")]
            with (
                self._anew("train_function", *given),
                self._run_length.unless_refused(self),
            ):
                return super().fit(**noted)

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        *,
        loss_parameters=None,
        **kwargs,
    ):
        """Scores the model, as `keras.Model.evaluate` does.

        Args:
            x, y: and whatever else `keras.Model.evaluate` takes.
            return_dict: a dict by names, which a list has in
                `metrics_names`.
            loss_parameters: as for `predict`; default: the watched values,
                each under a name of its own (`error_at_l1=0.1`).

        Returns:
            The mean loss, every term and every metric.
        """
        given_data.check_data(x)
        given_data.check_sample_weight(sample_weight)
        given_data.check_weights_have_targets(x, y, sample_weight)
        asking.check_by_name("evaluate(x, y", batch_size)
        if loss_parameters is not None:
            x = asking.wrapped(x, self.loss_parameters, loss_parameters)
        with as_input_errors():
            given_data.check_targets(y)
            self._look_at(x, y)
            with self._anew("test_function", x, y, sample_weight):
                logs = super().evaluate(
                    x,
                    y,
                    batch_size,
                    verbose,
                    sample_weight,
                    steps,
                    callbacks,
                    return_dict=True,
                    **kwargs,
                )
        return self._as_asked(logs, return_dict)

    @contextlib.contextmanager
    def _anew(self, function, *data):
        """Makes a graph anew for data of other ranks than before, for which
        TensorFlow would leave all shapes open; and one that was refused while
        it was made: with the right data it would give nothing, or make no
        variables any more."""
        # XLA compiles for each shape anyway, and has no assertions.
        forms = given_data.forms(*data, exact=self._xla)
        # Data of more or fewer arrays have graphs of their own.
        key = function, forms and len(forms)
        if self._forms.get(key, forms) != forms:
            setattr(self, function, None)
        self._forms[key] = forms
        try:
            with as_input_errors():
                yield
        except InputError:
            setattr(self, function, None)
            raise

    def _as_asked(self, logs, return_dict):
        # Keras would sort a list by the names that metrics had at first.
        self._scored_names = list(logs)
        return logs if return_dict else list(logs.values())

    @property
    def metrics_names(self):
        """What the numbers of the last `evaluate` or `test_on_batch` are."""
        return self._scored_names or self._trackers.names

    def predict(self, x, *args, loss_parameters=None, **kwargs):
        """Runs the network on batches, as `keras.Model.predict` does.

        Args:
            x: and whatever else `keras.Model.predict` takes.
            loss_parameters: dict, name -> number, or with arrays one per
                example. Default: those in the data, where it yields
                `{"inputs": x, "loss_parameters": {...}}`, or each
                parameter's `default`.

        Returns:
            The outputs of `call`, NumPy arrays.

        Raises:
            InputError: for values that were not trained.
        """
        given_data.check_data(x)
        self.check_shapes(x)
        if args:
            asking.check_by_name("predict(x", args[0])
        if loss_parameters is not None:
            x = asking.wrapped(x, self.loss_parameters, loss_parameters)
        with self._anew("predict_function", x):
            return super().predict(x, *args, **kwargs)

    def train_on_batch(self, x, *args, **kwargs):
        with as_input_errors():
            if not self.is_adapted:
                # Before the first step: a later `fit` would do it to a model
                # that has learned already.
                given_data.check_data(x)
                self.adapt(x)
            named = (kwargs.get(n) for n in ("y", "sample_weight"))
            given = (x, *args[:2], *named)
            with self._anew("train_function", *given):
                return super().train_on_batch(x, *args, **kwargs)

    def test_on_batch(
        self,
        x,
        y=None,
        sample_weight=None,
        return_dict=False,
        *,
        loss_parameters=None,
    ):
        asking.check_by_name("test_on_batch(x, y", sample_weight)
        if loss_parameters is not None:
            x = asking.wrapped(x, self.loss_parameters, loss_parameters)
        with self._anew("test_function", x, y, sample_weight):
            logs = super().test_on_batch(x, y, sample_weight, return_dict=True)
        return self._as_asked(logs, return_dict)

    def predict_on_batch(self, x, *, loss_parameters=None):
        if loss_parameters is not None:
            x = asking.wrapped(x, self.loss_parameters, loss_parameters)
        with self._anew("predict_function", x):
            return super().predict_on_batch(x)

    def _look_at(self, x, y):
        """Refuses what is no data, and builds the model, where the data tell
        their shapes, before callbacks read or write its weights."""
        given_data.check_data(x)
        self.check_shapes(x)
        if self.compiled and not self.run_eagerly:
            if self.built and not replicas.has_several(self):
                return
            spec = first_batch.spec_of_data(x, y)
            if spec is not None:
                names = first_batch.build(self, spec)
                if names:
                    # Several replicas must not make variables in a step, and
                    # must not share one: each adds up the global batch.
                    with self.distribute_strategy.scope():
                        self._trackers.prepare(names)
                self._spec, self.built = spec, True
            elif several_workers.are_meant(self.distribute_strategy):
                raise InputError(
                    "expected arrays or a tf.data.Dataset of dense tensors "
                    "for several workers, received: "
                    f"{type(x).__name__}, which does not tell its shapes"
                )
