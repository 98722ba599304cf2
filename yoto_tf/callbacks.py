"""A Keras callback for `fit`: the end of a training that went wrong."""

import collections
import math
import statistics

import keras

from yoto_tf.errors import InputError
from yoto_tf.errors import TrainingDiverged

# The logs are means since the epoch's beginning, in float32: what they tell
# of one step is no more exact than this part of their sum.
_ROUNDING = 1e-5
# What the first eight steps say is normal is no more than so many times the
# first loss, which no step has touched yet: they may have gone wrong already.
_MOST_OF_FIRST = 30


class StopOnDivergence(keras.callbacks.Callback):
    """Ends training when its loss is not finite, or is and absurd.

    Absurd: the median loss of the last `window` steps is more than `factor`
    times as large as any such median in the first half of the run up to now
    (in a part between a quarter and a half, to be exact). So it does not
    matter which scale a loss has, that it falls below 0, that it rises with
    the weight of a term that is warmed up, or that single batches are
    outliers from which training recovers; and the loss of each step is looked
    at, not its mean over the epoch, which would hide it.

    For any model whose logs have a `loss` that is a mean since the beginning
    of the epoch, as Keras' own and a `LossConditionalModel`'s have.

    Args:
        factor: above 1.
        window: number of steps, 1 or more.

    Raises:
        TrainingDiverged: out of `fit`, with the epoch, the step and the
            terms, before the callbacks of the epoch's end.

    Example:
        model.fit(images, epochs=20, callbacks=[yoto_tf.StopOnDivergence()])
    """

    def __init__(self, factor=100.0, window=16):
        super().__init__()
        if not factor > 1 or not window >= 1:
            raise InputError(
                "expected factor above 1 and window of 1 or more, received: "
                f"{factor=}, {window=}"
            )
        self.factor = float(factor)
        self.window = int(window)

    def on_train_begin(self, logs=None):
        self.epoch = 0
        self.num_seen = 0
        self.first = 0.0
        self.last = collections.deque(maxlen=self.window)
        # The largest of all steps, of those up to the last power of 2, and of
        # those up to the power before.
        self.largest = self.next_normal = self.normal = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.before = 0, {}

    def on_train_batch_end(self, batch, logs=None):
        if "loss" not in logs:
            raise InputError(
                f"expected logs with a loss, received: {sorted(logs)}"
            )
        steps, (steps_before, before) = batch + 1, self.before
        self.before = steps, dict(logs)
        mean = float(logs["loss"])
        if not math.isfinite(mean):
            terms = [
                n
                for n, value in logs.items()
                if n != "loss" and not math.isfinite(float(value))
            ]
            # All terms can be finite while their weighted sum is not.
            culprit = " and ".join(terms) or "the weighted loss"
            self._stop(batch, f"{culprit} stopped being finite")
        loss = _since(steps_before, before, steps, logs, "loss")
        if loss is None:
            return
        self.last.append(loss)
        median = statistics.median(self.last)
        full = len(self.last) == self.window
        if full and self.normal and median > self.factor * self.normal:
            terms = [
                f"{n} {value:.3g}"
                for n in logs
                if n != "loss"
                and (value := _since(steps_before, before, steps, logs, n))
            ]
            self._stop(
                batch,
                "the loss left what the run had seen",
                f": {median:.3g} in the median of the last {self.window} "
                f"steps, where up to {self.normal:.3g} was normal"
                + (f" (last: {', '.join(terms)})" if terms else ""),
            )
        # Outliers must not raise what is normal.
        self._remember(abs(median if full else loss))

    def _remember(self, size):
        self.num_seen += 1
        self.largest = max(self.largest, size)
        if self.num_seen == 1:
            self.first = size
        elif self.num_seen.bit_count() == 1:
            self.normal, self.next_normal = self.next_normal, self.largest
            if self.num_seen <= 8 and self.first:
                most = _MOST_OF_FIRST * self.first
                self.next_normal = min(self.next_normal, most)

    def _stop(self, batch, what, details=""):
        raise TrainingDiverged(
            f"{what} in epoch {self.epoch + 1}, step {batch + 1} (step "
            f"{int(self.model.optimizer.iterations)} of the run)"
            f"{details}{self.advice()}"
        )

    def advice(self):
        """What the sentence ends with."""
        return ". A lower learning rate or clipped gradients help"


def _since(steps_before, before, steps, logs, name):
    """The mean of a log over the steps between two of its means since the
    epoch's beginning; None where rounding hides it."""
    total = steps * float(logs[name])
    rest = steps_before * float(before[name]) if steps_before else 0.0
    value = (total - rest) / (steps - steps_before)
    hidden = abs(value) < _ROUNDING * max(abs(total), abs(rest))
    return None if hidden and steps_before else value
