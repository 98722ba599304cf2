"""Requests of several clients in one run of the graph.

Follows TF Serving's `batching/batching_session.cc` and the scheduler under
it, `batching_util/shared_batch_scheduler.h`: their checks, with their texts.
There are no batch threads here: the request that opens a batch runs it, and
the others wait for it. One client alone therefore pays nothing.

Other than there, requests of different inner shapes never meet in a batch,
`num_batch_threads` counts for each version alone, and the deadline of a
request that waits is not looked at.
"""

import collections
import concurrent.futures
import threading
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from serving.embedded import status
from serving.embedded.options import BatchingOptions
from serving.embedded.run.engine import SavedModelVersion


class _Batch:
    """Requests that run together, and what comes of them."""

    def __init__(self):
        self.feeds = []
        self.rows = 0
        self.full = threading.Event()
        self.outputs = concurrent.futures.Future()


class BatchingVersion:
    """A loaded version that runs its callers' requests in batches."""

    def __init__(self, version: SavedModelVersion, options: BatchingOptions):
        self.signatures = version.signatures
        self._version = version
        self._options = options
        self._lock = threading.Lock()
        self._queues = {}  # kind of request -> batches that wait, oldest first
        self._threads = threading.Semaphore(options.num_batch_threads)

    def run(
        self, feed: Mapping[str, np.ndarray], fetch: Sequence[str]
    ) -> list[np.ndarray]:
        """Runs the graph once, for this request and others like it.

        All arrays have one number of rows. Without arrays, or without rows,
        the request runs alone.
        """
        rows = _rows(feed)
        if not rows:
            return self._version.run(feed, fetch)
        if rows > self._options.max_batch_size:
            raise status.invalid_argument(
                f"Task size {rows} is larger than maximum input batch size "
                f"{self._options.max_batch_size}"
            )
        kinds = [(n, a.dtype, a.shape[1:]) for n, a in sorted(feed.items())]
        kind = (*kinds, *fetch)
        batch, start = self._join(kind, feed, rows)
        if start == 0:
            self._lead(kind, batch, fetch)
        error = batch.outputs.exception()
        if error is not None:
            raise status.status_of(error)
        return [
            output[start : start + rows] for output in batch.outputs.result()
        ]

    def close(self) -> None:
        """Frees the session. No run may be under way."""
        self._version.close()

    def _join(self, kind, feed, rows: int) -> tuple[_Batch, int]:
        """Puts a request into a batch; returns it and the first row there."""
        options = self._options
        with self._lock:
            queue = self._queues.setdefault(kind, collections.deque())
            if not queue or queue[-1].rows + rows > options.max_batch_size:
                if len(queue) >= options.max_enqueued_batches:
                    raise status.unavailable(
                        "The batch scheduling queue to which this task was "
                        "submitted is full",
                    )
                if queue:
                    queue[-1].full.set()
                queue.append(_Batch())
            batch = queue[-1]
            start = batch.rows
            batch.feeds.append(feed)
            batch.rows += rows
            if batch.rows == options.max_batch_size:
                batch.full.set()
        return batch, start

    def _lead(self, kind, batch: _Batch, fetch) -> None:
        """Runs a batch once its time has come; others join it until then."""
        try:
            if self._options.batch_timeout_micros:
                batch.full.wait(self._options.batch_timeout_micros / 1e6)
            with self._threads:
                with self._lock:
                    queue = self._queues[kind]
                    queue.remove(batch)
                    if not queue:
                        del self._queues[kind]
                batch.outputs.set_result(self._run_together(batch, fetch))
        except BaseException as error:  # the others must not wait forever
            batch.outputs.set_exception(status.status_of(error))
            if not isinstance(error, status.StatusError):
                raise

    def _run_together(self, batch: _Batch, fetch) -> list[np.ndarray]:
        size = next(
            (s for s in self._options.allowed_batch_sizes if s >= batch.rows),
            batch.rows,
        )
        if len(batch.feeds) == 1 and size == batch.rows:
            feed = batch.feeds[0]
        else:
            feed = {}
            for name, last in batch.feeds[-1].items():
                parts = [f[name] for f in batch.feeds]
                parts += [last[:1]] * (size - batch.rows)
                feed[name] = np.concatenate(parts)
        outputs = self._version.run(feed, fetch)
        for output in outputs:
            problem = ""
            if not output.ndim:
                problem = " has 0 dimensions"
            elif len(output) != size:
                problem = (
                    "'s 0th dimension does not equal the sum of the 0th "
                    "dimension sizes of the input tensors"
                )
            if problem:
                raise status.failed_precondition(
                    f"Batched output tensor{problem}"
                )
        return outputs


def _rows(feed: Mapping[str, np.ndarray]) -> int:
    if any(not array.ndim for array in feed.values()):
        raise status.invalid_argument(
            "Batching Run() input tensors must have at least one dimension"
        )
    sizes = {len(array) for array in feed.values()}
    if len(sizes) > 1:
        raise status.invalid_argument(
            "Batching Run() input tensors must have equal 0th-dimension size"
        )
    return max(sizes, default=0)
