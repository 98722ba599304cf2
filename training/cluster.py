"""Which processes train one model: from `TF_CONFIG`, or Slurm's variables."""

import json
import os

from yoto_tf.errors import InputError

_ROLES = ("chief", "worker")
_SLURM = (
    "SLURM_PROCID",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_STEP_NODELIST",
    "SLURM_STEP_TASKS_PER_NODE",
)
# Of the first process on a node. Jobs that share nodes differ in their IDs.
_FIRST_PORT, _NUM_PORTS = 12000, 20000


def resolver(environment=os.environ):
    """The cluster as the environment tells it.

    Returns:
        `tf.distribute.cluster_resolver.ClusterResolver`.

    Raises:
        InputError: if it tells of none, or not all.
    """
    if environment.get("TF_CONFIG"):
        return _of_tf_config(environment["TF_CONFIG"])
    if environment.get("SLURM_PROCID"):
        return _of_slurm(environment)
    raise InputError(
        "expected TF_CONFIG, or Slurm's variables as srun sets them, for "
        "--strategy multi_worker, received: neither in the environment"
    )


def count(spec):
    """The processes of a `tf.train.ClusterSpec`."""
    return sum(spec.num_tasks(role) for role in spec.jobs)


def index(spec, role, task):
    """The place of a process among all; the chief's is 0."""
    if role == "worker" and "chief" in spec.jobs:
        return task + 1
    return task


def _of_tf_config(text):
    import tensorflow as tf

    try:
        content = json.loads(text)
        spec, task = content["cluster"], content["task"]
        role, number = task["type"], int(task["index"])
        addresses = spec[role]
        if not isinstance(addresses, list):
            raise TypeError(f"{role} is no list")
        if not 0 <= number < len(addresses):
            raise ValueError(f"{role} {number} of {len(addresses)}")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            'expected TF_CONFIG as {"cluster": {"worker": ["host:port", '
            '...]}, "task": {"type": "worker", "index": 0}}, received: '
            f"{text} ({type(error).__name__}: {error})"
        ) from None
    if not set(spec) <= set(_ROLES) or len(spec.get("chief", [0])) != 1:
        raise InputError(
            "expected one chief at most, and workers in TF_CONFIG, received: "
            + ", ".join(f"{len(spec[r])} of {r!r}" for r in spec)
        )
    return _with_own_gpus(tf.train.ClusterSpec(spec), role, number)


def _of_slurm(environment):
    import tensorflow as tf

    missing = [name for name in _SLURM if not environment.get(name)]
    if missing:
        raise InputError(
            f"expected {', '.join(_SLURM)}, as srun sets them, received: no "
            f"{' and no '.join(missing)}"
        )
    tasks = int(environment["SLURM_STEP_NUM_TASKS"])
    job = int(environment.get("SLURM_JOB_ID", "0"))
    found = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=_FIRST_PORT + job % _NUM_PORTS,
        # It would divide a node's GPUs; srun has done so already.
        gpus_per_node=tasks,
        gpus_per_task=1,
        auto_set_gpu=False,
    )
    # It sorts the hosts, node10 before node2; Slurm numbers the tasks in the
    # order of its list.
    order = found._resolve_hostlist()
    addresses = sorted(
        found.cluster_spec().job_tasks("worker"),
        key=lambda address: order.index(address.rsplit(":", 1)[0]),
    )
    rank = int(environment["SLURM_PROCID"])
    node = environment.get("SLURMD_NODENAME")
    host = addresses[rank].rsplit(":", 1)[0]
    if node and node != host:
        raise InputError(
            "expected tasks in blocks, as by srun --distribution=block, "
            f"received: task {rank} on {node}, not on {host}"
        )
    return _with_own_gpus(
        tf.train.ClusterSpec({"worker": addresses}), "worker", rank
    )


def _with_own_gpus(spec, role, number):
    import tensorflow as tf

    gpus = len(tf.config.list_physical_devices("GPU"))
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec,
        task_type=role,
        task_id=number,
        num_accelerators={"GPU": gpus},
        rpc_layer="grpc",
    )
