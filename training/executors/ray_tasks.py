"""Tasks of a Ray cluster, or of a Ray on this machine."""

import os
import sys
from pathlib import Path

from training.executors import base
from yoto_tf.errors import InputError


class RayExecutor(base.Executor):
    """Ray decides which machine has cores for a task, and begins it again
    elsewhere when that machine is lost.

    Args:
        address: of a cluster: `ray://HOST:10001`, `HOST:6379` or `auto`;
            None: starts Ray on this machine.
        cpus: cores of a task.
        threads: of one TensorFlow operation; None: see `base.with_threads`.
        capacity: tasks at once; None: what the cluster has cores for.
        gpus: of a task; a share below 1. Ray shows a task those alone.

    Raises:
        InputError: if Ray is not installed, or does not answer there.
    """

    # Ray does it.
    retries = 0

    def __init__(self, address=None, cpus=1, threads=1, capacity=None, gpus=0):
        base.require("ray", "ray")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        self._ray = ray
        self.capacity = capacity
        here = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            ray.init(
                address or "local",
                log_to_driver=False,
                logging_level="ERROR",
                # The same code on the storage that all share.
                runtime_env={
                    "env_vars": {"PYTHONPATH": os.pathsep.join(paths)}
                },
                **({} if address else here),
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            line = str(error).strip().split("\n")[0]
            raise InputError(
                f"expected a Ray cluster at {address or 'this machine'}, "
                f"received: {type(error).__name__}: {line}"
            ) from error
        self._check_room(cpus, gpus, here=address is None)
        self._task = ray.remote(
            num_cpus=cpus, num_gpus=gpus, max_retries=self.retries_of_ray
        )(base.with_threads)
        self._threads = threads

    def _check_room(self, cpus, gpus, here):
        """A task that no machine has room for would wait for ever, and Ray
        says nothing."""
        asked = {"CPU": cpus, "GPU": gpus}
        rooms = [n["Resources"] for n in self._ray.nodes() if n["Alive"]]
        if any(
            all(room.get(k, 0) >= v for k, v in asked.items()) for room in rooms
        ):
            return
        most = {k: max((r.get(k, 0) for r in rooms), default=0) for k in asked}
        sentence = (
            "expected --cpus and --gpus that a machine of the cluster has, at "
            f"most {most['CPU']:g} and {most['GPU']:g}, received: "
            f"cpus={cpus:g}, gpus={gpus:g}"
        )
        if here:
            self._ray.shutdown()
            raise InputError(sentence)
        # A cluster may grow.
        print(f"waiting for a larger machine: {sentence}", file=sys.stderr)

    # Of a task whose process or machine was lost, not of one that raised.
    retries_of_ray = 3

    def __exit__(self, *error):
        self._ray.shutdown()

    def submit(self, function, *arguments):
        return self._task.remote(self._threads, function, *arguments)

    def finished(self, handles, seconds):
        return self._ray.wait(
            list(handles), num_returns=1, timeout=seconds, fetch_local=False
        )[0]

    def outcome(self, handle):
        errors = self._ray.exceptions
        try:
            return self._ray.get(handle)
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.RayError as error:
            line = str(error).strip().split("\n")[0]
            raise base.Lost(f"{type(error).__name__}: {line}") from error
