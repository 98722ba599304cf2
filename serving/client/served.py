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
        seen_at: `time.monotonic()` of the answer.
    """

    metadata: Metadata
    seen_at: float


class ServedModel:
    """Follows the versions of a model. Threads may share it."""

    def __init__(self):
        self._last = None
        self._asking = threading.Lock()

    def doubt(self):
        """What comes back under the same number may be another model."""
        self._last = None

    def recent(self, connection, deadline):
        """Returns a `ServedVersion` that was right a second ago.

        Of many threads that find it too old, one asks and the others wait.
        """
        last = self._last
        if _is_recent(last):
            return last
        while not self._asking.acquire(timeout=deadline.remaining()):
            pass  # the deadline ends it
        try:
            last = self._last
            if _is_recent(last):
                return last
            return self.current(connection, deadline)
        finally:
            self._asking.release()

    def current(self, connection, deadline):
        """Asks for the version that answers now, and for its loss parameters,
        as another model may have come under its number.

        Returns:
            `ServedVersion`.
        """
        for change in range(_CHANGES):
            seen_at = time.monotonic()
            sent = connection.metadata(deadline)
            try:
                metadata = _completed(connection, sent, deadline)
            except NotFound:
                # Unloaded in between: a newer one is there.
                if change == _CHANGES - 1:
                    raise
                continue
            found = self._last = ServedVersion(metadata, seen_at)
            return found


def _is_recent(version):
    return version is not None and (
        time.monotonic() - version.seen_at < _RECENT_SECONDS
    )


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
