"""Draws curves and grids of images, at the width of a paper's column."""

import textwrap

import numpy as np

from training.drawing import Figure
from training.drawing import colors
from training.drawing import own_style
from yoto_tf.evaluation.pareto import pareto_front

# Inches; one column of most two-column styles, and the full width.
COLUMN = 3.4
PAGE = 7.0
_DPI = 300
STYLE = {"fontsize": 8}


@own_style
def trade_off_figure(curves, family):
    """One cost against the other, a line for every run, its Pareto front
    marked.

    Args:
        curves: dict, label of a run -> rows of its `curve.csv`.
        family: `Family` of the runs.

    Returns:
        A matplotlib `Figure`.
    """
    figure = Figure(figsize=(COLUMN, 2.9), layout="constrained")
    axes = figure.add_subplot()
    across, up = family.trade_off
    # The first parameter is the colour.
    name = family.parameters[0]
    values = [row[name] for rows in curves.values() for row in rows]
    norm = colors.LogNorm if min(values) > 0 else colors.Normalize
    norm = norm(min(values), max(values))
    markers = "osD^vP*X"
    points = None
    for i, (label, unsorted) in enumerate(curves.items()):
        rows = sorted(unsorted, key=lambda row: row[name])
        x = np.array([row[across.name] for row in rows])
        y = np.array([row[up.name] for row in rows])
        front = pareto_front(np.stack([x, y], -1))
        order = np.argsort(x[front])
        color = f"C{i}" if len(curves) > 1 else "0.6"
        axes.plot(
            x[front][order],
            y[front][order],
            color=color,
            linewidth=1,
            zorder=1,
            label=_wrapped(label) if len(curves) > 1 else None,
        )
        for on_front, face in ((True, None), (False, "white")):
            chosen = front == on_front
            if not chosen.any():
                continue
            drawn = axes.scatter(
                x[chosen],
                y[chosen],
                c=[r[name] for r, c in zip(rows, chosen, strict=True) if c],
                norm=norm,
                cmap="viridis",
                s=22,
                marker=markers[i % len(markers)],
                edgecolors="0.2",
                linewidths=0.5,
                zorder=2,
                label=None if on_front else "not on the front",
            )
            points = drawn
            if face:
                drawn.set(facecolor=face, edgecolors=drawn.get_edgecolor())
        if len(curves) == 1:
            _label_values(axes, [r[name] for r in rows], x, y)
    bar = figure.colorbar(points, ax=axes, pad=0.02)
    bar.set_label(name, **STYLE)
    bar.ax.tick_params(labelsize=7)
    axes.set_xlabel(across.label, **STYLE)
    axes.set_ylabel(up.label, **STYLE)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=6.5, frameon=False)
    return figure


def _wrapped(label):
    """The name of a run, in lines that leave the axes their room."""
    return textwrap.fill(f"{label}: Pareto front", width=40)


def _label_values(axes, values, x, y):
    """Writes the value beside the points that have room for it."""
    last = None
    size = np.array([np.ptp(x) or 1.0, np.ptp(y) or 1.0])
    for value, at in zip(values, np.stack([x, y], -1), strict=True):
        here = at / size
        if last is None or np.linalg.norm(here - last) > 0.1:
            axes.annotate(
                f"{value:g}",
                at,
                xytext=(4, 3),
                textcoords="offset points",
                fontsize=6.5,
                color="0.25",
            )
            last = here


@own_style
def image_grid(rows, row_labels, title, column_labels=None):
    """A grid of images with a label before every row.

    Args:
        rows: `(rows, columns, size, size, channels)` in [0, 1].
        row_labels: one text per row.
        title: above the grid.
        column_labels: one text per column, below.

    Returns:
        A matplotlib `Figure`.
    """
    rows = np.clip(np.asarray(rows, "float32"), 0, 1)
    count, columns, size, _, channels = rows.shape
    gap = max(1, size // 32)
    pitch = size + gap
    # One picture with white gaps: sharper than a figure of many axes.
    canvas = np.ones((count * pitch - gap, columns * pitch - gap, channels))
    for r in range(count):
        for c in range(columns):
            canvas[
                r * pitch : r * pitch + size, c * pitch : c * pitch + size
            ] = rows[r, c]
    cell = (PAGE - 0.9) / columns
    bottom = 0.35 if column_labels else 0.1
    figure = Figure(figsize=(PAGE, cell * count + bottom + 0.35))
    height = figure.get_figheight()
    axes = figure.add_axes(
        (0.85 / PAGE, bottom / height, 6.1 / PAGE, cell * count / height)
    )
    if channels == 1:
        axes.imshow(canvas[..., 0], cmap="gray", interpolation="nearest")
    else:
        axes.imshow(canvas, interpolation="nearest")
    axes.set_yticks(np.arange(count) * pitch + size / 2, row_labels)
    if column_labels:
        axes.set_xticks(np.arange(columns) * pitch + size / 2, column_labels)
    else:
        axes.set_xticks([])
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=9, loc="left")
    return figure


@own_style
def search_figure(trials, label, direction):
    """The objective of every trial of a search, and the best so far.

    Args:
        trials: list of `(number, objective, epochs)`; an objective of None
            marks a failed trial.
        label: of the objective.
        direction: `min` or `max`.

    Returns:
        A matplotlib `Figure`.
    """
    figure = Figure(figsize=(COLUMN, 2.6), layout="constrained")
    axes = figure.add_subplot()
    scored = [t for t in trials if t[1] is not None]
    better = np.minimum if direction == "min" else np.maximum
    axes.step(
        [number for number, _, _ in scored],
        better.accumulate([objective for _, objective, _ in scored]),
        where="post",
        color="0.3",
        linewidth=1,
        label="best so far",
    )
    for i, epochs in enumerate(sorted({t[2] for t in scored})):
        axes.scatter(
            *zip(*[t[:2] for t in scored if t[2] == epochs], strict=True),
            s=18,
            color=f"C{i}",
            zorder=2,
            label=f"{epochs} epochs" if epochs > 1 else "1 epoch",
        )
    failed = [number for number, objective, _ in trials if objective is None]
    if failed:
        axes.scatter(
            failed,
            [0.02] * len(failed),
            transform=axes.get_xaxis_transform(),
            s=18,
            marker="x",
            color="C3",
            label="failed",
        )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("trial", **STYLE)
    axes.set_ylabel(label, **STYLE)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=6.5, frameon=False)
    return figure


@own_style
def save(figure, path):
    """Writes a figure at 300 dpi; the suffix of `path` gives the format."""
    figure.savefig(path, dpi=_DPI)
