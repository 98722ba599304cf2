"""When one training has what others end with: `reached.csv`."""

import math

import pandas as pd

FILE = "reached.csv"


def collect(spec, planned, courses):
    """Compares every run of a model that is told its loss parameters with the
    runs of all other methods, of the same width and seed.

    Args:
        spec: `StudySpec`.
        planned: list of `PlannedRun`.
        courses: `pandas.DataFrame` of `training.study.courses`.

    Returns:
        `pandas.DataFrame`, a row for each run, other method and value of the
        loss parameters that both were watched at: `steps` and `cpu_seconds`
        at the end of the first epoch from which on its full loss was at most
        what the other had at its end, NaN if it ended above that;
        `of_steps` and `of_cpu_seconds`, what the other took for that.
    """
    names = list(spec.model_family.parameters)
    # Rows of a group keep the order of its epochs.
    by_run = {
        run: dict(list(of_run.groupby(names)))
        for run, of_run in courses.groupby("run")
    }
    rows = []
    for own in planned:
        if own.fixed:
            continue
        for other in planned:
            if (own.width, own.seed) != (other.width, other.seed):
                continue
            if own.method == other.method:
                continue
            course, ended = by_run.get(own.name, {}), by_run.get(other.name, {})
            for point in course.keys() & ended.keys():
                last = ended[point].iloc[-1]
                rows.append(
                    {
                        "method": own.method,
                        "of": other.method,
                        "width": own.width,
                        "seed": own.seed,
                        **dict(zip(names, point, strict=True)),
                        **_first(course[point], last),
                    }
                )
    keys = ["method", "of", "width", "seed", *names]
    numbers = ["steps", "cpu_seconds", "of_steps", "of_cpu_seconds"]
    table = pd.DataFrame(rows, columns=[*keys, *numbers])
    return table.sort_values(keys, ignore_index=True)


def _first(course, last):
    # Losses of validation images are noisy: one epoch below proves nothing.
    as_good = course.loss <= last.loss
    stays = course[as_good[::-1].cummin()[::-1]]
    first = stays.iloc[0] if len(stays) else {}
    return {
        "steps": first.get("steps", math.nan),
        "cpu_seconds": first.get("cpu_seconds", math.nan),
        "of_steps": last.steps,
        "of_cpu_seconds": last.cpu_seconds,
    }
