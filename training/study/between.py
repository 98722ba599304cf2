"""`between.csv`: what models that are told their loss parameter have between
the points at which a study compares.

A model that is trained for one value has one point of the trade-off; this is
the rest of the line that one training gives.
"""

import pandas as pd

from training.study import results
from training.study import tables
from training.study.runner import is_finished
from training.study.runner import run_directory
from yoto_tf.families import family_for

FILE = "between.csv"


def score(spec, planned, folder, log=print):
    """Scores the finished models at the values of their settings' grid that
    the study does not have, and writes them beside each model, where that was
    not done as they ended.

    Args:
        spec: `StudySpec`; nothing is scored of one with several loss
            parameters, which have no line, or on held-out examples.
        planned: list of `PlannedRun`.
        folder: where their run directories lie.
        log: called with a sentence for each model that is scored.
    """
    data = splits = None
    for one in planned:
        run = run_directory(folder, one)
        points = _wanted(one, run)
        if not points or not is_finished(folder, one):
            continue
        log(f"{one.name}: scored at {len(points)} values more, for its line")
        if one.config.data != data:
            # Once for all runs, which most often share it.
            data = one.config.data
            splits = spec.model_family.load(
                one.config, parts=("test",), known=run.data.read()
            )
        score_run(one, run, splits, log=log)


def score_run(planned, run, splits, model=None, log=print):
    """Scores one run so, as it ends.

    Args:
        planned: `PlannedRun`.
        run: its `RunDirectory`.
        splits: `Splits` with `test` loaded.
        model: the trained model, where the caller has it already.
        log: called with a sentence on data that are not what they were.
    """
    from training.test_split import unseen

    points = _wanted(planned, run)
    if points:
        examples, _ = unseen(run, splits, log)
        model = model or run.load_model()
        rows = family_for(planned.config).score(model, examples, points)
        tables.write(pd.DataFrame(rows), run.between_file)


def _wanted(planned, run):
    """The points that a run is still to be scored at."""
    points = _further_points(planned)
    return points if points and not _has(run, points) else []


def _further_points(planned):
    if planned.fixed or planned.scored != "test" or len(planned.points[0]) > 1:
        return []
    grid = family_for(planned.config).grid(planned.config)
    return [point for point in grid if point not in planned.points]


def _has(run, points):
    """Whether a run was scored at these points, and no others."""
    if not run.between_file.exists():
        return False
    rows = tables.read(run.between_file)[list(points[0])].to_dict("records")
    return sorted(map(str, rows)) == sorted(
        str({n: float(v) for n, v in point.items()}) for point in points
    )


def read(spec, path):
    """Reads the table of `collect`, None where there is none."""
    keys = "method", "width", "seed", *spec.model_family.parameters
    return tables.read(path, keys)


def collect(spec, planned, folder, known=None):
    """Reads what `score` wrote.

    Args:
        spec: `StudySpec`.
        planned: list of `PlannedRun`.
        folder: where their run directories lie.
        known: an earlier table, of runs whose directories are gone.

    Returns:
        `pandas.DataFrame`: method, width, seed and loss parameter, and both
        sides of the family's trade-off.
    """
    family = spec.model_family
    keys = ["method", "width", "seed", *family.parameters]
    columns = [*keys, *(c.name for c in family.trade_off)]
    rows = []
    for one in planned:
        key = {"method": one.method, "width": one.width, "seed": one.seed}
        run = run_directory(folder, one)
        if run.between_file.exists() and is_finished(folder, one):
            of_run = tables.read(run.between_file)
            rows += [key | row for row in of_run.to_dict("records")]
        elif known is not None and not run.config_file.exists():
            same = (known[list(key)] == list(key.values())).all(axis=1)
            rows += known[same].to_dict("records")
    table = pd.DataFrame(rows, columns=columns)
    costs = [c.name for c in family.trade_off]
    table[costs] = table[costs].map(results.rounded)
    return table
