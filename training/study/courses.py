"""`courses.csv`: the validation losses of a study's runs, epoch by epoch."""

import re

import pandas as pd

from training.study import tables
from training.study.runner import run_directory

FILE = "courses.csv"
_WATCHED = re.compile(r"val_(?P<column>.+)_at_(?P<label>.+)")
_FIXED = "fixed"


def read(spec, path):
    """Reads the table of `collect`, None where there is none."""
    numbers = "steps", "cpu_seconds", "loss"
    return tables.read(path, ("run", *spec.model_family.parameters, *numbers))


def collect(spec, planned, folder, kept=None):
    """Reads what the runs that are scored logged: a model that is told its
    loss parameters at the values that it is watched at, a fixed one at its
    own.

    Args:
        spec: `StudySpec`.
        planned: list of `PlannedRun`.
        folder: where their run directories lie.
        kept: `training.study.kept.Kept`, of runs whose directories are gone.

    Returns:
        `pandas.DataFrame`, a row for each run, value of its loss parameters
        and epoch: `steps` and `cpu_seconds` so far, and `loss`, as the family
        judges it.
    """
    names = list(spec.model_family.parameters)
    rows = []
    for one in planned:
        if kept and one.name in kept.rows:
            if kept.courses is not None:
                of_run = kept.courses[kept.courses.run == one.name]
                rows += of_run.to_dict("records")
            continue
        run = run_directory(folder, one)
        if run.evaluation_file.exists():
            rows += _of_run(spec, one, run)
    columns = ["run", *names, "steps", "cpu_seconds", "loss"]
    return pd.DataFrame(rows, columns=columns)


def _of_run(spec, planned, run):
    log = run.read_log()
    of_epoch = run.read_evaluation()["steps"] / len(log)
    rows, seconds = [], 0.0
    for epoch, row in enumerate(log, 1):
        seconds += row["cpu_seconds"]
        watched = {}
        for name, value in row.items():
            match = _WATCHED.fullmatch(name)
            if match:
                columns = watched.setdefault(match["label"], {})
                columns[match["column"]] = value
        losses = [
            (point, _loss(spec.model_family, columns, point))
            for label, columns in watched.items()
            for point in planned.points
            if is_label_of(label, point, planned.fixed)
        ]
        rows += [
            {
                "run": planned.name,
                **point,
                "steps": round(epoch * of_epoch),
                "cpu_seconds": seconds,
                "loss": loss,
            }
            for point, loss in losses
            if loss is not None
        ]
    return rows


def is_label_of(label, point, fixed):
    """Whether `JointParameters.label` calls a point so: by the parameters
    that vary, with fewer digits where they sum to 1."""
    if label == _FIXED:
        return fixed
    said = dict(one.split("=") for one in label.split(","))
    return all(
        name in point and value in (f"{point[name]:g}", f"{point[name]:.3g}")
        for name, value in said.items()
    )


def _loss(family, columns, point):
    try:
        return family.judged(columns, point)
    except KeyError:
        # It is made of more than what is watched.
        return None
