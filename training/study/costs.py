"""What a study will cost: from its finished runs, or from a few steps."""

import dataclasses
import statistics
import time

import numpy as np

from training.durations import duration
from training.study.plan import num_steps
from training.study.runner import is_finished
from training.study.runner import run_directory
from training.study.runner import threads_of_a_run
from yoto_tf.families import family_for

_STEPS = 10
_SCORED = 500


def known_costs(planned, folder, kept):
    """Mean seconds per run, by kind, of the runs that are finished: of
    training and, where their directories are there, of scoring."""
    seconds = {}
    for one in planned:
        took = kept.seconds(one)
        if took is None and is_finished(folder, one):
            run = run_directory(folder, one)
            took = sum(row["seconds"] for row in run.read_log())
            evaluation = run.read_evaluation()
            took += evaluation.get("seconds", 0)
        if took is not None:
            seconds.setdefault(one.kind, []).append(took)
    return {kind: statistics.mean(s) for kind, s in seconds.items()}


def print_estimate(spec, planned, folder, jobs, kept):
    """Prints the runs and what they will cost.

    Of every kind of which no run is finished a few steps are timed here, with
    as many threads as a run will have. What disturbs the runs later, each
    other included, comes on top. Of a data set that would first have to be
    downloaded or rendered nothing is known.
    """
    from training.study.worker import set_threads
    from training.study.worker import splits_of

    set_threads(threads_of_a_run(planned, jobs))
    jobs = max(1, min(jobs, len(planned)))
    known = known_costs(planned, folder, kept)
    costs = dict(known)
    total = 0.0
    unknown = []
    for one in planned:
        if one in kept or is_finished(folder, one):
            print(f"{one.name}: finished")
            continue
        if not spec.model_family.is_here(one.config):
            unknown.append(one)
            print(f"{one.name}: {_length(one.config.training)}, time unknown")
            continue
        splits = splits_of(one.config)
        if one.kind not in costs:
            costs[one.kind] = measured_cost(one, splits)
        per_epoch, epochs = num_steps(one.config, len(splits.train))
        print(
            f"{one.name}: {per_epoch * epochs:,} steps, about "
            f"{duration(costs[one.kind])}"
        )
        total += costs[one.kind]
    costs_of = []
    if len(unknown) < len(planned):
        costs_of.append(f"about {duration(total / jobs)} with {jobs} at a time")
    if unknown:
        names = sorted({str(one.config.data.name) for one in unknown})
        costs_of.append(
            f"{len(unknown)} of unknown time: a dry run prepares no data set, "
            f"and {', '.join(names)} is not there yet"
        )
    if costs_of and any(
        one.metrics and one.kind not in known
        for one in planned
        if one not in unknown
    ):
        costs_of.append("what its metrics take on top")
    print(f"{spec.name}: {len(planned)} runs, {'; '.join(costs_of)}")


def _length(training):
    if training.steps:
        return f"{training.steps:,} steps"
    return f"{training.num_epochs(1)} epochs"


def measured_cost(planned, splits):
    """Estimates the seconds of a run: tracing, steps and evaluation."""
    import keras

    from training.train import new_model

    config = planned.config
    family = family_for(config)
    per_epoch, epochs = num_steps(config, len(splits.train))
    started = time.perf_counter()
    model = new_model(family, config, splits, per_epoch * epochs)
    batch_size = min(config.training.batch_size, len(splits.train))
    few = dataclasses.replace(splits, train=splits.train[: batch_size * 4])
    iterator = iter(family.training_batches(config, few, batch_size, 0))
    model.make_train_function()
    float(model.train_function(iterator)["loss"])
    marks = [time.perf_counter()]
    for _ in range(_STEPS):
        float(model.train_function(iterator)["loss"])
        marks.append(time.perf_counter())
    tracing = marks[0] - started
    step = statistics.median(np.diff(marks))
    scored = splits.test[:_SCORED]
    scoring = []
    family.score(
        model,
        scored,
        [planned.points[0]] * 3,
        done=lambda _: scoring.append(time.perf_counter()),
    )
    per_point = np.diff(scoring).min() * len(splits.test) / len(scored)
    tracing += scoring[0] - marks[-1]
    keras.backend.clear_session()
    return tracing + step * per_epoch * epochs + per_point * len(planned.points)
