"""What of a loss-conditional model is served."""

from yoto_tf.errors import InputError
from yoto_tf.method import exporting


class Served:
    """The part of a `LossConditionalModel` that `export` writes; its attributes
    are that one's."""

    def served_inputs(self, x):
        """What of a batch of `fit` are the inputs that `export` serves."""
        return x

    def served_outputs(self, x, loss_parameters):
        """What `export` serves: a pure function of its inputs.

        Args:
            x: a batch of inputs.
            loss_parameters: dict, name -> `(batch,)`.
        """
        return self(x, loss_parameters, training=False)

    def served_shapes(self, arrays):
        """Shapes of the inputs that `export` serves, where other examples
        may have others.

        Args:
            arrays: dict, name of an input -> array of rows.

        Returns:
            dict, name -> shape, None for an axis of any length.
        """
        return {n: (None, *a.shape[1:]) for n, a in arrays.items()}

    def usable_rows(self, x):
        """Which rows of served inputs can be answered, bool `(batch,)`; None:
        all. Others fail their request, or are flagged, and so are rows with
        NaN, but of inputs whose example has some."""
        return None

    def export(
        self,
        filepath,
        format="tf_saved_model",
        verbose=None,
        input_signature=None,
        *,
        example=None,
    ):
        """Writes a SavedModel whose signatures take the loss parameters.

        `predict` (also `serving_default`) takes the inputs, by the names of
        their dict or as `inputs`, and a float32 `(batch,)` for each
        parameter; `loss_parameters` (of any `rows`) says what they are. Both
        are compared with the model in TensorFlow's C++ session before the
        version is at its path. A model of mixed precision is served as it
        computes, compared to 16 roundings of its dtype.

        Args:
            filepath: of the version, as `"models/alarms/1"`; must be new.
            format, input_signature: Keras', of which no other format is
                written, and the inputs are those of the example.
            verbose: print the path, once it is there.
            example: a few inputs, rows that differ, to compare with;
                default: of the first batch of `fit`, which no file keeps.

        Returns:
            list of `yoto_tf.verification.Difference`.

        Raises:
            InputError: without an example on a model that was not trained
                since it was made or loaded, for one of equal rows, for a path
                that is there or is no folder's, for another format, for an
                `input_signature`, or for operations that TensorFlow does not
                have on CPU in the dtype.
            VerificationError: if the graph does not run, or answers otherwise
                than the model.
            SaveError: if the disk does not take it. Nothing is left at the
                path, whatever is raised.
        """
        if input_signature is not None:
            raise InputError(
                "expected example=, a few inputs of which the signature is "
                f"made, received: input_signature={input_signature!r}"
            )
        if example is None:
            example = self.first_inputs
        return exporting.export(self, filepath, example, format, verbose)
