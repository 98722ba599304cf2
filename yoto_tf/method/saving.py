"""Files of a model whose layers may be built on first use."""

import contextlib
import re

import keras

from yoto_tf.errors import InputError
from yoto_tf.method import first_batch
from yoto_tf.method import several_workers


class Saved(several_workers.Replicated):
    """A `keras.Model` whose weights a load finds again: it is rebuilt from
    what is known of the batches that it was given."""

    _spec = None
    _run_spec = None  # of a loop of one's own that calls `run` alone

    def _note_batch(self, x, y):
        if self._spec is None or y is not None:
            self._spec = first_batch.spec_of((x, y))
        self.built = True

    def get_build_config(self):
        spec = self._spec or self._run_spec
        if spec is None:
            return super().get_build_config()
        return {"batch": spec}

    def build_from_config(self, config):
        if "batch" not in config:
            super().build_from_config(config)
            return
        self._spec = config["batch"]
        first_batch.build(self, self._spec)

    def save_own_variables(self, store):
        if self.compiled and self.built and not self.optimizer.built:
            # A model that is loaded expects its variables.
            self.optimizer.build(self.trainable_variables)
        super().save_own_variables(store)
        first_batch.save_weight_count(self, store)

    def load_own_variables(self, store):
        super().load_own_variables(first_batch.load_weight_count(self, store))

    def load_weights(self, filepath, *args, **kwargs):
        """Loads weights, as `keras.Model.load_weights` does, or none.

        Raises:
            InputError: for a file of a model with other weights, or trained
                for other values of the loss parameters.
        """
        variables = list(self.variables)
        if self.compiled:
            variables += self.optimizer.variables
        before = [(v, v.numpy()) for v in variables]
        length = self._run_length.state
        try:
            super().load_weights(filepath, *args, **kwargs)
        except Exception as error:
            # Keras goes on with what fits.
            for variable, value in before:
                variable.assign(value)
            self._run_length.state = length
            ours = re.search("^expected .*", str(error), re.MULTILINE)
            if ours is None:
                raise
            raise InputError(ours[0]) from error

    def save(self, filepath, *args, zipped=None, **kwargs):
        """Saves the model, as `keras.Model.save` does, as a `.keras` file.

        Args:
            filepath: ends in `.keras`.
            *args, zipped, **kwargs: of `keras.Model.save`.

        Raises:
            InputError: for a path of another kind (the HDF5 files of old,
                `.h5`, cannot be loaded again as such a model), and for
                layers of a `quantize` that no configuration knows of.
        """
        path = str(filepath)
        if zipped is not False and not path.startswith("hf://"):
            if not path.endswith(".keras"):
                raise InputError(
                    "expected a path that ends in .keras, which keeps all of "
                    f"the model, received: filepath={path!r}"
                )
        self._check_quantized()
        super().save(filepath, *args, zipped=zipped, **kwargs)

    def _check_quantized(self):
        """Refuses layers that a load would make as they were before
        `quantize`: those that a layer or a model makes for itself."""
        layers = [
            layer.path
            for layer in self._flatten_layers(include_self=False)
            if getattr(layer, "quantization_mode", None)
        ]
        if not layers:
            return
        # Classes that are no Keras serializables are given to a load alone.
        with contextlib.suppress(TypeError):
            loaded = keras.saving.deserialize_keras_object(
                keras.saving.serialize_keras_object(self)
            )
            if len(loaded.weights) != len(self.weights):
                raise InputError(
                    "expected quantized layers whose model's configuration "
                    "says so, as that of condition(net) does of the layers "
                    "of net (quantize() leaves out what its filters say; "
                    f"export() takes all), received: {', '.join(layers[-2:])}"
                )
