"""The workers of a search, started by an executor beside its chief."""

import os
import socket
import threading

from training.executors import options
from training.executors.base import Lost
from training.executors.base import with_threads
from training.executors.local import LocalExecutor
from training.study.runner import num_cores
from training.study.worker import output_to
from yoto_tf.errors import InputError

_SECONDS_BETWEEN_LOOKS = 0.5


def check(given):
    """Raises InputError for options of workers that have no effect."""
    options.check(given)
    if given.workers < 0:
        raise InputError(
            "expected --workers of 0 or more, received: "
            f"workers={given.workers}"
        )
    if given.executor != "local" and not given.workers:
        raise InputError(
            "expected --workers of 1 or more for another executor than "
            f"local, received: executor={given.executor!r}, workers=0"
        )


class Team:
    """Workers that train trials while this process is their chief. A context,
    in which the search is to be run.

    Args:
        given: `ExecutorOptions` with `workers`.
        argv: the command line, which every worker runs again.
        directory: `SearchDirectory`.
        stop: called with a sentence when a worker has failed for good.
    """

    def __init__(self, given, argv, directory, stop):
        self.given, self.argv = given, argv
        self.directory, self.stop = directory, stop
        self.address = _own_address(given), _free_port()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._supervise, daemon=True)

    def __enter__(self):
        os.environ |= self._environment("chief")
        self.executor = self._executor()
        self.executor.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()
        for name in self._environment("chief"):
            os.environ.pop(name, None)
        self.executor.__exit__(*error)

    def _environment(self, name):
        host, port = self.address
        return {
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": host,
            "KERASTUNER_ORACLE_PORT": str(port),
        }

    def _executor(self):
        given = self.given
        if given.executor == "local":
            return LocalExecutor(given.workers)
        folder = self.directory.path.resolve().parent / "slurm"
        return options.on_cluster(given, folder, None, own_threads=True)

    def _begin(self, index):
        threads = self.given.cpus
        if self.given.executor == "local":
            threads = max(1, num_cores() // self.given.workers)
        return self.executor.submit(
            with_threads,
            threads,
            work,
            self.argv,
            self._environment(f"worker{index}"),
            os.getcwd(),
            self.directory.path.resolve() / f"worker{index}.txt",
        )

    def _supervise(self):
        try:
            self._keep_running()
        except Exception as error:
            # As of a queue that takes no job: nobody else would say it.
            self._end(f"{type(error).__name__}: {error}")

    def _end(self, reason):
        self.executor.__exit__(InputError)
        self.stop(
            "expected workers that train until the search ends, received: "
            f"{reason}; --resume goes on"
        )

    def _keep_running(self):
        # Before, the directory has to be new.
        while not self.directory.search_file.exists():
            if self._over.wait(_SECONDS_BETWEEN_LOOKS):
                return
        # Here, too, a worker that is lost is begun again, once: mostly memory
        # is short, and then it is again.
        retries = self.executor.retries or 1
        running = {
            self._begin(i): (i, retries) for i in range(self.given.workers)
        }
        while running and not self._over.is_set():
            for handle in self.executor.finished(
                list(running), _SECONDS_BETWEEN_LOOKS
            ):
                index, retries = running.pop(handle)
                try:
                    reason = self.executor.outcome(handle)
                except Lost as lost:
                    reason = str(lost)
                    if retries:
                        # Under its old ID it gets its trial back.
                        running[self._begin(index)] = index, retries - 1
                        continue
                except Exception as error:
                    reason = f"{type(error).__name__}: {error}"
                if reason and not self._over.is_set():
                    # Its trial would never end, nor would the search.
                    self._end(f"worker{index}: {reason}")
                    return
        self._over.wait()


def work(argv, environment, folder, output):
    """Runs a worker of a search to its end, in a process of an executor.

    Args:
        argv: of `python -m training.tune`.
        environment: KerasTuner's variables.
        folder: to which paths are relative.
        output: file that gets what it prints.

    Returns:
        None, or where it failed.
    """
    from training import tune

    os.chdir(folder)
    os.environ |= environment
    with output_to(output):
        try:
            tune.main(argv)
        except SystemExit as ended:
            if ended.code:
                return f"ended with code {ended.code}; see {output}"
    return None


def _own_address(given):
    here = given.executor == "ray" and given.ray_address is None
    if given.executor == "local" or here or "cluster=local" in given.slurm:
        return "127.0.0.1"
    # The address that others see; nothing is sent.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("10.255.255.255", 1))
        return probe.getsockname()[0]


def _free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]
