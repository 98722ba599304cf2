"""The life of one version of one model.

A version goes through START, LOADING, AVAILABLE, UNLOADING and END, the
states of TF Serving's `apis/get_model_status.proto`. The manager alone moves
it, under the manager's lock.
"""

import dataclasses
from collections.abc import Sequence

from tensorflow_serving.apis import get_model_status_pb2

from serving.embedded.run.engine import SavedModelVersion
from serving.embedded.status import StatusError

State = get_model_status_pb2.ModelVersionStatus.State


@dataclasses.dataclass
class Servable:
    """A version of a model, from its discovery to its end.

    Attributes:
        model: name of the model.
        version: number of the version.
        path: its directory.
        aspired: whether the policy asks for it now.
        state: one of `State`.
        error: why it ended or why its last load failed.
        loaded: the session, in states AVAILABLE and UNLOADING.
        users: requests that run on it now.
        busy: whether it is being loaded now.
        attempts: loads tried.
        not_before: monotonic time in seconds of the next load.
    """

    model: str
    version: int
    path: str
    aspired: bool = True
    state: int = State.START
    error: StatusError | None = None
    loaded: SavedModelVersion | None = None
    users: int = 0
    busy: bool = False
    attempts: int = 0
    not_before: float = 0.0

    def __str__(self) -> str:
        return f"{{name: {self.model} version: {self.version}}}"


def next_to_unload(versions: Sequence[Servable]) -> Servable | None:
    """The version to unload now, by the availability-preserving policy.

    A version that is no longer asked for goes once one that is asked for
    serves, or when none is asked for: TF Serving's
    `core/availability_preserving_policy.cc`.

    Args:
        versions: all versions of one model.
    """
    ready = [s for s in versions if s.state == State.AVAILABLE]
    surplus = [s for s in ready if not s.aspired]
    any_aspired = any(s.aspired for s in versions)
    aspired_serves = any(s.aspired for s in ready)
    if not any_aspired or aspired_serves or len(surplus) > 1:
        return min(surplus, key=lambda s: s.version, default=None)
    return None


def next_to_load(versions: Sequence[Servable], now: float) -> Servable | None:
    """The version to load now: the highest that waits and whose time is due.

    Args:
        versions: all versions of one model.
        now: monotonic time in seconds.
    """
    waiting = [
        s
        for s in versions
        if s.aspired
        and s.state in (State.START, State.LOADING)
        and s.not_before <= now
    ]
    return max(waiting, key=lambda s: s.version, default=None)
