"""`results.csv`: one row per method, width, seed and point."""

import csv
import math
import statistics

import pandas as pd

from training.metrics import ENDS
from training.study import tables
from training.study.runner import run_directory
from yoto_tf import points
from yoto_tf.errors import InputError
from yoto_tf.files import written_whole

FILE = "results.csv"
_OF_RUN = [
    # The same in all rows of a run.
    "train_seconds",
    "train_cpu_seconds",
    "cpu_ms_per_step",
    "steps",
    "parameters",
    "example_values",
    "run",
    # With what it was made.
    "processor",
    "commit",
    # The fingerprint of what it was trained on.
    "data",
    # Of what was decided before the scores; empty: nothing was.
    "protocol",
    # Why the run has no scores; empty if it has.
    "failure",
]
_MADE_WITH = ("processor", "commit", "data", "protocol")
_TEXTS = (*_MADE_WITH, "failure")


def keys(family):
    """Columns that tell the rows apart."""
    return ["method", "width", "seed", *family.parameters]


def columns(family):
    """All columns of `results.csv`, those of a reference left out."""
    shown = [family.objective, *family.trade_off, *family.columns]
    names = dict.fromkeys(c.name for c in shown)
    with_errors = [n for name in names for n in (name, f"{name}_se")]
    measured = [
        c.name + end
        for metric in family.metrics.values()
        for c in metric.columns
        for end in ENDS
    ]
    return [*keys(family), *dict.fromkeys([*with_errors, *measured]), *_OF_RUN]


def collect(spec, planned, folder, failures, protocol="", kept=None):
    """Reads the results of a study from its run directories.

    Args:
        spec: `StudySpec`.
        planned: list of `PlannedRun`.
        folder: where their run directories lie.
        failures: dict, name of a run -> why it failed.
        protocol: the commit of the study's protocol.
        kept: `training.study.kept.Kept`, of runs whose directories are gone.

    Returns:
        `pandas.DataFrame`: the `columns`, those of the hypervolume's
        reference, and `point`, a label. Scores of failed runs are NaN. Runs
        that are neither finished nor failed are left out.
    """
    family = spec.model_family
    rows = []
    for one in planned:
        if kept and one.name in kept.rows:
            rows += kept.rows[one.name]
            continue
        key = {"method": one.method, "width": one.width, "seed": one.seed}
        if one.name in failures:
            failed = {
                "run": one.name,
                "protocol": protocol,
                "failure": _line(failures[one.name]),
            }
            rows += [{**key, **point, **failed} for point in one.points]
            continue
        run = run_directory(folder, one)
        if not run.evaluation_file.exists():
            continue
        facts = _facts_of_run(run)
        known = columns(family)
        rows += [
            {
                **key,
                **{n: v for n, v in row.items() if n in known},
                **facts,
                "run": one.name,
                "protocol": protocol,
                "failure": "",
            }
            for row in run.read_curve()
        ]
    found = dict.fromkeys(name for row in rows for name in row)
    # There, and empty, where no run has scores yet.
    always = {family.objective.name, *_OF_RUN}
    order = [c for c in columns(family) if c in found or c in always]
    order = dict.fromkeys([*keys(family), *order, *found])
    return _typed(pd.DataFrame(rows, columns=list(order)), family)


def _facts_of_run(run):
    evaluation = run.read_evaluation()
    log = run.read_log()
    steps_per_epoch = evaluation["steps"] / len(log)
    reference = evaluation.get("hypervolume_reference", {})
    return {
        "train_seconds": sum(row["seconds"] for row in log),
        "train_cpu_seconds": sum(row["cpu_seconds"] for row in log),
        # The median epoch is one without tracing, if there are some.
        "cpu_ms_per_step": 1000
        * statistics.median_low(row["cpu_seconds"] for row in log)
        / steps_per_epoch,
        "steps": evaluation["steps"],
        "parameters": evaluation["parameters"],
        "processor": evaluation.get("processor", ""),
        "commit": evaluation.get("git_revision") or "",
        "data": (run.data.read() or {}).get("fingerprint", ""),
        "example_values": math.prod(evaluation["example_shape"]),
        **{f"reference_{name}": value for name, value in reference.items()},
    }


def write(results, path, family):
    """Writes results of a family as CSV, whole."""
    written = results.drop(columns="point")
    # What tells rows apart stays as it was asked for.
    scores = [c for c in written if c not in keys(family)]
    written[scores] = written[scores].map(rounded)
    with written_whole(path) as aside:
        written.to_csv(aside, index=False, lineterminator="\n")


def rounded(value):
    """To 6 decimals, small numbers to 6 digits: losses have units."""
    if not isinstance(value, float) or not math.isfinite(value) or not value:
        return value
    return round(value, max(6, 5 - math.floor(math.log10(abs(value)))))


def read(path, family):
    """Reads what `write` wrote, of runs of a family.

    Raises:
        InputError: if there is no such file or it is another's.
    """
    try:
        results = tables.read_texts(path)
        # Results of earlier versions do not say with what they were made.
        needed = [*keys(family), family.objective.name, *_OF_RUN]
        needed = [n for n in needed if n not in _MADE_WITH]
        missing = sorted(set(needed) - set(results.columns))
        if missing:
            raise KeyError(f"no column {missing[0]}")
        results = _typed(results, family)
        if results.duplicated(keys(family)).any():
            raise ValueError("two rows of one method, width, seed and point")
        with open(path, newline="", encoding="utf-8") as file:
            if len({len(row) for row in csv.reader(file) if row}) > 1:
                # Pandas would fill it up.
                raise ValueError("a row is cut off")
        return results
    except FileNotFoundError:
        raise InputError(
            f"expected the results of a study, received: {path}, which does "
            "not exist"
        ) from None
    except (KeyError, ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"expected a results.csv of training.study, received: {path}, "
            f"which cannot be read ({error})"
        ) from error


def _typed(results, family):
    for name in _TEXTS:
        if name not in results:
            results[name] = ""
        results[name] = results[name].astype(object).fillna("")
    texts = ("method", "run", *_TEXTS)
    numbers = [c for c in results.columns if c not in texts]
    results[numbers] = results[numbers].apply(pd.to_numeric)
    results["point"] = [
        points.label(dict(zip(family.parameters, values, strict=True)))
        for values in results[list(family.parameters)].to_numpy()
    ]
    return results


def _line(text):
    return " ".join(str(text).split())
