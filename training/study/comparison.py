"""What a study's results say about its methods.

Everything is compared at the study's own points, each model scored under the
values that it is asked for, and pairwise within a seed: two runs of one seed
see the same examples in the same order.
"""

from dataclasses import dataclass

import numpy as np

from yoto_tf.evaluation import hypervolume
from yoto_tf.evaluation import mean_regret


@dataclass(frozen=True)
class MethodSummary:
    """One row of the table; every number with its spread over seeds.

    Each `(mean, standard deviation)`; the deviation is NaN for one seed, and
    both are where a run is missing.

    Attributes:
        method, width: which.
        differences: per label of a point of the study, full loss minus that
            of the better baseline.
        mean_difference: their mean over points.
        regret: mean over points of the full loss minus the best of all
            methods of this width.
        hypervolume: of the trade-off's two costs.
        seconds, cpu_seconds: of training all that the method needs for the
            study's points and one seed.
        cpu_ms_per_step: processor time of a train step in the median epoch,
            milliseconds.
        num_runs: trainings for the study's points, per seed.
        parameters: of one model.
    """

    method: str
    width: int
    differences: dict[str, tuple[float, float]]
    mean_difference: tuple[float, float]
    regret: tuple[float, float]
    hypervolume: tuple[float, float]
    seconds: tuple[float, float]
    cpu_seconds: tuple[float, float]
    cpu_ms_per_step: tuple[float, float]
    num_runs: int
    parameters: int

    @property
    def largest_difference(self):
        """The mean difference at the point where it is largest."""
        # NumPy's: NaN if one is missing.
        return float(np.max([mean for mean, _ in self.differences.values()]))


def waiting(results, planned):
    """The runs of `planned` that have no results yet."""
    ended = set(results.run)
    return [one for one in planned if one.name not in ended]


def whole_seeds(results, planned):
    """The seeds of which all runs ended: without one, the better of a seed's
    baselines is another.

    Args:
        results: of `training.study.results`.
        planned: list of `PlannedRun`.

    Returns:
        set of seeds.
    """
    return {one.seed for one in planned} - {
        one.seed for one in waiting(results, planned)
    }


def full_losses(results, spec):
    """Full losses as a table: rows (method, width, seed), columns points."""
    labels = spec.labels()
    chosen = results[results.point.isin(labels)]
    name = spec.model_family.objective.name
    losses = chosen.set_index(["method", "width", "seed", "point"])[name]
    return losses.unstack("point").reindex(columns=labels)


def baseline(losses, spec):
    """The better fixed-weight loss for every seed and point, at the smallest
    width that has one; a row per seed."""
    fixed = losses[
        losses.index.get_level_values("method").isin(spec.fixed_methods)
    ]
    fixed = fixed.dropna(how="all")
    widths = fixed.index.get_level_values("width")
    if len(widths):
        fixed = fixed[widths == widths.min()]
    return fixed.groupby("seed").min()


def differences(results, spec):
    """Full loss minus the better baseline of the same seed and point.

    Returns:
        table, rows (method, width, seed), columns labels of points.
    """
    losses = full_losses(results, spec)
    reference = baseline(losses, spec).reindex(
        losses.index.get_level_values("seed")
    )
    return losses - reference.to_numpy()


def summarize(results, spec):
    """Summarizes every method and width, in the order of the study.

    Returns:
        list of `MethodSummary`.
    """
    losses = full_losses(results, spec)
    apart = differences(results, spec)
    best = losses.groupby(["width", "seed"]).min()
    summaries = []
    for method in spec.methods:
        rows = results[results.method == method]
        for width in sorted(rows.width.unique()):
            if (method, width) not in losses.index.droplevel("seed"):
                # None of its points is one of the study's.
                continue
            summaries.append(
                _summary(
                    method,
                    int(width),
                    rows[
                        (rows.width == width) & rows.point.isin(spec.labels())
                    ],
                    spec.model_family,
                    losses.loc[method, width],
                    apart.loc[method, width],
                    best.loc[width],
                )
            )
    return summaries


def _summary(method, width, rows, family, losses, apart, best):
    runs = rows.drop_duplicates("run")
    per_seed = runs.groupby("seed")
    return MethodSummary(
        method=method,
        width=width,
        differences={b: _spread(apart[b]) for b in apart.columns},
        mean_difference=_spread(apart.mean(axis=1, skipna=False)),
        regret=_spread(mean_regret(losses, best.reindex(losses.index))),
        hypervolume=_spread(
            [
                _area(of_seed, family, len(losses.columns))
                for _, of_seed in rows.groupby("seed")
            ]
        ),
        seconds=_spread(per_seed.train_seconds.apply(whole)),
        cpu_seconds=_spread(per_seed.train_cpu_seconds.apply(whole)),
        cpu_ms_per_step=_spread(runs.cpu_ms_per_step),
        num_runs=int(per_seed.size().max()),
        parameters=int(runs.parameters.max())
        if runs.parameters.notna().any()
        else 0,
    )


def whole(seconds):
    """The sum over runs, of which each has to have ended."""
    return seconds.sum(skipna=False)


def _area(rows, family, num_points):
    names = [c.name for c in family.trade_off]
    ends = [f"reference_{n}" for n in names]
    rows = rows.dropna(subset=names)
    if len(rows) < num_points or not set(ends) <= set(rows.columns):
        return np.nan
    return hypervolume(rows[names].to_numpy(), rows[ends].iloc[0].to_numpy())


def _spread(values):
    values = np.asarray(values, dtype="float64")
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan
    deviation = values.std(ddof=1) if len(values) > 1 else np.nan
    return float(values.mean()), float(deviation)
