"""How many steps a run has, of which a warm-up takes a share."""

import contextlib
import inspect

import keras
import numpy as np
import tensorflow as tf

from yoto_tf.layers.own_state import taken
from yoto_tf.method import first_rows

_KEY = "run_steps"
_DONE = "run_steps_done"
_BEFORE = "run_steps_before"
# Where Keras does not know: generators, and loops of one's own.
UNKNOWN = 3_000


class RunLength:
    """The steps of a model's run, as the first `fit` that knew them said, and
    how many of them are done.

    Later calls of `fit` go on with it, so that nothing that happens once in a
    run happens again, whichever optimizers the model is compiled with. It is
    saved with the weights, and not one of them.
    """

    def __init__(self):
        self._steps = keras.Variable(0, dtype="int64", trainable=False)
        # By optimizers that the model does not have any more.
        self._before = keras.Variable(0, dtype="int64", trainable=False)
        # When the file was written from which the model comes.
        self._saved = 0

    def __call__(self):
        """The steps, a scalar tensor; 0: not known."""
        return self._steps.value

    def __int__(self):
        return int(self._steps.numpy())

    @property
    def state(self):
        """All of it, to be put back."""
        return int(self), int(self._before.numpy()), self._saved

    @state.setter
    def state(self, state):
        steps, before, self._saved = state
        self._steps.assign(steps)
        self._before.assign(before)

    @contextlib.contextmanager
    def unless_refused(self, model):
        """A context of a `fit`, that leaves it as it was if the `fit` ends
        before its first step: the next one is the run's first."""
        before, finished = self.state, _finished_steps(model)
        try:
            yield
        except BaseException:
            if _finished_steps(model) == finished:
                self.state = before
            raise

    def done(self, optimizer):
        """How many are done, a scalar tensor."""
        own = first_rows.finished_steps(optimizer)
        return tf.cast(self._before.value, own.dtype) + own

    def leave(self, optimizer):
        """Keeps the steps of an optimizer that the model is compiled with no
        longer."""
        self._before.assign(int(self.done(optimizer)))

    def resume(self, optimizer):
        """Before a `fit`: takes the steps that a file tells of whose optimizer
        was not kept."""
        if not int(first_rows.finished_steps(optimizer)):
            self._before.assign(max(int(self._before.numpy()), self._saved))

    def save(self, store, optimizer):
        """Writes it into the store of `save_own_variables`.

        Args:
            store: as Keras gives it.
            optimizer: of the model, None if it is not compiled.
        """
        done = self._saved if optimizer is None else int(self.done(optimizer))
        store[_KEY] = self._steps
        store[_BEFORE] = self._before
        store[_DONE] = np.int64(done)

    def load(self, store):
        """Reads it back in `load_own_variables`; returns the rest of the
        store. A file without it leaves it as it is."""
        steps, rest = taken(store, _KEY)
        before, rest = taken(rest, _BEFORE)
        done, rest = taken(rest, _DONE)
        if steps is not None:
            self._steps.assign(steps)
        if before is not None:
            self._before.assign(before)
            self._saved = int(np.asarray(done))
        return rest

    def note(self, steps, done=None):
        """Takes a number of steps, if none was known, and with it how many
        are done; None: as many as are counted."""
        if not int(self):
            self._steps.assign(steps)
            if done is not None:
                self._before.assign(done)


def _finished_steps(model):
    optimizer = getattr(model, "optimizer", None)
    return optimizer and int(first_rows.finished_steps(optimizer))


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
        self._length.resume(self.model.optimizer)
        epochs, steps = (self.params.get(k) for k in ("epochs", "steps"))
        if epochs and steps:
            ahead = max(epochs - self._first_epoch, 0) * steps
            done = int(self._length.done(self.model.optimizer))
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
