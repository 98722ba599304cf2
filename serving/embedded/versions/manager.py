"""Keeps the models of a configuration loaded.

One thread polls the base paths, another loads and unloads, so that a slow
load hides no version. A new version is loaded before the old one is unloaded,
and the old one stays if the load fails.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable

from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import model_config
from serving.embedded import status
from serving.embedded.options import ServerOptions
from serving.embedded.run.engine import SavedModelVersion
from serving.embedded.versions import source
from serving.embedded.versions.table import Servable
from serving.embedded.versions.table import State
from serving.embedded.versions.table import Table

_NEVER = float("inf")
_logger = logging.getLogger(__name__)


class ModelManager:
    """The models of one server.

    Args:
        load: makes a loaded version of its directory.
        options: how to poll and to retry.

    Attributes:
        table: the versions, for requests.
    """

    def __init__(
        self, load: Callable[[str], SavedModelVersion], options: ServerOptions
    ):
        self.table = Table()
        self._load = load
        self._options = options
        self._config = model_server_config_pb2.ModelConfigList()
        self._complaints = set()
        self._next_poll = _NEVER
        self._stopping = False
        self._threads = [
            threading.Thread(target=work, name=work.__name__, daemon=True)
            for work in (self._poll_versions, self._load_versions)
        ]

    def start(self) -> None:
        """Starts to poll and to load."""
        for thread in self._threads:
            thread.start()

    def give_up(self) -> None:
        """Ends polls, and waits for models; what is loaded serves on."""
        with self.table.changed:
            self._stopping = True
            self.table.changed.notify_all()

    @property
    def is_idle(self) -> bool:
        """Whether no load is under way; one that was given up goes on."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self, grace_seconds: float) -> None:
        """Stops polling and frees all versions. No request may run.

        Args:
            grace_seconds: after this time a load that runs is given up.
        """
        self.give_up()
        end = time.monotonic() + grace_seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(end - time.monotonic(), 0))
        for servable in self.table.idle():
            self._end(servable)

    def reload(
        self, config: model_server_config_pb2.ModelConfigList
    ) -> set[str]:
        """Puts a new configuration in the place of the old one.

        Returns:
            The names of the models that were not in the old one.

        Raises:
            StatusError: nothing is then changed.
        """
        model_config.validate(config)
        with self.table.changed:
            self.table.set_labels(
                config,
                self._options.allow_version_labels_for_unavailable_models,
            )
            old = {model.name for model in self._config.config}
            self._config = config
            if self._options.file_system_poll_wait_seconds >= 0:
                self._next_poll = 0.0
            self.table.changed.notify_all()
        return {model.name for model in config.config} - old

    def wait_until_available(
        self, models: set[str], go_on: Callable[[], bool] = lambda: True
    ) -> None:
        """Waits until each of these models serves.

        That is, until one version does and the others were tried: labels
        then lead to what they name.

        Args:
            models: their names.
            go_on: asked every second; False gives up.

        Raises:
            StatusError: UNKNOWN, all versions of a model failed to load;
                CANCELLED, `go_on` said no.
        """
        table = self.table
        with table.changed:
            while waiting := {m for m in models if not table.settled(m)}:
                failed = [s for m in waiting for s in table.failed(m)]
                if failed:
                    reasons = ", ".join(
                        f"{{{s} due to error: {s.error}}}" for s in failed
                    )
                    raise status.unknown(
                        f"{len(failed)} servable(s) did not become "
                        f"available: {{{reasons}}}",
                    )
                if self._stopping or not go_on():
                    names = ", ".join(sorted(waiting))
                    raise status.cancelled(
                        f"Gave up waiting for models: {names}"
                    )
                table.changed.wait(1)

    def _poll_versions(self) -> None:
        while True:
            with self.table.changed:
                if self._stopping:
                    return
                if self._wait_until(self._next_poll):
                    continue
                config = self._config
            self._poll(config)

    def _load_versions(self) -> None:
        while True:
            with self.table.changed:
                if self._stopping:
                    return
                servable = self.table.next_action()
                if servable is None:
                    self._wait_until(self.table.next_retry())
                    continue
                self.table.changed.notify_all()
            if servable.state == State.LOADING:
                self._load_now(servable)
            else:
                self._end(servable)
            if servable.loaded is None:
                # A graph lies in cycles of references, and Python's own rounds,
                # few in a server, see to the young alone. It takes a tenth of
                # a second for a VAE's, and no request waits for a lock in it.
                gc.collect()

    def _wait_until(self, end: float) -> bool:
        """Waits for a change, or for a time; returns whether it waited."""
        seconds = end - time.monotonic()
        if seconds <= 0:
            return False
        # An hour stands for ever: a lock takes no infinite time.
        self.table.changed.wait(min(seconds, 3600))
        return True

    def _poll(self, config: model_server_config_pb2.ModelConfigList) -> None:
        wait = self._options.file_system_poll_wait_seconds
        found, complaints = None, set()
        try:
            found = source.poll(config.config)
        except Exception as failure:  # the thread must outlive any one poll
            complaints.add(
                f"{status.status_of(failure).message}. No model is loaded or "
                "updated until it is there."
            )
        with self.table.changed:
            if config is not self._config:
                return  # replaced meanwhile: poll the new one at once
            self._next_poll = time.monotonic() + wait if wait > 0 else _NEVER
            if found is not None:
                self.table.aspire(found)
                self.table.changed.notify_all()
        for name, paths in (found or {}).items():
            if not paths:
                complaints.add(
                    f"No versions of servable {name} found under its base "
                    "path. Did you forget to name your leaf directory as a "
                    "number (eg. '/1/')?"
                )
        # What is wrong is told once, not at each poll.
        for complaint in complaints - self._complaints:
            _logger.warning(complaint)
        self._complaints = complaints

    def _load_now(self, servable: Servable) -> None:
        start = time.monotonic()
        loaded = error = None
        try:
            loaded = self._load(servable.path)
        except Exception as failure:  # the thread must outlive any one load
            error = status.status_of(failure)
        end = time.monotonic()
        wait = self._options.load_retry_interval_micros / 1e6
        with self.table.changed:
            servable.attempts += 1
            servable.busy = False
            servable.loaded = loaded
            servable.error = error
            servable.not_before = end + wait
            retry = (
                servable.aspired
                and servable.attempts <= self._options.max_num_load_retries
            )
            if loaded is not None:
                servable.state = State.AVAILABLE
            elif not retry:
                servable.state = State.END
            self.table.changed.notify_all()
        where = f"{servable} from {servable.path}"
        if loaded is not None:
            _logger.info("Loaded %s in %.2f s", where, end - start)
            return
        then = f"next try in {wait:g} s" if retry else "given up"
        _logger.error("Loading %s failed: %s (%s)", where, error, then)

    def _end(self, servable: Servable) -> None:
        servable.loaded.close()
        with self.table.changed:
            servable.loaded = None
            servable.state = State.END
            if self._options.file_system_poll_wait_seconds == 0:
                # It may be wanted again since, which a poll finds.
                self._next_poll = 0.0
            self.table.changed.notify_all()
        _logger.info("Unloaded %s", servable)
