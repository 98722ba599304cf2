"""Which devices and processes a training is given, as a command line asks."""

import contextlib
import os
import subprocess
import sys

from training import cluster
from training.distribution import Distribution
from yoto_tf import command_line
from yoto_tf.errors import InputError


def made(strategy, devices=0, seconds=600.0):
    """What a command line asks for.

    Args:
        strategy: `none`, `mirrored` or `multi_worker`.
        devices: see `mirrored`.
        seconds: see `multi_worker`.

    Returns:
        `Distribution`.

    Raises:
        InputError: for what cannot be, here or at all.
    """
    if devices < 0 or not seconds > 0:
        raise InputError(
            "expected --devices of 0 or more and --wait above 0, received: "
            f"devices={devices}, wait={seconds}"
        )
    if devices and strategy != "mirrored":
        raise InputError(
            "expected --devices for --strategy mirrored alone, received: "
            f"devices={devices}, strategy={strategy!r}"
        )
    if strategy == "mirrored":
        return mirrored(devices)
    if strategy == "multi_worker":
        return multi_worker(seconds)
    return Distribution()


def mirrored(devices=0):
    """The devices of this machine.

    Args:
        devices: how many; 0: all GPUs. Where there are no GPUs the processor
            is divided into so many, whose operations share its cores.

    Raises:
        InputError: if there are fewer.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and not devices:
        raise InputError(
            "expected GPUs for --strategy mirrored, or --devices N to divide "
            "the processor into N, received: a machine without GPUs"
        )
    if gpus and devices > len(gpus):
        raise InputError(
            f"expected --devices of at most the {len(gpus)} GPUs here, "
            f"received: devices={devices}"
        )
    kind = "GPU" if gpus else "CPU"
    if not gpus:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * devices,
        )
    names = [f"{kind}:{i}" for i in range(devices or len(gpus))]
    return Distribution(tf.distribute.MirroredStrategy(names))


def multi_worker(seconds):
    """This process of several, as `TF_CONFIG` or Slurm says.

    Args:
        seconds: to wait for the others; the process ends with a sentence if
            they do not come.

    Raises:
        InputError: if neither says it, or what it says is incomplete.
    """
    import tensorflow as tf

    resolver = cluster.resolver()
    spec = resolver.cluster_spec()
    index = cluster.index(spec, resolver.task_type, resolver.task_id)
    others = cluster.count(spec) - 1
    where = spec.task_address(resolver.task_type, resolver.task_id)
    sentence = (
        f"expected {others} other workers within {seconds:g} s, received: no "
        f"answer from all of them to {where} (worker {index})"
    )
    # TensorFlow's lines about waiting are held back, the sentence is not.
    with _ends_after(seconds, sentence), command_line.held_back_stderr():
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        made = Distribution(strategy, index, others + 1)
        with made.losses_reported():
            made.wait_for_all()
    return made


def one_core_each(count):
    """Gives every operation one thread, and runs so many at once: what the
    parts of a batch are faster by. Before TensorFlow's first operation.

    Raises:
        InputError: for more than the processor has.
    """
    import tensorflow as tf

    cores = len(os.sched_getaffinity(0))
    if not 1 <= count <= cores:
        raise InputError(
            f"expected --batch-parts of 1 to {cores}, the cores here, "
            f"received: batch_parts={count}"
        )
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(count)


# While TensorFlow waits, no other thread of Python runs: a process of its own
# has to look at the clock. The end of its input says that the wait is over.
_WATCH = """
import os, select, signal, sys
_, seconds, process, sentence = sys.argv
if not select.select([0], [], [], float(seconds))[0]:
    os.write(2, f"error: {sentence}\\n".encode())
    os.kill(int(process), signal.SIGKILL)
"""


@contextlib.contextmanager
def _ends_after(seconds, sentence):
    """Kills this process if the block, which may hang, takes longer."""
    words = [str(seconds), str(os.getpid()), sentence]
    with subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", _WATCH, *words],
        stdin=subprocess.PIPE,
    ):
        # Closes the input when it is left, and waits for the end.
        yield


def end(sentence):
    """Ends the process with a sentence and code 1, at once: the end of the
    interpreter would wait for the other processes."""
    sys.stdout.flush()
    os.write(2, f"error: {sentence}\n".encode())
    os._exit(1)
