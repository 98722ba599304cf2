"""Several devices, and several processes on as many machines, for one model.

The engine is TensorFlow's: `tf.distribute.MirroredStrategy` and
`MultiWorkerMirroredStrategy`. Here is what they leave to their users: who
writes files, what all must know of the chief, and how it ends when one of
them is missing. See docs/scale.md.
"""

import contextlib
import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from yoto_tf.errors import InputError

# Of what one collective operation carries.
_MOST_BYTES = 1 << 22

# In what TensorFlow says of another process.
_OF_OTHERS = r"(?i)collective|coordination|peer|/task:|connection|socket"


class WorkerLost(RuntimeError):
    """Another process of the same training has ended."""


@dataclass(frozen=True)
class Distribution:
    """What this process is among those that train one model.

    Attributes:
        strategy: `tf.distribute.Strategy`; None: one device, no strategy.
        index, num_workers: of this process among all.
    """

    strategy: Any = None
    index: int = 0
    num_workers: int = 1

    @property
    def is_chief(self):
        """Whether this process writes files and says what happens."""
        return self.index == 0

    @property
    def num_replicas(self):
        """Devices of all processes, each with a part of every batch."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    def scope(self):
        """The context in which models are made, loaded and compiled."""
        if self.strategy is None:
            return contextlib.nullcontext()
        return self.strategy.scope()

    def described(self):
        """The end of a sentence on a training."""
        if self.strategy is None:
            return ""
        return (
            f" on {self.num_replicas} replicas in {self.num_workers} "
            f"process{'es' if self.num_workers > 1 else ''}"
        )

    def check_batch(self, batch_size):
        """Refuses batches that do not give every replica an example."""
        if batch_size < self.num_replicas:
            raise InputError(
                f"expected a batch_size of {self.num_replicas} or more, an "
                f"example for each replica, received: batch_size={batch_size}"
            )

    # What the processes tell each other.

    def chief_first(self, function):
        """Calls a function in the chief, and then tells all.

        Args:
            function: returns a dict that JSON can carry, and bytes.

        Returns:
            What the chief's call returned, in every process.

        Raises:
            InputError: in every process, if the chief's call raised it.
        """
        if self.num_workers == 1:
            return function()
        told, content, error = {}, b"", None
        if self.is_chief:
            try:
                told, content = function()
            except InputError as refused:
                error = refused
        head = {"refused": str(error) if error else None, "told": told}
        head = json.loads(self._from_chief(json.dumps(head).encode()))
        if head["refused"]:
            raise error or InputError(head["refused"])
        return head["told"], self._from_chief(content)

    def agreed(self, function):
        """Calls a function in all processes but the chief, at once.

        Raises:
            InputError: in every process, if one of the calls raised it.
        """
        error = None
        if not self.is_chief:
            try:
                function()
            except InputError as refused:
                error = refused
        if self.num_workers == 1:
            return
        texts = self._from_all(str(error or "").encode())
        if error:
            raise error
        for index, text in enumerate(texts):
            if text:
                raise InputError(f"worker {index}: {text.decode()}")

    def wait_for_all(self):
        """Returns when all processes have come here."""
        if self.num_workers > 1:
            self._sum(np.zeros(1, "float32"))

    def _from_chief(self, content):
        size = len(content) if self.is_chief else 0
        size = int(self._sum(np.array([size], "float64"))[0])
        parts = []
        for start in range(0, size, _MOST_BYTES):
            row = np.zeros(min(_MOST_BYTES, size - start), "float32")
            if self.is_chief:
                part = content[start : start + _MOST_BYTES]
                row[:] = np.frombuffer(part, "uint8")
            parts.append(self._sum(row).astype("uint8").tobytes())
        return b"".join(parts)

    def _from_all(self, content):
        sizes = np.zeros(self.num_workers, "float64")
        sizes[self.index] = len(content)
        sizes = self._sum(sizes).astype(int)
        # TensorFlow crashes on sums of nothing.
        if not any(sizes):
            return [b""] * self.num_workers
        rows = np.zeros((self.num_workers, max(sizes)), "float32")
        rows[self.index, : len(content)] = np.frombuffer(content, "uint8")
        rows = self._sum(rows).astype("uint8")
        return [row[:n].tobytes() for row, n in zip(rows, sizes, strict=True)]

    def _sum(self, own):
        """The sum over processes of a NumPy array of each."""
        import tensorflow as tf

        def in_replica(value):
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, value)

        # Only one device of a process may bring its number.
        values = self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(
                own
                if _local_replica(context, self) == 0
                else np.zeros_like(own)
            )
        )
        summed = self.strategy.run(in_replica, args=(values,))
        return self.strategy.experimental_local_results(summed)[0].numpy()

    @contextlib.contextmanager
    def losses_reported(self):
        """Turns what TensorFlow raises when another process has ended into
        `WorkerLost`."""
        if self.num_workers == 1:
            yield
            return
        import tensorflow as tf

        try:
            yield
        except (
            tf.errors.AbortedError,
            tf.errors.CancelledError,
            tf.errors.DeadlineExceededError,
            tf.errors.FailedPreconditionError,
            tf.errors.InternalError,
            tf.errors.UnavailableError,
        ) as error:
            if not re.search(_OF_OTHERS, error.message):
                raise
            raise WorkerLost(
                "expected all workers to train until the end, received: one "
                "that does not answer any more "
                f"({_reason(error)}); start all again with --resume"
            ) from error


def _local_replica(context, distribution):
    each = distribution.num_replicas // distribution.num_workers
    return context.replica_id_in_sync_group % each


def _reason(error):
    """A line of what TensorFlow says, without the names of its operations."""
    lines = [re.sub(r"\{\{.*\}\} ", "", x) for x in error.message.split("\n")]
    return next((x for x in lines if "aborted by" in x), lines[0]).strip()[:200]
