"""The table of all versions of all models, shared by requests and manager.

Requests look up a loaded version and count themselves in and out; the
manager alone moves versions from state to state. One lock guards both.
"""

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Iterator

from tensorflow_serving.apis import model_pb2

from serving.embedded.status import Code
from serving.embedded.status import StatusError
from serving.embedded.status import invalid_argument
from serving.embedded.versions.servable import Servable
from serving.embedded.versions.servable import State
from serving.embedded.versions.servable import next_to_load
from serving.embedded.versions.servable import next_to_unload

_logger = logging.getLogger(__name__)


class Registry:
    """Models, their versions and their labels.

    Attributes:
        changed: the lock of the table, notified at each change of a state.
    """

    def __init__(self):
        self.changed = threading.Condition()
        self.labels: dict[str, dict[str, int]] = {}
        self._servables: dict[str, dict[int, Servable]] = {}

    @contextlib.contextmanager
    def use(self, spec: model_pb2.ModelSpec) -> Iterator[Servable]:
        """Holds the version that a ModelSpec names while a request runs.

        Raises:
            StatusError: INVALID_ARGUMENT without a name or with an unknown
                label, NOT_FOUND where nothing that fits is loaded.
        """
        servable = self._acquire(spec)
        try:
            yield servable
        finally:
            self._release(servable)

    def states(self, spec: model_pb2.ModelSpec) -> list[Servable]:
        """Copies of the versions of a model, the newest first.

        The label of a ModelSpec is not looked at, nor is it by TF Serving's
        `get_model_status_impl.cc`.

        Raises:
            StatusError: NOT_FOUND.
        """
        with self.changed:
            versions = self._servables.get(spec.name, {})
            if spec.HasField("version"):
                number = spec.version.value
                if number not in versions:
                    raise StatusError(
                        Code.NOT_FOUND,
                        f"Could not find version {number} of model {spec.name}",
                    )
                return [dataclasses.replace(versions[number])]
            if not versions:
                raise StatusError(
                    Code.NOT_FOUND,
                    f"Could not find any versions of model {spec.name}",
                )
            newest_first = sorted(versions, reverse=True)
            return [dataclasses.replace(versions[n]) for n in newest_first]

    def available(self, name: str) -> dict[int, Servable]:
        """The versions of a model that take requests, by number."""
        with self.changed:
            return {
                number: servable
                for number, servable in self._servables.get(name, {}).items()
                if servable.state == State.AVAILABLE
            }

    def settled(self, name: str) -> bool:
        """Whether a model serves and each of its versions was tried once."""
        with self.changed:
            versions = self._servables.get(name, {}).values()
            untried = (State.START, State.LOADING)
            return bool(self.available(name)) and not any(
                s.aspired and s.state in untried and not s.attempts
                for s in versions
            )

    def failed(self, name: str) -> list[Servable]:
        """The aspired versions of a model, if none is left to hope for."""
        with self.changed:
            versions = self._servables.get(name, {}).values()
            aspired = [s for s in versions if s.aspired]
            if all(s.state == State.END for s in aspired):
                return aspired
            return []

    def aspire(self, found: dict[str, dict[int, str]]) -> None:
        """Notes the result of a poll.

        Args:
            found: model -> version -> directory of the versions to serve. All
                versions that are not in it are to go.
        """
        with self.changed:
            for name, paths in found.items():
                versions = self._servables.setdefault(name, {})
                for number, path in paths.items():
                    known = versions.get(number)
                    # A version that ended is loaded again only after a poll
                    # that did not find it.
                    over = known is not None and known.state == State.END
                    if known is None or (over and not known.aspired):
                        versions[number] = Servable(name, number, path)
            for name, versions in self._servables.items():
                for number, servable in versions.items():
                    # One that is going goes; a later poll finds it anew.
                    going = servable.state == State.UNLOADING
                    asked = number in found.get(name, {})
                    servable.aspired = asked and not going
                    waits = servable.state in (State.START, State.LOADING)
                    # One that is being loaded ends with its load.
                    if waits and not servable.aspired and not servable.busy:
                        servable.state = State.END
            self.changed.notify_all()

    def next_action(self) -> Servable | None:
        """Moves one version to LOADING or UNLOADING, where one is due.

        Returns:
            That version, for the caller to load or to unload, or None.
        """
        with self.changed:
            for versions in self._servables.values():
                every = list(versions.values())
                servable = next_to_unload(every)
                if servable is not None:
                    servable.state = State.UNLOADING
                    self.changed.notify_all()
                    return servable
                servable = next_to_load(every, time.monotonic())
                if servable is not None:
                    servable.state = State.LOADING
                    servable.busy = True
                    self.changed.notify_all()
                    return servable
            return None

    def next_retry(self) -> float:
        """Monotonic time of the next load that waits, infinity for none."""
        with self.changed:
            times = [
                servable.not_before
                for versions in self._servables.values()
                for servable in versions.values()
                if servable.state == State.LOADING
            ]
        return min(times, default=float("inf"))

    def unload_when_idle(self, servable: Servable) -> None:
        """Frees a version in state UNLOADING, once no request runs on it."""
        with self.changed:
            if servable.users or servable.loaded is None:
                return
            loaded, servable.loaded = servable.loaded, None
        loaded.close()
        with self.changed:
            servable.state = State.END
            self.changed.notify_all()
        _logger.info("Unloaded %s", servable)

    def unload_all(self) -> None:
        """Frees every version, at the end of the server."""
        with self.changed:
            all_versions = [
                servable
                for versions in self._servables.values()
                for servable in versions.values()
            ]
            for servable in all_versions:
                if servable.state == State.AVAILABLE:
                    servable.state = State.UNLOADING
        for servable in all_versions:
            self.unload_when_idle(servable)

    def _acquire(self, spec: model_pb2.ModelSpec) -> Servable:
        name = spec.name
        if not name:
            raise invalid_argument("ModelSpec has no name specified.")
        number = None
        if spec.HasField("version"):
            number = spec.version.value
        with self.changed:
            if number is None and spec.version_label:
                label = spec.version_label
                number = self.labels.get(name, {}).get(label)
                if number is None:
                    raise invalid_argument(
                        f"Unrecognized servable version label: {label}"
                    )
            versions = self.available(name)
            if number is None and versions:
                number = max(versions)
            if number not in versions:
                wanted = (
                    f"Latest({name})"
                    if number is None
                    else f"Specific({name}, {number})"
                )
                raise StatusError(
                    Code.NOT_FOUND,
                    f"Servable not found for request: {wanted}",
                )
            servable = versions[number]
            servable.users += 1
            return servable

    def _release(self, servable: Servable) -> None:
        with self.changed:
            servable.users -= 1
            last = servable.users == 0 and servable.state == State.UNLOADING
        if last:
            self.unload_when_idle(servable)
