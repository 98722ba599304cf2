"""Figures of a study: curves of several methods, and their pictures."""

import numpy as np

from training import line_figures
from training.drawing import Figure
from training.drawing import colors
from training.drawing import own_style
from training.drawing import patheffects
from training.drawing import ticker
from training.figures import PAGE
from training.study import comparison
from yoto_tf.evaluation.pareto import pareto_front

_TEXT = {"fontsize": 8}
_MARKERS = "osD^vP*X"
_DASHES = ("-", "--", ":", "-.")
# More points than these would write over each other.
_NAMED = 8


@own_style
def curves_figure(results, spec, between=None):
    """One cost against the other, a Pareto front for every method and width;
    means over seeds (the seed report's figure 1a).

    Args:
        results: of `training.study.results`.
        spec: `StudySpec`.
        between: of `training.study.between`: what a line goes through without
            a marker.
    """
    figure, axes = _axes()
    across, up = costs = spec.model_family.trade_off
    names = [cost.name for cost in costs]
    told = next((m for m in spec.methods if m not in spec.fixed_methods), None)
    widest = results.width.max()
    for label, style, rows in _series(results, spec):
        method, width = rows.method.iloc[0], rows.width.iloc[0]
        pairs = rows.groupby("point")[names].mean().to_numpy()
        num = len(pairs)
        if method in spec.fixed_methods:
            # Each is a model of its own: none lies between them.
            style["linestyle"] = "none"
        if between is not None:
            further = between[
                (between.method == method) & (between.width == width)
            ]
            # Means of fewer seeds do not lie on one line with the others.
            if set(further.seed) == set(rows.seed):
                values = list(spec.model_family.parameters)
                means = further.groupby(values)[names].mean()
                pairs = np.concatenate([pairs, means.to_numpy()])
        if method == told and width == widest and num <= _NAMED:
            _name_points(axes, rows, names)
        front = np.flatnonzero(pareto_front(pairs))
        front = front[np.argsort(pairs[front, 0])]
        axes.plot(
            *pairs[front].T,
            label=label,
            markevery=np.flatnonzero(front < num).tolist(),
            **style,
        )
        behind = np.setdiff1d(np.arange(num), front)
        axes.scatter(
            *pairs[behind].T,
            s=14,
            marker=style["marker"],
            facecolors="none",
            edgecolors=style["color"],
            linewidths=0.7,
        )
    axes.set_xlabel(across.label, **_TEXT)
    axes.set_ylabel(up.label, **_TEXT)
    _legend(figure, axes)
    return figure


@own_style
def difference_figure(results, spec):
    """Full loss minus the better baseline's, point by point; the bars are
    standard deviations over seeds (the seed report's figure 1b)."""
    figure, axes = _axes()
    apart = comparison.differences(results, spec)
    places, axis, ticks = _places(spec)
    values = []
    series = list(_series(results, spec))
    # Side by side, so that bars at one point do not hide each other, and
    # nearer to it than to the next.
    gaps = np.diff(sorted(places.values()))
    end = min([0.15, *gaps / 4]) if len(series) > 1 else 0.0
    shifts = np.linspace(-end, end, len(series))
    for shift, (label, style, rows) in zip(shifts, series, strict=True):
        method, width = rows.method.iloc[0], rows.width.iloc[0]
        table = apart.loc[method, width].dropna(axis=1, how="all")
        if not len(table.columns):
            continue
        mean = table.mean()
        values.extend(mean)
        spread = table.std(ddof=1) if len(table) > 1 else None
        axes.errorbar(
            np.array([places[at] for at in table.columns]) + shift,
            mean,
            yerr=spread,
            elinewidth=0.7,
            capsize=2,
            label=label,
            **style,
        )
    axes.axhline(0, color="0.6", linewidth=0.7, zorder=0)
    if values and np.abs(values).max() > 200:
        # Methods that fail lie hundreds of nats away from those that do not.
        axes.set_yscale("symlog", linthresh=20, linscale=0.7)
        axes.autoscale_view()
        axes.yaxis.set_major_formatter(
            ticker.FuncFormatter(lambda v, _: f"{v:g}")
        )
    axes.set_xticks(list(places.values()), ticks)
    axes.set_xlabel(axis, **_TEXT)
    loss = spec.model_family.objective
    unit = f" ({loss.unit})" if loss.unit else ""
    axes.set_ylabel(f"{loss.title} difference{unit}", **_TEXT)
    _legend(figure, axes)
    return figure


def line_figure(results, spec, line):
    """A score against the first loss parameter: means over seeds, bars are
    standard deviations over them.

    Args:
        results: of `training.study.results`.
        spec: `StudySpec`.
        line: `LineFigure` of its family.
    """
    curves = _curves(results, spec, line.column.name)
    return line_figures.line_figure(curves, spec.model_family, line)


def metrics_figure(results, spec, columns):
    """What was measured besides, a panel each as `line_figure` draws it.

    Args:
        results: of `training.study.results`.
        spec: `StudySpec`.
        columns: `Column`s of metrics that the results have.

    Returns:
        A matplotlib `Figure`, or None where none has a number.
    """
    panels = []
    for column in columns:
        curves = _curves(results, spec, column.name)
        if curves:
            panels.append((curves, line_figures.line_of(column, curves)))
    if not panels:
        return None
    return line_figures.panels_figure(panels, spec.model_family)


def _curves(results, spec, column):
    """dict, label -> rows of means and spreads over seeds, and of what the
    column cannot exceed; of values that all seeds have a number at, as a mean
    over some of them would be of those with small ones."""
    names = list(spec.model_family.parameters)
    ceiling = f"{column}_ceiling"
    curves = {}
    for label, _, rows in _series(results, spec):
        curves[label] = [
            {
                **dict(zip(names, values, strict=True)),
                column: at[column].mean(),
                # Of one seed there is none.
                f"{column}_se": at[column].std(ddof=1) if len(at) > 1 else 0.0,
                **({ceiling: at[ceiling].max()} if ceiling in at else {}),
            }
            for values, at in rows.groupby(names)
            if at[column].notna().all()
        ]
    return {label: rows for label, rows in curves.items() if rows}


def _places(spec):
    """Where each point lies across: dict, label -> number, the axis' label
    and the ticks; log2 of one positive parameter, or its value where that
    keeps them further apart, else one beside the other."""
    points, labels = spec.points(), spec.labels()
    names = list(points[0])
    if len(names) == 1 and all(p[names[0]] > 0 for p in points):
        values = [p[names[0]] for p in points]
        across, axis, shown = np.log2(values), names[0], values
        if (across == np.round(across)).all():
            # The seed report's.
            axis, shown = f"log2({axis})", across
        else:
            # Levels near 1 are one beside the other on a logarithmic scale.
            across = max((across, np.array(values)), key=_closest)
        places = dict(zip(labels, across, strict=True))
        return places, axis, [f"{v:g}" for v in shown]
    return {at: float(i) for i, at in enumerate(labels)}, None, labels


def _name_points(axes, rows, names):
    """Says at which points one method is where: the others are beside it."""
    means = rows.groupby("point", sort=False)[names].mean()
    width = np.ptp(means.to_numpy(), axis=0)
    named = []
    for point, at in zip(means.index, means.to_numpy(), strict=True):
        for place, points in named:
            # They would write over each other.
            if (np.abs(at - place) <= 0.03 * width).all():
                points.append(point)
                break
        else:
            named.append((at, [point]))
    for at, points in named:
        axes.annotate(
            ", ".join(points),
            at,
            (4, 4),
            textcoords="offset points",
            fontsize=6,
            color="0.4",
            # Read where a line goes through it, too.
            path_effects=[
                patheffects.withStroke(linewidth=1.5, foreground="w")
            ],
        )


def _closest(places):
    """The smallest gap, as a share of the whole width."""
    return min(np.diff(np.sort(places)), default=0.0) / (np.ptp(places) or 1.0)


def _shade(color, index, count):
    """Lighter for the first of several, the colour itself for the last."""
    white = 0.55 * (1 - (index + 1) / count)
    return tuple(1 - (1 - c) * (1 - white) for c in colors.to_rgb(color))


def _axes():
    figure = Figure(figsize=(PAGE, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure, axes):
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside right upper",
        fontsize=7,
        frameon=False,
    )


def _series(results, spec):
    """Yields label, style and rows of every method and width that has
    scores: a colour per method, a dash and a shade per width."""
    finished = results[results.failure == ""]
    widths = sorted(finished.width.unique())
    for i, method in enumerate(spec.methods):
        for j, width in enumerate(widths):
            rows = finished[
                (finished.method == method) & (finished.width == width)
            ]
            if not len(rows):
                continue
            label = spec.title(method)
            if len(widths) > 1:
                label += f", {width}x"
            style = {
                "color": _shade(f"C{i}", j, len(widths)),
                "linestyle": _DASHES[j % len(_DASHES)],
                "marker": _MARKERS[(j if len(widths) > 1 else i) % 8],
                "markersize": 3.5,
                "linewidth": 1,
            }
            yield label, style, rows
