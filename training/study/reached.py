"""When one training has what others end with: `reached.csv`.

From the losses of validation that every run logs, epoch by epoch: a model that
is told its loss parameters at the values that it is watched at, a fixed one at
its own.
"""

import json
import math
import re

import pandas as pd

from training.study.runner import run_directory
from yoto_tf import points
from yoto_tf.files import written_whole

_WATCHED = re.compile(r"val_(?P<column>.+)_at_(?P<label>.+)")
_FIXED = "fixed"


def collect(spec, planned, folder):
    """Compares every run of a model that is told its loss parameters with the
    runs of all other methods, of the same width and seed.

    Args:
        spec: `StudySpec`.
        planned: list of `PlannedRun`.
        folder: where their run directories lie.

    Returns:
        `pandas.DataFrame`, a row for each run, other method and value of the
        loss parameters that both were watched at: `steps` and `cpu_seconds`
        at the end of the first epoch in which its full loss was at most what
        the other had at its end, NaN if in none; `of_steps` and
        `of_cpu_seconds`, what the other took for that.
    """
    courses = [
        (one, _course(spec, one, run))
        for one in planned
        for run in [run_directory(folder, one)]
        if run.evaluation_file.exists()
    ]
    rows = []
    for own, course in courses:
        if own.fixed:
            continue
        for other, ended in courses:
            if (own.width, own.seed) != (other.width, other.seed):
                continue
            if own.method == other.method:
                continue
            for label in course.keys() & ended.keys():
                *_, last = ended[label]
                rows.append(_row(own, other, course[label], last))
    names = list(spec.model_family.parameters)
    keys = ["method", "of", "width", "seed", *names]
    numbers = ["steps", "cpu_seconds", "of_steps", "of_cpu_seconds"]
    table = pd.DataFrame(rows, columns=[*keys, *numbers])
    return table.sort_values(keys, ignore_index=True)


def _row(own, other, course, last):
    first = next((c for c in course if c["loss"] <= last["loss"]), {})
    return {
        "method": own.method,
        "of": other.method,
        "width": own.width,
        "seed": own.seed,
        **last["point"],
        "steps": first.get("steps", math.nan),
        "cpu_seconds": first.get("cpu_seconds", math.nan),
        "of_steps": last["steps"],
        "of_cpu_seconds": last["cpu_seconds"],
    }


def _course(spec, planned, run):
    """dict, label of a point -> list of dicts, an epoch each."""
    log = run.read_log()
    of_epoch = json.loads(run.evaluation_file.read_text())["steps"] / len(log)
    # As `JointParameters.label` writes them.
    by_label = {points.label(p).replace(", ", ","): p for p in planned.points}
    if planned.fixed:
        by_label[_FIXED] = planned.points[0]
    found, seconds = {}, 0.0
    for epoch, row in enumerate(log, 1):
        seconds += row["cpu_seconds"]
        watched = {}
        for name, value in row.items():
            match = _WATCHED.fullmatch(name)
            if match and match["label"] in by_label:
                columns = watched.setdefault(match["label"], {})
                columns[match["column"]] = value
        for label, columns in watched.items():
            point = by_label[label]
            loss = _loss(spec.model_family, columns, point)
            if loss is not None:
                found.setdefault(points.label(point), []).append(
                    {
                        "point": point,
                        "loss": loss,
                        "steps": round(epoch * of_epoch),
                        "cpu_seconds": seconds,
                    }
                )
    return found


def _loss(family, columns, point):
    try:
        return family.judged(columns, point)
    except KeyError:
        # It is made of more than what is watched.
        return None


def write(table, path):
    """Writes the table as CSV, whole; nothing if it is empty."""
    if len(table):
        with written_whole(path) as aside:
            seconds = {"cpu_seconds": 3, "of_cpu_seconds": 3}
            table.round(seconds).to_csv(aside, index=False, lineterminator="\n")


def read(path):
    """What `write` wrote; None: there is none."""
    return pd.read_csv(path) if path.exists() else None
