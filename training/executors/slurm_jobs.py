"""Tasks as jobs of Slurm, by submitit."""

import shutil
import time

from training.executors import base
from yoto_tf.errors import InputError

_SECONDS_BETWEEN_LOOKS = 0.5


class Task:
    """A function that Slurm may stop, for its time limit or another job, and
    that then begins again, from its last checkpoint."""

    def __call__(self, *arguments):
        return base.with_threads(*arguments)

    def checkpoint(self, *arguments):
        """What submitit puts back into the queue."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, *arguments)


class SlurmExecutor(base.Executor):
    """A job for every task.

    Args:
        folder: for submitit's files, on the storage that all share.
        cpus: cores of a task.
        threads: of one TensorFlow operation; None: see `base.with_threads`.
        capacity: jobs in the queue at once; None: all.
        parameters: dict, of `submitit.AutoExecutor.update_parameters`, as
            `slurm_partition`, `timeout_min`, `gpus_per_node`.
        cluster: `slurm`; `local` and `debug` are submitit's stand-ins.

    Raises:
        InputError: if submitit is not installed, there is no sbatch here, or
            submitit does not know a parameter.
    """

    def __init__(
        self,
        folder,
        cpus=1,
        threads=1,
        capacity=None,
        parameters=None,
        cluster="slurm",
    ):
        base.require("submitit", "slurm")
        if cluster == "slurm" and shutil.which("srun") is None:
            raise InputError(
                "expected --executor slurm where Slurm's commands are, "
                "received: no srun in PATH"
            )
        import submitit

        self._uncompleted = submitit.core.utils.UncompletedJobError
        self._failed = submitit.core.utils.FailedJobError
        self._executor = submitit.AutoExecutor(str(folder), cluster=cluster)
        try:
            self._executor.update_parameters(
                cpus_per_task=cpus, **(parameters or {})
            )
        except (NameError, TypeError, ValueError) as error:
            raise InputError(
                f"expected parameters of submitit for --slurm, received: "
                f"{parameters} ({error})"
            ) from error
        self._threads = threads
        self.capacity = capacity
        self._jobs = []

    def __exit__(self, *error):
        for job in self._jobs:
            if not job.done():
                job.cancel()

    def submit(self, function, *arguments):
        try:
            job = self._executor.submit(
                Task(), self._threads, function, *arguments
            )
        except (self._failed, OSError) as error:
            line = " ".join(str(error).split())
            raise InputError(
                f"expected a job that Slurm takes, received: {line}"
            ) from error
        self._jobs.append(job)
        return job

    def finished(self, handles, seconds):
        deadline = time.monotonic() + seconds
        while True:
            done = [job for job in handles if job.done()]
            if done or time.monotonic() >= deadline:
                return done
            time.sleep(min(_SECONDS_BETWEEN_LOOKS, seconds))

    def outcome(self, handle):
        try:
            return handle.result()
        except self._failed as error:
            trace = str(error).split("-" * 22)[1].strip()
            raise RuntimeError(trace.split("\n")[-1]) from error
        except self._uncompleted as error:
            line = str(error).strip().split("\n")[0]
            raise base.Lost(f"job {handle.job_id}: {line}") from error
