"""The terms of a loss as functions, or as Keras' losses by their names."""

import inspect

import keras
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method import graph
from yoto_tf.method.assertions import checked
from yoto_tf.method.assertions import of_one_shape_under_xla
from yoto_tf.method.objective import check_terms


class Terms:
    """Computes terms from their functions.

    Args:
        given: dict, name -> `f(x, y, outputs, loss_parameters)`, a Keras loss
            of `(y, outputs)` or the name of one.

    Raises:
        InputError: for something else.
    """

    def __init__(self, given):
        if not isinstance(given, dict) or not given:
            raise InputError(
                "expected terms as a dict, name -> function or Keras loss, "
                f"received: terms={given!r}"
            )
        self.given = dict(given)
        self._functions = {n: _function(n, t) for n, t in given.items()}
        self._checked = False

    def __call__(self, x, y, outputs, loss_parameters):
        """Returns dict, name -> `(batch,)`; see
        `LossConditionalModel.loss_terms`."""

        terms = {
            n: f(x, y, outputs, loss_parameters)
            for n, f in self._functions.items()
        }
        if not self._checked:
            check_terms(terms, tf.nest.flatten(x)[0].shape[0])
            self._check_gradients(x, y, outputs, loss_parameters)
            self._checked = True
        return terms

    def _check_gradients(self, x, y, outputs, loss_parameters):
        """Refuses a term that no weight of the network could change."""
        # Gradients of the softmax before the outputs are not theirs: Keras'
        # cross entropies look for it, but not behind a sum.
        outputs = tf.nest.map_structure(
            lambda t: (
                graph.with_mask_of(t + tf.zeros_like(t), t)
                if t.dtype.is_floating
                else t
            ),
            outputs,
        )
        floats = [t for t in tf.nest.flatten(outputs) if t.dtype.is_floating]
        for name, function in self._functions.items():
            with tf.GradientTape() as tape:
                tape.watch(floats)
                term = function(x, y, outputs, loss_parameters)
            if all(g is None for g in tape.gradient(term, floats)):
                raise InputError(
                    "expected every term to depend on the outputs, and to "
                    f"have a gradient, received: {name!r} without one"
                )

    def get_config(self):
        """dict, name -> what Keras can save.

        Raises:
            InputError: for a function that it would not find again.
        """
        return {n: _serialized(n, t) for n, t in self.given.items()}

    @classmethod
    def from_config(cls, config):
        return cls(
            {
                n: t
                if isinstance(t, str)
                else keras.saving.deserialize_keras_object(t)
                for n, t in config.items()
            }
        )


def _function(name, term):
    if not isinstance(name, str) or name in ("", "loss"):
        raise InputError(
            "expected names of terms, 'loss' being that of their sum, "
            f"received: {name!r}"
        )
    loss = term
    if isinstance(term, str):
        try:
            loss = keras.losses.get(term)
        except ValueError as error:
            raise InputError(
                "expected the name of a Keras loss, as 'mse', received: "
                f"terms[{name!r}]={term!r}"
            ) from error
    if isinstance(loss, keras.Loss) or _is_keras_function(loss):
        return lambda x, y, outputs, _: per_example(loss, y, outputs, name)
    # A metric's arguments are not named, and would be any four.
    if isinstance(term, keras.metrics.Metric) or not _takes_four(term):
        raise InputError(
            "expected f(x, y, outputs, loss_parameters) -> (batch,), or a "
            f"Keras loss, received: terms[{name!r}]={term!r}"
        )
    return term


def _takes_four(term):
    """Whether it is meant to be called with four arguments: a class makes an
    instance of them, and `f(y_true, y_pred, delta=1.0, weight=1.0)` takes the
    outputs for a delta."""
    if inspect.isclass(term):
        return False
    try:
        signature = inspect.signature(term)
        signature.bind(*[None] * 4)
    except (TypeError, ValueError):
        return False
    four = list(signature.parameters.values())[:4]
    return all(p.default is p.empty for p in four)


def _is_keras_function(loss):
    return inspect.isfunction(loss) and _is_of_keras(loss)


def _is_of_keras(known):
    # What `exec` made has no module.
    return (known.__module__ or "").startswith("keras.")


def per_example(loss, y, outputs, name="the loss"):
    """A Keras loss without its reduction, one number per example.

    Every axis but the first is averaged, over what the masks of the outputs
    and of the loss (`ignore_class`) leave, if they have one.

    Args:
        loss: a `keras.Loss`, or a function of Keras as
            `keras.losses.mean_squared_error`.
        y, outputs: tensors, `(batch, ...)`; outputs `(batch,)` are taken as
            `(batch, 1)`.
        name: of the term, for messages.

    Returns:
        `(batch,)`.

    Raises:
        InputError: without targets, for several outputs, and for targets
            whose last axis is another.
    """
    if y is None or not hasattr(outputs, "shape") or not hasattr(y, "shape"):
        received = "no targets" if y is None else "several"
        raise InputError(
            f"expected one tensor of targets and one of outputs for {name}="
            f"{loss!r} (of several, f(x, y, outputs, loss_parameters) takes "
            f"what it scores), received: {received}"
        )
    masks = [graph.mask_of(outputs)]
    if tf.TensorShape(y.shape).rank is None:
        raise InputError(
            f"expected targets of one rank in all calls for {name}, received: "
            "another than before, of which a graph is left; compile() anew "
            "forgets it"
        )
    if len(outputs.shape) == 1:
        outputs = ops.expand_dims(outputs, -1)
    if len(y.shape) == 1:
        y = ops.expand_dims(y, -1)
    kind = getattr(loss, "__name__", type(loss).__name__).lower()
    # Targets of these are labels, in a shape of their own.
    labels = "sparse" in kind or "generalized" in kind or kind == "ctc"
    if "generalized" in kind and len(y.shape) == len(outputs.shape):
        # It makes them one-hot as they are, and would broadcast.
        y = ops.squeeze(y, -1)
    if not labels and _broadcasts(y.shape, outputs.shape):
        raise InputError(
            f"expected targets of the shape of the outputs for {name}, "
            f"received: y.shape={tuple(y.shape)} and outputs.shape="
            f"{tuple(outputs.shape)}"
        )
    if not labels and len(y.shape) != len(outputs.shape):
        # As a `keras.Loss` does; some of its functions broadcast.
        if len(y.shape) < len(outputs.shape):
            y = ops.expand_dims(y, -1)
        else:
            outputs = ops.expand_dims(outputs, -1)
    if not labels:
        y = _of_one_shape(y, outputs, name)
    call = loss.call if isinstance(loss, keras.Loss) else loss
    values = call(y, outputs)
    if len(values.shape) == 0:
        raise InputError(
            f"expected a loss of one number per example or more for {name}, "
            f"received: {loss!r}, which averages over the batch"
        )
    masks.append(graph.mask_of(values))
    return _averaged(values, [m for m in masks if m is not None], name)


def _broadcasts(y, outputs):
    """Whether targets would be repeated, or scored against repeated
    outputs."""
    if len(y) == len(outputs) - 1 and outputs[-1] == 1:
        outputs = outputs[:-1]
    if len(y) - 1 == len(outputs) and y[-1] == 1:
        y = y[:-1]
    return len(y) != len(outputs) or any(
        a != b for a, b in zip(y, outputs, strict=True) if None not in (a, b)
    )


def _of_one_shape(y, outputs, name):
    """Targets, once their axes are those of the outputs where a graph does
    not know them: of a generator, or of calls of several shapes."""
    known = zip(y.shape, outputs.shape, strict=True)
    if all(None not in pair for pair in known):
        return y
    sizes = tf.shape(y), tf.shape(outputs)
    same = tf.equal(*sizes)
    axis = tf.argmin(tf.cast(same, tf.int32))
    return checked(
        of_one_shape_under_xla(y, outputs),
        tf.reduce_all(same),
        f"expected targets of the shape of the outputs for {name}, received: "
        "axis",
        axis,
        "of y with",
        sizes[0][axis],
        "and of the outputs with",
        sizes[1][axis],
    )


def _averaged(values, masks, name):
    axes = tuple(range(1, len(values.shape)))
    if not masks:
        return ops.mean(values, axes) if axes else values
    # Of the shape of the values, so that the sum counts what is averaged.
    kept = ops.ones_like(values)
    for mask in masks:
        if len(mask.shape) > len(values.shape):
            raise InputError(
                "expected a mask of the axes that the loss leaves, received: "
                f"mask.shape={tuple(mask.shape)} for {name} with shape "
                f"{tuple(values.shape)}; a function can take it into account"
            )
        weights = ops.cast(mask, values.dtype)
        for _ in range(len(values.shape) - len(mask.shape)):
            weights = ops.expand_dims(weights, -1)
        kept = kept * weights
    valid = ops.maximum(ops.sum(kept, axes), 1.0)
    return ops.sum(values * kept, axes) / valid


def _serialized(name, term):
    if isinstance(term, str):
        return term
    known = term if inspect.isroutine(term) else type(term)
    registered = keras.saving.get_registered_name(known)
    if (
        not _is_of_keras(known)
        and keras.saving.get_registered_object(registered) is not known
    ):
        raise InputError(
            "expected terms that are found again when the model is loaded: "
            "decorate a function or class by "
            "@keras.saving.register_keras_serializable(), received: "
            f"terms[{name!r}]={term!r}"
        )
    return keras.saving.serialize_keras_object(term)
