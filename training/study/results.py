"""`results.csv`: one row per method, width, seed and beta."""

import json
import statistics

import pandas as pd

from training.study.runner import run_directory
from yoto_tf.errors import InputError
from yoto_tf.files import written_whole

KEYS = ["method", "width", "seed", "beta"]
COLUMNS = [
    *KEYS,
    "distortion",
    "distortion_se",
    "rate",
    "rate_se",
    "full_loss",
    "full_loss_se",
    "full_loss_bpd",
    "active_units",
    # Of the run, the same in all of its rows.
    "train_seconds",
    "train_cpu_seconds",
    "cpu_ms_per_step",
    "steps",
    "parameters",
    "reference_rate",
    "reference_distortion",
    "image_values",
    "run",
    # Why the run has no scores; empty if it has.
    "failure",
]
_SCORES = COLUMNS[4:12]


def collect(planned, folder, failures):
    """Reads the results of a study from its run directories.

    Args:
        planned: list of `PlannedRun`.
        folder: where their run directories lie.
        failures: dict, name of a run -> why it failed.

    Returns:
        `pandas.DataFrame` with `COLUMNS`; scores of failed runs are NaN. Runs
        that are neither finished nor failed are left out.
    """
    rows = []
    for one in planned:
        key = {"method": one.method, "width": one.width, "seed": one.seed}
        if one.name in failures:
            rows += [
                {**key, "beta": b, "run": one.name, "failure": _line(reason)}
                for b in one.betas
                for reason in [failures[one.name]]
            ]
            continue
        run = run_directory(folder, one)
        if not run.evaluation_file.exists():
            continue
        facts = _facts_of_run(run)
        rows += [
            {
                **key,
                "beta": row["beta"],
                **{name: row[name] for name in _SCORES},
                **facts,
                "run": one.name,
                "failure": "",
            }
            for row in run.read_curve()
        ]
    return _typed(pd.DataFrame(rows, columns=COLUMNS))


def _facts_of_run(run):
    evaluation = json.loads(run.evaluation_file.read_text())
    log = run.read_log()
    steps_per_epoch = evaluation["steps"] / len(log)
    height, width, channels = evaluation["image_shape"]
    return {
        "train_seconds": sum(row["seconds"] for row in log),
        "train_cpu_seconds": sum(row["cpu_seconds"] for row in log),
        # The median epoch is one without tracing, if there are some.
        "cpu_ms_per_step": 1000
        * statistics.median_low(row["cpu_seconds"] for row in log)
        / steps_per_epoch,
        "steps": evaluation["steps"],
        "parameters": evaluation["parameters"],
        "reference_rate": evaluation["hypervolume_reference"]["rate"],
        "reference_distortion": evaluation["hypervolume_reference"][
            "distortion"
        ],
        "image_values": height * width * channels,
    }


def write(results, path):
    """Writes results as CSV, whole."""
    with written_whole(path) as aside:
        results.round(6).to_csv(aside, index=False, lineterminator="\n")


def read(path):
    """Reads what `write` wrote.

    Raises:
        InputError: if there is no such file or it is another's.
    """
    try:
        results = pd.read_csv(path, keep_default_na=True)
        results = _typed(results[COLUMNS].copy())
        if results.duplicated(KEYS).any():
            raise ValueError("two rows of one method, width, seed and beta")
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


def _typed(results):
    results["failure"] = results["failure"].astype(object).fillna("")
    numbers = [c for c in COLUMNS if c not in ("method", "run", "failure")]
    results[numbers] = results[numbers].apply(pd.to_numeric)
    return results


def _line(text):
    return " ".join(str(text).split())
