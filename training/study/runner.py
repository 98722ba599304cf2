"""Takes a study's runs to their end, several at a time."""

import json
import multiprocessing
import os
import queue
from concurrent.futures import FIRST_COMPLETED
from concurrent.futures import wait

import pebble

from training import metrics
from training.beginning import check_same_config
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
    if not run.model_file.exists() or not run.curve_file.exists():
        return False
    family = run.family()
    scored = [
        {n: row[n] for n in family.parameters} for row in run.read_curve()
    ]
    evaluation = json.loads(run.evaluation_file.read_text())
    known = dict.fromkeys(evaluation.get("metrics_left_out", ()))
    for name, facts in evaluation.get("metrics", {}).items():
        known[name] = facts.get("size") if isinstance(facts, dict) else None
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


def train_all(planned, folder, preset, jobs, progress):
    """Trains and scores what is not finished.

    Args:
        planned: list of `PlannedRun`.
        folder: where their run directories lie.
        preset: name that their `config.json` mentions.
        jobs: processes at a time.
        progress: `StudyProgress`.

    Returns:
        dict, name of a run -> why it failed.

    Raises:
        InputError: if a data set cannot be used, or is not the one that a
            run was begun on.
    """
    failures = {}
    waiting = []
    for one in planned:
        reason = divergence(folder, one)
        if reason:
            failures[one.name] = reason
        elif not is_finished(folder, one):
            waiting.append(one)
    if not waiting:
        return failures
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    pool = pebble.ProcessPool(
        min(jobs, len(waiting)),
        initializer=worker.start,
        initargs=(threads_of_a_run(planned, jobs), messages),
        context=context,
    )
    try:
        for first in differing_data(waiting):
            begun = [
                folder / one.name
                for one in planned
                if one.config.data == first.config.data
            ]
            reason = pool.schedule(
                worker.prepare, [first.config, begun]
            ).result()
            if reason:
                raise InputError(reason)
        failures |= _until_done(
            waiting, folder, preset, pool, messages, progress
        )
        pool.close()
    finally:
        # After an error, and after Ctrl-C: the runs keep their checkpoints.
        pool.stop()
        pool.join()
        messages.close()
    return failures


def _until_done(waiting, folder, preset, pool, messages, progress):
    failures = {}
    futures = {
        pool.schedule(
            worker.train_and_score, [one, folder / one.name, preset]
        ): one
        for one in waiting
    }
    pending = set(futures)
    with progress:
        while pending:
            done, pending = wait(
                pending, _SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED
            )
            while True:
                try:
                    progress.trained(*messages.get_nowait())
                except queue.Empty:
                    break
            for future in done:
                one = futures[future]
                reason = _outcome(future)
                if reason:
                    failures[one.name] = reason
                progress.ended(one, reason)
            progress.tick()
    return failures


def _outcome(future):
    try:
        return future.result()
    except pebble.ProcessExpired as error:
        return f"its process ended with exit code {error.exitcode}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
