"""What a client knows of the served version, and for how long it holds."""

import dataclasses
import threading
import time

import numpy as np

from serving.client.errors import InvalidRequest
from serving.client.errors import NotFound
from serving.client.metadata import Metadata

# TF Serving looks for new versions once a second.
_RECENT_SECONDS = 1.0
# A version may be unloaded between two questions about it.
_CHANGES = 3
_PROBES = 16


@dataclasses.dataclass(frozen=True)
class BetaRange:
    """The betas of a version.

    Attributes:
        low, high: ends of the trained range.
        is_interval: whether all between them are trained too; the server
            must be asked for each otherwise.
    """

    low: float
    high: float
    is_interval: bool


@dataclasses.dataclass(frozen=True)
class ServedVersion:
    """A version that answered a moment ago.

    Attributes:
        metadata: `Metadata`.
        beta_range: `BetaRange`, or None for a model without.
        seen_at: `time.monotonic()` of the answer.
    """

    metadata: Metadata
    beta_range: BetaRange | None
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
            `ServedVersion`; its range is asked for once per version, unless
            there is doubt.
        """
        for change in range(_CHANGES):
            last, seen_at = self._last, time.monotonic()
            metadata = connection.metadata(deadline)
            if last is None or self._doubted or last.metadata != metadata:
                try:
                    beta_range = _ask_range(connection, metadata, deadline)
                except NotFound:
                    # Unloaded in between: a newer one is there.
                    if change == _CHANGES - 1:
                        raise
                    continue
                self._doubted = False
            else:
                beta_range = last.beta_range
            self._last = ServedVersion(metadata, beta_range, seen_at)
            return self._last


def require_trained(beta, served, connection, deadline):
    """Refuses betas that the model was not trained for.

    Args:
        beta: float32 array.
        served: `ServedVersion`.
        connection: `Connection`, asked only where single values were trained.
        deadline: `Deadline`.

    Raises:
        InvalidRequest: for a beta that is not trained.
        NotFound: the model does not tell.
    """
    trained = served.beta_range
    if trained is None:
        served.metadata.signature("beta_range")  # raises
    good = (beta >= trained.low) & (beta <= trained.high)
    if good.all() and not trained.is_interval:
        good = _ask(connection, served.metadata, beta.ravel(), deadline)[
            "in_range"
        ].reshape(beta.shape)
    if not good.all():
        values = "" if trained.is_interval else "one of single values "
        raise InvalidRequest(
            f"expected beta {values}in [{trained.low:g}, {trained.high:g}], "
            f"the trained range, received: beta={beta[~good].flat[0]:g}"
        )


def _ask_range(connection, metadata, deadline):
    if "beta_range" not in metadata.signatures:
        return None
    one = np.ones(1, np.float32)
    answer = _ask(connection, metadata, one, deadline)
    low, high = float(answer["beta_min"][0]), float(answer["beta_max"][0])
    inside = _between(low, high)
    is_interval = _ask(connection, metadata, inside, deadline)["in_range"].all()
    return BetaRange(low, high, bool(is_interval))


def _between(low, high):
    """Betas all over a range: single values do not have all of them.

    One would not do: it may be a trained value itself. They are always the
    same ones, evenly spread over the range and over its logarithm.
    """
    shares = np.random.default_rng(0).random(_PROBES)
    betas = [low + (high - low) * shares]
    if low > 0:
        betas.append(low * (high / low) ** shares)
    return np.clip(np.concatenate(betas), low, high).astype("float32")


def _ask(connection, metadata, beta, deadline):
    return connection.predict(
        metadata,
        "beta_range",
        {"beta": beta},
        deadline,
        version=metadata.version,
    )
