"""Takes a study's runs to their end, several at a time."""

import json
import os
import queue as queue_module

from training import metrics
from training.beginning import check_same_config
from training.executors.base import Lost
from training.executors.local import LocalExecutor
from training.study import worker
from training.study.plan import differing_data
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory

_MOST_JOBS = 8
_SECONDS_BETWEEN_LOOKS = 0.5


def default_jobs():
    """One process with one thread per core trains most images per second
    (`docs/performance.md`), until memory is what lacks."""
    return min(num_cores(), _MOST_JOBS)


def num_cores():
    return len(os.sched_getaffinity(0))


def threads_of_a_run(planned, jobs):
    """Returns the threads of one TensorFlow operation.

    They do not grow when fewer runs than `jobs` are left: they decide in which
    order sums are rounded, and a run that was cut off has to end as it would
    have.
    """
    return max(1, num_cores() // min(jobs, max(1, len(planned))))


def run_directory(folder, planned):
    """Returns the `RunDirectory` of a planned run."""
    return RunDirectory(folder / planned.name)


def is_finished(folder, planned):
    """Whether a run is trained, scored at the points that are asked, and
    measured."""
    run = run_directory(folder, planned)
    # In the order in which they are written: a run may be killed in between.
    files = run.model_file, run.curve_file, run.evaluation_file
    if not all(file.exists() for file in files):
        return False
    family = run.family()
    scored = [
        {n: row[n] for n in family.parameters} for row in run.read_curve()
    ]
    evaluation = run.read_evaluation()
    if evaluation.get("split", "test") != planned.scored:
        return False
    known = dict.fromkeys(evaluation.get("metrics_left_out", ()))
    for name, facts in evaluation.get("metrics", {}).items():
        if not isinstance(facts, dict):
            known[name] = None
        elif not facts.get("cut_off"):
            known[name] = facts.get("size")
    asked = metrics.parsed(planned.metrics, family)
    measured = all(
        n in known and known[n] in (None, s) for n, s in asked.items()
    )
    return scored == planned.points and measured


def without_record(folder, planned):
    """Returns the names of runs that do not say what they were trained on, as
    those of earlier versions."""
    runs = {one.name: run_directory(folder, one) for one in planned}
    return [
        name
        for name, run in runs.items()
        if run.checkpoint_epochs() and run.data.read() is None
    ]


def divergence(folder, planned):
    """Returns why a run diverged, or None. It would diverge again."""
    run = run_directory(folder, planned)
    if not run.divergence_file.exists():
        return None
    return "diverged: " + json.loads(run.divergence_file.read_text())["reason"]


def check_settings(folder, planned):
    """Refuses run directories of other settings than those planned.

    Raises:
        InputError: for the first of them.
    """
    for one in planned:
        run = run_directory(folder, one)
        if run.config_file.exists():
            check_same_config(one.config, run.read_config(), run)


def train_all(
    planned,
    folder,
    preset,
    jobs,
    progress,
    make_executor=None,
    ended=None,
    kept=None,
):
    """Trains and scores what is not finished.

    Args:
        planned: list of `PlannedRun`.
        folder: where their run directories lie.
        preset: name that their `config.json` mentions.
        jobs: runs at a time; 0: all that there is room for.
        progress: `StudyProgress`.
        make_executor: makes a `training.executors.base.Executor` of a number
            of runs at a time.
        ended: called after each run with the failures so far.
        kept: `training.study.kept.Kept`: runs that are not trained again.

    Returns:
        dict, name of a run -> why it failed.

    Raises:
        InputError: if a data set cannot be used, or is not the one that a
            run was begun on.
    """
    make_executor = make_executor or local_executor(planned, jobs)
    failures = dict(kept.failures) if kept else {}
    waiting = []
    for one in planned:
        if kept and one in kept:
            continue
        reason = divergence(folder, one)
        if reason:
            failures[one.name] = reason
        elif not is_finished(folder, one):
            waiting.append(one)
    if not waiting:
        return failures
    with make_executor(min(jobs or len(waiting), len(waiting))) as executor:
        for first in differing_data(waiting):
            same = [
                one for one in planned if one.config.data == first.config.data
            ]
            begun = [folder / one.name for one in same]
            known = kept.data(same) if kept else {}
            try:
                reason = executor.call(
                    worker.prepare, first.config, begun, known
                )
            except Lost as lost:
                reason = (
                    f"expected data.name={first.config.data.name!r} to be "
                    f"loaded, received: {lost}, as where memory is short"
                )
            if reason:
                raise InputError(reason)
        for one, reason in _ended(waiting, folder, preset, executor, progress):
            if reason:
                failures[one.name] = reason
            if ended:
                ended(failures)
    return failures


def local_executor(planned, jobs):
    """What makes an executor of processes of this machine, for `train_all`.

    Args:
        planned: list of `PlannedRun`, of the whole study.
        jobs: runs at a time, whatever is left of them; 0: one per core.
    """
    # Not of those that are left; see there.
    threads = threads_of_a_run(planned, jobs or default_jobs())

    def make(num):
        return LocalExecutor(num, worker.start, (threads,))

    return make


def _ended(waiting, folder, preset, executor, progress):
    """Generates pairs: a run that ended, and why it failed or None."""
    running = {}
    queue = [(one, executor.retries) for one in waiting]
    with progress:
        while queue or running:
            while queue and not (
                executor.capacity and len(running) >= executor.capacity
            ):
                one, retries = queue.pop(0)
                path = folder / one.name
                handle = executor.submit(
                    worker.train_and_score, one, path, preset
                )
                running[handle] = one, retries
            done = executor.finished(list(running), _SECONDS_BETWEEN_LOOKS)
            _note_progress(executor, progress, folder, running)
            for handle in done:
                one, retries = running.pop(handle)
                reason = _outcome(executor, handle)
                if isinstance(reason, Lost) and retries:
                    # It goes on after its last checkpoint.
                    queue.append((one, retries - 1))
                    continue
                reason = str(reason) if reason else None
                progress.ended(one, reason)
                yield one, reason
            progress.tick()


def _note_progress(executor, progress, folder, running):
    if executor.is_here:
        while True:
            try:
                progress.trained(*executor.messages.get_nowait())
            except queue_module.Empty:
                return
    for one, _ in running.values():
        fraction = worker.fraction(folder / one.name)
        if fraction is not None:
            progress.trained(one.name, fraction)


def _outcome(executor, handle):
    """None, why a run failed, or that it was `Lost`."""
    try:
        return executor.outcome(handle)
    except Lost as lost:
        return lost
    except Exception as error:
        return f"{type(error).__name__}: {error}"
