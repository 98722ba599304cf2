"""What a command line says of executors."""

import json
import math
from dataclasses import dataclass
from typing import Annotated
from typing import Literal

import tyro

from yoto_tf.errors import InputError


@dataclass(frozen=True)
class ExecutorOptions:
    """Where to run what does not depend on each other; docs/scale.md."""

    executor: Literal["local", "ray", "slurm"] = "local"
    """In processes of this machine, in tasks of Ray, or in jobs of Slurm. The
    last two need storage that all machines share, under the same paths."""
    ray_address: str | None = None
    """Of a Ray cluster: ray://HOST:10001, HOST:6379 or auto; unset: starts
    Ray on this machine."""
    cpus: int = 1
    """Cores and threads of a run, with ray and slurm."""
    gpus: float = 0.0
    """GPUs of a run, with ray; below 1 runs share one. Slurm has a parameter
    for it: --slurm gpus_per_node=1."""
    slurm: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")
    ] = ()
    """Parameters of submitit, as slurm_partition=short timeout_min=600;
    cluster=local is its stand-in for Slurm on this machine."""


def check(options):
    """Raises InputError for options without effect."""
    if options.cpus < 1:
        raise InputError(
            f"expected --cpus of 1 or more, received: cpus={options.cpus}"
        )
    if not 0 <= options.gpus < math.inf or (
        options.gpus > 1 and options.gpus % 1
    ):
        raise InputError(
            "expected --gpus of 0 or more, whole above 1, received: "
            f"gpus={options.gpus}"
        )
    default = ExecutorOptions()
    idle = {
        "ray_address": ("ray",),
        "slurm": ("slurm",),
        "cpus": ("ray", "slurm"),
        "gpus": ("ray",),
    }
    for name, executors in idle.items():
        given = getattr(options, name)
        if options.executor not in executors and given != getattr(
            default, name
        ):
            raise InputError(
                f"expected --executor {' or '.join(executors)} with "
                f"--{name.replace('_', '-')}, received: "
                f"executor={options.executor!r}, {name}={given!r}"
            )


def on_cluster(options, folder, capacity, own_threads=False):
    """Makes the executor `ray` or `slurm`.

    Args:
        options: `ExecutorOptions`.
        folder: for the executor's files, on the storage that all share.
        capacity: tasks at once; None: what there is room for.
        own_threads: whether tasks start processes of their own, which set
            their threads.
    """
    threads = None if own_threads else options.cpus
    if options.executor == "ray":
        from training.executors.ray_tasks import RayExecutor

        return RayExecutor(
            options.ray_address, options.cpus, threads, capacity, options.gpus
        )
    from training.executors.slurm_jobs import SlurmExecutor

    parameters = dict(_parameter(text) for text in options.slurm)
    cluster = parameters.pop("cluster", "slurm")
    return SlurmExecutor(
        folder, options.cpus, threads, capacity, parameters, cluster
    )


def _parameter(text):
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise InputError(f"expected --slurm NAME=VALUE ..., received: {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
