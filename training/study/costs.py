"""What a study will cost: from its finished runs, or from a few steps."""

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
    other included, comes on top.
    """
    from training.study.worker import images_of
    from training.study.worker import set_threads

    set_threads(threads_of_a_run(planned, jobs))
    jobs = max(1, min(jobs, len(planned)))
    costs = known_costs(planned, folder)
    total = 0.0
    for one in planned:
        if is_finished(folder, one):
            print(f"{one.name}: finished")
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
    print(
        f"{spec.name}: {len(planned)} runs, about {duration(total / jobs)} "
        f"with {jobs} at a time"
    )


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
