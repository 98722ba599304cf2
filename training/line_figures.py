"""Draws scores against the first loss parameter."""

import textwrap

import numpy as np

from training.drawing import Figure
from training.drawing import own_style
from training.drawing import ticker
from training.figures import COLUMN
from training.figures import PAGE
from training.figures import STYLE
from yoto_tf import points
from yoto_tf.families import LineFigure

# Panels of a figure beside each other.
_ACROSS = 3
_CEILING = "_ceiling"
_PLAIN = ticker.FuncFormatter(lambda value, _: f"{value:g}")
# Of the ticks between powers of 10: all of them are too many over decades.
_FEW = ticker.FuncFormatter(
    lambda value, _: f"{value:g}" * (f"{value:e}"[0] in "2357")
)


@own_style
def line_figure(curves, family, line):
    """A score against the first loss parameter, a line for every run (and
    every value of the further ones).

    Args:
        curves: dict, label -> rows of a `curve.csv`, or rows with the means
            and spreads of several.
        family: `Family` of the runs.
        line: `LineFigure`.

    Returns:
        A matplotlib `Figure`.
    """
    curves = _by_others(curves, family)
    figure = Figure(figsize=(COLUMN, 2.6), layout="constrained")
    axes = figure.add_subplot()
    _draw_lines(axes, curves, family, line)
    if len(curves) > 1:
        axes.legend(fontsize=6.5, frameon=False)
    return figure


def line_of(column, curves):
    """The `LineFigure` of a metric, with what it cannot exceed if all rows
    say it."""
    ceiling = column.name + _CEILING
    bounded = all(ceiling in r for rows in curves.values() for r in rows)
    return LineFigure(
        column.name, column.title, column, aim=ceiling if bounded else None
    )


@own_style
def panels_figure(panels, family):
    """Several scores side by side, each as `line_figure` draws it.

    Args:
        panels: list of pairs, the curves and the `LineFigure` of a score;
            lines of one label look the same in all.
        family: `Family` of the runs.

    Returns:
        A matplotlib `Figure`.
    """
    panels = [(_by_others(curves, family), line) for curves, line in panels]
    down = -(-len(panels) // _ACROSS)
    figure = Figure(figsize=(PAGE, 1.9 * down + 0.4), layout="constrained")
    labels = list(dict.fromkeys(k for curves, _ in panels for k in curves))
    values = [v for curves, _ in panels for v in _values(curves, family)]
    handles = {}
    for place, (curves, line) in enumerate(panels, 1):
        axes = figure.add_subplot(down, _ACROSS, place)
        _draw_lines(axes, curves, family, line, labels)
        # The same for all, also where a score has fewer.
        _value_axis(axes, values, most=6)
        axes.set_ylabel(textwrap.fill(line.column.label, width=22), **STYLE)
        for handle, label in zip(
            *axes.get_legend_handles_labels(), strict=True
        ):
            handles.setdefault(label, handle)
    if len(labels) > 1:
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside upper left",
            ncols=3,
            fontsize=6.5,
            frameon=False,
        )
    return figure


def _by_others(curves, family):
    """A curve for every value of the further loss parameters: one line over
    all would go up and down between them."""
    others = family.parameters[1:]
    if not others:
        return curves
    found = {}
    for label, rows in curves.items():
        for row in rows:
            at = points.label({n: row[n] for n in others})
            name = f"{label}, {at}" if len(curves) > 1 else at
            found.setdefault(name, []).append(row)
    return found


def _draw_lines(axes, curves, family, line, labels=None):
    labels = labels or list(curves)
    name, column = family.parameters[0], line.column
    is_apart = line.aim == name
    for label, unsorted in curves.items():
        i = labels.index(label)
        rows = sorted(unsorted, key=lambda row: row[name])
        axes.errorbar(
            [row[name] for row in rows],
            # Lines that lie on that of the parameter would hide each other.
            [row[column.name] - is_apart * row[name] for row in rows],
            yerr=[row.get(f"{column.name}_se", 0.0) for row in rows],
            color=f"C{i}",
            marker="osD^vP*X"[i % 8],
            markersize=3.5,
            linewidth=1,
            elinewidth=0.7,
            capsize=2,
            label=textwrap.fill(label, width=30) if len(labels) > 1 else None,
        )
    values = _values(curves, family)
    if is_apart:
        axes.axhline(0.0, color="0.6", linewidth=0.7, zorder=0)
    elif line.aim:
        # One line for all whose aims are the same.
        ends = (min(values), max(values))
        for first, last in dict.fromkeys(
            _aims_at(rows, name, line.aim) for rows in curves.values()
        ):
            style = {"color": "0.6", "linewidth": 0.7, "zorder": 0}
            if first == last:
                # Seen where a single value has a score, too.
                axes.axhline(first, **style)
                if line.aim == column.name + _CEILING:
                    _name_ceiling(axes, first)
            else:
                axes.plot(ends, (first, last), **style)
    _value_axis(axes, values)
    if line.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_PLAIN)
        low, high = axes.get_ylim()
        axes.yaxis.set_minor_formatter(_FEW if high > 5 * low else _PLAIN)
    axes.set_xlabel(name, **STYLE)
    axes.set_ylabel(column.label + f" less {name}" * is_apart, **STYLE)
    axes.tick_params(labelsize=7, which="both")
    axes.spines[["top", "right"]].set_visible(False)


def _name_ceiling(axes, value):
    axes.text(
        0.99,
        value,
        "at most",
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="bottom",
        fontsize=6,
        color="0.4",
    )


def _aims_at(rows, name, aim):
    """What a score should be at both ends, of the rows of one run."""
    ordered = sorted(rows, key=lambda row: row[name])
    return ordered[0][aim], ordered[-1][aim]


def _values(curves, family):
    name = family.parameters[0]
    return [row[name] for rows in curves.values() for row in rows]


def _value_axis(axes, values, most=12):
    if min(values) > 0 and max(values) > 20 * min(values):
        axes.set_xscale("log")
        ticks = sorted(set(values))
        axes.set_xticks(ticks[:: -(-len(ticks) // most)])
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(_PLAIN)
        ends = np.log([min(values), max(values)])
        room = 0.06 * np.ptp(ends)
        axes.set_xlim(*np.exp([ends[0] - room, ends[1] + room]))
