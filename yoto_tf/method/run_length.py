"""How many steps a run has, of which a warm-up takes a share."""

import inspect

import keras

from yoto_tf.layers.own_state import taken
from yoto_tf.method import first_rows

_KEY = "run_steps"
# Where Keras does not know: generators, and loops of one's own.
UNKNOWN = 3_000


class RunLength:
    """The steps of a model's run, as the first `fit` that knew them said.

    Later calls of `fit` go on with it, so that nothing that happens once in a
    run happens again. It is saved with the weights, and not one of them.
    """

    def __init__(self):
        self._steps = keras.Variable(0, dtype="int64", trainable=False)

    def __call__(self):
        """The steps, a scalar tensor; 0: not known."""
        return self._steps.value

    def __int__(self):
        return int(self._steps.numpy())

    def save(self, store):
        """Writes it into the store of `save_own_variables`."""
        store[_KEY] = self._steps

    def load(self, store):
        """Reads it back in `load_own_variables`; returns the rest of the
        store. A file without it leaves it as it is."""
        steps, rest = taken(store, _KEY)
        if steps is not None:
            self._steps.assign(steps)
        return rest

    def note(self, steps):
        """Takes a number of steps, if none was known."""
        if not int(self):
            self._steps.assign(steps)


class NotesRunLength(keras.callbacks.Callback):
    """Tells a model how many steps a `fit` has.

    Args:
        length: `RunLength`.
        first_epoch: the epoch in which the `fit` begins.
    """

    def __init__(self, length, first_epoch=0):
        super().__init__()
        self._length = length
        self._first_epoch = first_epoch

    def on_train_begin(self, logs=None):
        epochs, steps = (self.params.get(k) for k in ("epochs", "steps"))
        if epochs and steps:
            ahead = max(epochs - self._first_epoch, 0) * steps
            done = int(first_rows.finished_steps(self.model.optimizer))
            self._length.note(done + ahead)


def noted(length, arguments, keywords):
    """The arguments of a `fit` that tells a model its length.

    Args:
        length: `RunLength`.
        arguments, keywords: as they were given to `keras.Model.fit`, without
            the model.

    Returns:
        dict of keywords.
    """
    bound = inspect.signature(keras.Model.fit).bind(
        None, *arguments, **keywords
    )
    found = dict(list(bound.arguments.items())[1:])
    own = NotesRunLength(length, found.get("initial_epoch", 0))
    given = found.get("callbacks")
    if isinstance(given, keras.callbacks.CallbackList):
        # Made before Keras could tell it of the model.
        own.set_model(given.model)
        own.set_params(given.params or {})
        given.callbacks.append(own)
    else:
        # The last one: others restore what a run had before it was cut off.
        given = given if isinstance(given, list | tuple) else [given]
        found["callbacks"] = [*(c for c in given if c is not None), own]
    return found
