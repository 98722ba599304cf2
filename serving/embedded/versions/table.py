"""The one table of all versions of all models and of their labels.

Requests look up a loaded version and count themselves in and out; the
manager alone moves versions from state to state: START, LOADING, AVAILABLE,
UNLOADING, END, those of TF Serving's `apis/get_model_status.proto`. One lock
guards it all.
"""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator

from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import status
from serving.embedded.run.engine import SavedModelVersion

State = get_model_status_pb2.ModelVersionStatus.State
_WAITING = (State.START, State.LOADING)


@dataclasses.dataclass
class Servable:
    """A version of a model, from its discovery to its end."""

    model: str
    version: int
    path: str
    aspired: bool = True  # the policy asks for it now
    state: int = State.START
    error: status.StatusError | None = None  # why its last load failed
    loaded: SavedModelVersion | None = None
    users: int = 0  # requests that run on it now
    busy: bool = False  # it is being loaded now
    attempts: int = 0  # loads tried
    not_before: float = 0.0  # monotonic time in seconds of the next load

    def __str__(self) -> str:
        return f"{{name: {self.model} version: {self.version}}}"


class Table:
    """Models, their versions and their labels.

    Requests call `use` and `states`; who calls another method holds `changed`.

    Attributes:
        changed: the lock of the table, notified at each change of a state.
    """

    def __init__(self):
        self.changed = threading.Condition()
        self._labels: dict[str, dict[str, int]] = {}
        self._servables: dict[str, dict[int, Servable]] = {}

    @contextlib.contextmanager
    def use(self, spec: model_pb2.ModelSpec) -> Iterator[Servable]:
        """Holds the version that a ModelSpec names while a request runs."""
        with self.changed:
            servable = self._find(spec)
            servable.users += 1
        try:
            yield servable
        finally:
            with self.changed:
                servable.users -= 1
                if servable.state == State.UNLOADING:
                    self.changed.notify_all()

    def _find(self, spec: model_pb2.ModelSpec) -> Servable:
        name = spec.name
        if not name:
            raise status.invalid_argument("ModelSpec has no name specified.")
        number = spec.version.value if spec.HasField("version") else None
        if number is None and spec.version_label:
            label = spec.version_label
            number = self._labels.get(name, {}).get(label)
            if number is None:
                raise status.invalid_argument(
                    f"Unrecognized servable version label: {label}"
                )
        versions = self._available(name)
        wanted = f"Specific({name}, {number})"
        if number is None:
            number = max(versions, default=None)
            wanted = f"Latest({name})"
        if number not in versions:
            raise status.not_found(f"Servable not found for request: {wanted}")
        return versions[number]

    def states(self, spec: model_pb2.ModelSpec) -> list[Servable]:
        """Copies of the versions of a model, the newest first.

        The label of a ModelSpec is not looked at, nor is it by TF Serving's
        `get_model_status_impl.cc`.
        """
        with self.changed:
            found = self._versions(spec.name)
            missing = "any versions"
            if spec.HasField("version"):
                number = spec.version.value
                found = [s for s in found if s.version == number]
                missing = f"version {number}"
            if not found:
                raise status.not_found(
                    f"Could not find {missing} of model {spec.name}"
                )
            found.sort(key=lambda s: s.version, reverse=True)
            return [dataclasses.replace(s) for s in found]

    def _versions(self, name: str) -> list[Servable]:
        return list(self._servables.get(name, {}).values())

    def _available(self, name: str) -> dict[int, Servable]:
        """The versions of a model that take requests, by number."""
        versions = self._versions(name)
        return {s.version: s for s in versions if s.state == State.AVAILABLE}

    def set_labels(
        self,
        config: model_server_config_pb2.ModelConfigList,
        allow_unavailable: bool,
    ) -> None:
        """Puts the labels of a configuration in the place of the old ones.

        As `UpdateModelVersionLabelMap` of TF Serving's
        `model_servers/server_core.cc`. Where it raises, nothing is changed.

        Args:
            config: the new configuration.
            allow_unavailable: a label that is new, or stays where it was, may
                name a version that is not loaded.
        """
        for model in config.config:
            old = self._labels.get(model.name, {})
            loaded = self._available(model.name)
            for label, version in model.version_labels.items():
                kept = old.get(label, version) == version
                if version in loaded or (allow_unavailable and kept):
                    continue
                raise status.failed_precondition(
                    f"Request to assign label to version {version} of model "
                    f"{model.name}, which is not currently available for "
                    "inference",
                )
        self._labels = {m.name: dict(m.version_labels) for m in config.config}

    def settled(self, name: str) -> bool:
        """Whether a model serves and each of its versions was tried once."""
        return bool(self._available(name)) and not any(
            s.aspired and s.state in _WAITING and not s.attempts
            for s in self._versions(name)
        )

    def failed(self, name: str) -> list[Servable]:
        """The aspired versions of a model, if none is left to hope for."""
        aspired = [s for s in self._versions(name) if s.aspired]
        over = all(s.state == State.END for s in aspired)
        return aspired if over else []

    def aspire(self, found: dict[str, dict[int, str]]) -> None:
        """Notes the result of a poll.

        Args:
            found: model -> version -> directory of the versions to serve. All
                versions that are not in it are to go.
        """
        for name, paths in found.items():
            versions = self._servables.setdefault(name, {})
            for number, path in paths.items():
                known = versions.get(number)
                # A version that ended is loaded again only after a poll that
                # did not find it.
                if known is None or (
                    known.state == State.END and not known.aspired
                ):
                    versions[number] = Servable(name, number, path)
        for s in self._all():
            # One that is going goes; a later poll finds it anew.
            s.aspired = (
                s.version in found.get(s.model, {})
                and s.state != State.UNLOADING
            )
            # One that is being loaded ends with its load.
            if s.state in _WAITING and not s.aspired and not s.busy:
                s.state = State.END

    def next_action(self) -> Servable | None:
        """Moves versions to LOADING and UNLOADING, where they are due.

        Returns:
            One for the caller to load, or to end: no request runs on it any
            more. None where there is nothing to do.
        """
        for name in self._servables:
            versions = self._versions(name)
            surplus = _next_to_unload(versions)
            if surplus is not None:
                surplus.state = State.UNLOADING
            for servable in versions:
                if servable.state == State.UNLOADING and not servable.users:
                    return servable
            servable = _next_to_load(versions)
            if servable is not None:
                servable.state = State.LOADING
                servable.busy = True
                return servable
        return None

    def next_retry(self) -> float:
        """Monotonic time of the next load that waits, infinity for none."""
        waiting = (s.not_before for s in self._all() if s.state in _WAITING)
        return min(waiting, default=float("inf"))

    def idle(self) -> list[Servable]:
        """The loaded versions on which no request runs."""
        return [s for s in self._all() if s.loaded is not None and not s.users]

    def _all(self) -> list[Servable]:
        return [s for name in self._servables for s in self._versions(name)]


def _next_to_unload(versions: list[Servable]) -> Servable | None:
    """The version of a model to unload now.

    One that is no longer asked for goes once one that is asked for serves, or
    when none is: TF Serving's `core/availability_preserving_policy.cc`.
    """
    ready = [s for s in versions if s.state == State.AVAILABLE]
    surplus = [s for s in ready if not s.aspired]
    # The last one that serves stays until another does.
    if len(ready) == 1 and any(s.aspired for s in versions):
        return None
    return min(surplus, key=lambda s: s.version, default=None)


def _next_to_load(versions: list[Servable]) -> Servable | None:
    """The version of a model to load now: the highest whose time has come."""
    now = time.monotonic()
    due = [
        s
        for s in versions
        if s.aspired and s.state in _WAITING and s.not_before <= now
    ]
    return max(due, key=lambda s: s.version, default=None)
