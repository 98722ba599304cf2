"""What a study will cost: from its finished runs, or from a few steps."""

import functools
import statistics
import time

import numpy as np

from training.study.plan import num_steps
from training.study.progress import duration
from training.study.runner import is_finished
from training.study.runner import run_directory
from training.study.runner import threads_of_a_run

_STEPS = 10
_SCORED = 500


def known_costs(planned, folder):
    """Mean seconds per run, by kind, of the runs that are finished."""
    seconds = {}
    for one in planned:
        if is_finished(folder, one):
            log = run_directory(folder, one).read_log()
            seconds.setdefault(one.kind, []).append(
                sum(row["seconds"] for row in log)
            )
    return {kind: statistics.mean(s) for kind, s in seconds.items()}


def print_estimate(spec, planned, folder, jobs):
    """Prints the runs and what they will cost.

    Of every kind of which no run is finished a few steps are timed here, with
    as many threads as a run will have. What disturbs the runs later, each
    other included, comes on top. Of a data set that would first have to be
    downloaded or rendered nothing is known.
    """
    from training.study.worker import images_of
    from training.study.worker import set_threads

    set_threads(threads_of_a_run(planned, jobs))
    jobs = max(1, min(jobs, len(planned)))
    costs = known_costs(planned, folder)
    total = 0.0
    unknown = []
    for one in planned:
        if is_finished(folder, one):
            print(f"{one.name}: finished")
            continue
        if not _is_here(one.config.data):
            unknown.append(one)
            print(f"{one.name}: {_length(one.config.training)}, time unknown")
            continue
        images = images_of(one.config.data)
        if one.kind not in costs:
            costs[one.kind] = measured_cost(one, images)
        per_epoch, epochs = num_steps(one.config, len(images.train))
        print(
            f"{one.name}: {per_epoch * epochs:,} steps, about "
            f"{duration(costs[one.kind])}"
        )
        total += costs[one.kind]
    costs_of = []
    if len(unknown) < len(planned):
        costs_of.append(f"about {duration(total / jobs)} with {jobs} at a time")
    if unknown:
        names = sorted({one.config.data.name for one in unknown})
        costs_of.append(
            f"{len(unknown)} of unknown time: a dry run prepares no data set, "
            f"and {', '.join(names)} is not there yet"
        )
    print(f"{spec.name}: {len(planned)} runs, {'; '.join(costs_of)}")


@functools.cache
def _is_here(data):
    """Whether images can be loaded without downloading or rendering them."""
    from yoto_tf.data import splits
    from yoto_tf.data import tfds_images

    return (
        splits.is_folder(data.name)
        # Refused where it is loaded.
        or not tfds_images.is_known(data.name)
        or tfds_images.is_prepared(data.name, data.data_dir)
    )


def _length(training):
    if training.steps:
        return f"{training.steps:,} steps"
    return f"{training.epochs} epochs"


def measured_cost(planned, images):
    """Estimates the seconds of a run: tracing, steps and evaluation."""
    import keras

    from training.optimizers import make_optimizer
    from yoto_tf.data import training_batches
    from yoto_tf.evaluation import rate_distortion_curve
    from yoto_tf.models import ConditionalVAE

    config = planned.config
    per_epoch, epochs = num_steps(config, len(images.train))
    started = time.perf_counter()
    model = ConditionalVAE(
        images.image_shape, config.model, config.beta, seed=0
    )
    model.compile(make_optimizer(config.optimizer, per_epoch * epochs))
    few = images.train[: max(config.training.batch_size * 4, 1)]
    batches, _ = training_batches(
        few, min(config.training.batch_size, len(few))
    )
    iterator = iter(batches)
    model.make_train_function()
    float(model.train_function(iterator)["loss"])
    marks = [time.perf_counter()]
    for _ in range(_STEPS):
        float(model.train_function(iterator)["loss"])
        marks.append(time.perf_counter())
    tracing = marks[0] - started
    step = statistics.median(np.diff(marks))
    scored = images.test[:_SCORED]
    scoring = []
    rate_distortion_curve(
        model,
        scored,
        [1.0] * 3,
        progress=lambda done: scoring.append(time.perf_counter()),
    )
    per_beta = np.diff(scoring).min() * len(images.test) / len(scored)
    tracing += scoring[0] - marks[-1]
    keras.backend.clear_session()
    return tracing + step * per_epoch * epochs + per_beta * len(planned.betas)
