"""What a study's results say about its methods.

Everything is compared at the study's own betas, each model scored under the
beta that it is asked for, and pairwise within a seed: two runs of one seed
see the same images in the same order.
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
        differences: per beta of the study, full loss minus that of the better
            baseline, nats per image.
        mean_difference: their mean over betas.
        regret: mean over betas of the full loss minus the best of all methods
            of this width, nats per image.
        hypervolume: of (rate, distortion), nats^2.
        seconds, cpu_seconds: of training all that the method needs for the
            study's betas and one seed.
        cpu_ms_per_step: processor time of a train step in the median epoch,
            milliseconds.
        num_runs: trainings for the study's betas, per seed.
        parameters: of one model.
    """

    method: str
    width: int
    differences: dict[float, tuple[float, float]]
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
        """The mean difference at the beta where it is largest."""
        # NumPy's: NaN if one is missing.
        return float(np.max([mean for mean, _ in self.differences.values()]))


def full_losses(results, spec):
    """Full losses as a table: rows (method, width, seed), columns beta."""
    chosen = results[results.beta.isin(spec.betas)]
    losses = chosen.set_index(["method", "width", "seed", "beta"]).full_loss
    return losses.unstack("beta").reindex(columns=sorted(spec.betas))


def baseline(losses, spec):
    """The better fixed-weight loss for every seed and beta, at the smallest
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
    """Full loss minus the better baseline of the same seed and beta.

    Returns:
        table, rows (method, width, seed), columns beta, nats per image.
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
            summaries.append(
                _summary(
                    method,
                    int(width),
                    rows[(rows.width == width) & rows.beta.isin(spec.betas)],
                    losses.loc[method, width],
                    apart.loc[method, width],
                    best.loc[width],
                )
            )
    return summaries


def _summary(method, width, rows, losses, apart, best):
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
                _area(of_seed, len(losses.columns))
                for _, of_seed in rows.groupby("seed")
            ]
        ),
        seconds=_spread(per_seed.train_seconds.sum(min_count=1)),
        cpu_seconds=_spread(per_seed.train_cpu_seconds.sum(min_count=1)),
        cpu_ms_per_step=_spread(runs.cpu_ms_per_step),
        num_runs=int(per_seed.size().max()),
        parameters=int(runs.parameters.max())
        if runs.parameters.notna().any()
        else 0,
    )


def _area(rows, num_betas):
    rows = rows.dropna(subset=["rate", "distortion"])
    if len(rows) < num_betas:
        return np.nan
    return hypervolume(
        rows[["rate", "distortion"]].to_numpy(),
        rows[["reference_rate", "reference_distortion"]].iloc[0].to_numpy(),
    )


def _spread(values):
    values = np.asarray(values, dtype="float64")
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan
    deviation = values.std(ddof=1) if len(values) > 1 else np.nan
    return float(values.mean()), float(deviation)
