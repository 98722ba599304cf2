"""What a client knows of the served version, and for how long it holds."""

import dataclasses
import threading
import time

import numpy as np

from serving.client.errors import NotFound
from serving.client.metadata import Metadata
from serving.client.metadata import read_loss_parameters

# TF Serving looks for new versions once a second.
_RECENT_SECONDS = 1.0
# A version may be unloaded between two questions about it.
_CHANGES = 3
_SIGNATURE = "loss_parameters"


@dataclasses.dataclass(frozen=True)
class ServedVersion:
    """A version that answered a moment ago.

    Attributes:
        metadata: `Metadata`, loss parameters included.
        signatures: `Metadata` without them, as the server sent it.
        seen_at: `time.monotonic()` of the answer.
    """

    metadata: Metadata
    signatures: Metadata
    seen_at: float


class ServedModel:
    """Follows the versions of a model. Threads may share it."""

    def __init__(self):
        self._last = None
        self._doubted = False
        self._asking = threading.Lock()

    def doubt(self):
        """What comes back under the same number may be another model."""
        self._doubted = True

    def recent(self, connection, deadline):
        """Returns a `ServedVersion` that was right a second ago.

        Of many threads that find it too old, one asks and the others take
        it as it is.
        """
        last = self._last
        if last is None:
            return self.current(connection, deadline)
        if time.monotonic() - last.seen_at < _RECENT_SECONDS:
            return last
        if not self._asking.acquire(blocking=False):
            return last
        try:
            return self.current(connection, deadline)
        finally:
            self._asking.release()

    def current(self, connection, deadline):
        """Asks for the version that answers now.

        Returns:
            `ServedVersion`; its loss parameters are asked for once per
            version, unless there is doubt.
        """
        for change in range(_CHANGES):
            last, seen_at = self._last, time.monotonic()
            sent = connection.metadata(deadline)
            if last is None or self._doubted or last.signatures != sent:
                try:
                    metadata = _completed(connection, sent, deadline)
                except NotFound:
                    # Unloaded in between: a newer one is there.
                    if change == _CHANGES - 1:
                        raise
                    continue
                self._doubted = False
            else:
                metadata = last.metadata
            self._last = ServedVersion(metadata, sent, seen_at)
            return self._last


def _completed(connection, metadata, deadline):
    if _SIGNATURE not in metadata.signatures:
        return metadata
    answer = connection.predict(
        metadata,
        _SIGNATURE,
        {"rows": np.zeros(1, np.int32)},
        deadline,
        version=metadata.version,
    )
    found = read_loss_parameters(answer)
    return dataclasses.replace(metadata, loss_parameters=found)
