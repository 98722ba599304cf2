"""What a family can measure of a run beside its scores, when asked for."""

import math
import time

import numpy as np

from training.durations import duration
from yoto_tf import points
from yoto_tf.errors import InputError

ALL = "all"
# Behind the name of a column: of what else is said of its number.
ENDS = ("", "_se", "_at_most", "_ceiling", "_at_least")


def parsed(texts, family):
    """Reads the metrics that a command line names.

    Args:
        texts: as `("nll=1000", "mutual_information")`, or `("all",)`.
        family: `Family`, whose `metrics` there are.

    Returns:
        dict, name -> size or None, in the family's order.

    Raises:
        InputError: for unknown names, one given twice, or a size that is none
            or has no effect.
    """
    asked = {}
    for text in texts:
        name, equals, size = text.partition("=")
        if name in asked:
            raise InputError(
                f"expected each metric once, received: {name!r} twice"
            )
        if not family.metrics or (name != ALL and name not in family.metrics):
            known = ", ".join((ALL, *family.metrics))
            raise InputError(
                f"expected metrics among {known}, received: {name!r}"
                if family.metrics
                else "expected no metrics, as the family has none, received: "
                f"{name!r}"
            )
        if equals:
            sized = name != ALL and family.metrics[name].size is not None
            if not sized or not size.isdecimal() or int(size) < 1:
                raise InputError(
                    f"expected {name}=NUMBER with a whole number above 0, "
                    f"received: {text!r}"
                    if sized
                    else f"expected {name} without a number, received: {text!r}"
                )
        asked[name] = int(size) if equals else None
    return {
        name: asked.get(name) or metric.size
        for name, metric in family.metrics.items()
        if name in asked or ALL in asked
    }


def with_factors(asked, texts, family, factors, log):
    """Leaves out of `all` what needs factors, where the data have none.

    Args:
        asked: of `parsed`.
        texts: what was asked for.
        family: `Family`.
        factors: of the data, or None.
        log: called with a sentence.

    Raises:
        InputError: if one that needs them was asked for by its name.
    """
    needing = [n for n in asked if family.metrics[n].factors]
    if factors is not None or not needing:
        return asked
    named = [t for t in texts if t.partition("=")[0] in needing]
    if named:
        raise InputError(
            "expected data whose examples have known factors, as the features "
            f"label_NAME of shapes3d, for {', '.join(named)}, received: data "
            "without"
        )
    log(
        f"{', '.join(needing)}: left out, as these data do not tell what "
        "their examples differ by (features label_NAME)"
    )
    return {n: size for n, size in asked.items() if n not in needing}


def measurer(asked, texts, family, model, examples, factors, seed, log):
    """The family's measurer; leaves out of `all` what needs factors, where
    these examples have too few for it, or the model too few latents.

    Args:
        asked: of `with_factors`.
        texts: what was asked for.
        family: `Family`.
        model, examples, factors, seed: of `Family.measurer`.
        log: called with a sentence.

    Returns:
        `(asked, measure)`.

    Raises:
        InputError: if one that needs factors was asked for by its name.
    """
    try:
        return asked, family.measurer(model, examples, factors, seed)
    except InputError as error:
        needing = [n for n in asked if family.metrics[n].factors]
        if {t.partition("=")[0] for t in texts} & set(needing):
            raise
        log(f"{', '.join(needing)}: left out ({error})")
    asked = {n: size for n, size in asked.items() if n not in needing}
    return asked, family.measurer(model, examples, None, seed)


def measured(asked, family, measure, grid, shown, log, cut_off=None):
    """Measures, and says after each how much is left.

    Args:
        asked: dict, name -> size, of `parsed`.
        family: `Family`.
        measure: of `Family.measurer`.
        grid: list of points.
        shown: points that matter most: where a metric is measured at a few
            alone.
        log: called with a sentence.
        cut_off: called with what is returned, as far as it is there, when
            something ends it before.

    Returns:
        `(rows, facts)`: a dict of columns for every point, not a number where
        one was not measured, and for `evaluation.json` what was measured,
        `cut_off` where it was to be measured at more points.
    """
    places = {n: _chosen(family.metrics[n].most, grid, shown) for n in asked}
    # By points, so that examples are encoded once for all metrics.
    plan = [(i, n) for i in range(len(grid)) for n in asked if i in places[n]]
    seconds = {n: [] for n in asked}
    rows, done = [{} for _ in grid], {n: [] for n in asked}

    def found():
        columns = list(dict.fromkeys(c for row in rows for c in row))
        facts = {
            name: {
                "meaning": family.metrics[name].meaning,
                **({"size": size} if size is not None else {}),
                "points": done[name],
                **(
                    {"cut_off": True}
                    if len(done[name]) < len(places[name])
                    else {}
                ),
                "seconds": round(sum(seconds[name]), 1),
            }
            for name, size in asked.items()
            if done[name]
        }
        whole = [{c: row.get(c, math.nan) for c in columns} for row in rows]
        return whole, facts

    try:
        for number, (i, name) in enumerate(plan, 1):
            started = time.monotonic()
            rows[i] |= measure(name, grid[i], asked[name])
            seconds[name].append(time.monotonic() - started)
            done[name].append(grid[i])
            left = sum(_expected(seconds, n) for _, n in plan[number:])
            log(
                f"{name} at {points.label(grid[i])}: {number} of {len(plan)} "
                "measured"
                + (f"; {duration(left)} left" if number < len(plan) else "")
            )
    except BaseException:
        if cut_off and any(done.values()):
            cut_off(*found())
        raise
    return found()


def _chosen(most, grid, shown):
    """Which points of a grid are measured: all, or a few."""
    if most is None or len(grid) <= most:
        return list(range(len(grid)))
    matter = [i for i, point in enumerate(grid) if point in shown]
    among = matter or list(range(len(grid)))
    places = np.linspace(0, len(among) - 1, min(most, len(among)))
    return [among[round(p)] for p in places]


def _expected(seconds, name):
    """Of a metric not measured yet as long as all on average."""
    known = seconds[name] or [s for all_of in seconds.values() for s in all_of]
    return sum(known) / len(known)


def columns_of(rows, family):
    """`Column`s of the metrics that rows of a `curve.csv` have."""
    there = {name for row in rows for name in row}
    found = {}
    for metric in family.metrics.values():
        own = [c for c in metric.columns if c not in family.columns]
        # Those of the family are always there, measured or not.
        if any(c.name in there for c in own):
            found |= {c: c for c in metric.columns if c.name in there}
    return list(found)


def table(rows, family, columns=None):
    """Formats scores as a Markdown table.

    Args:
        rows: of `evaluate`.
        family: `Family` of the run.
        columns: list of `Column`s that are shown; None: the family's.
    """
    columns = columns or family.columns
    titles = [*family.parameters, *(c.title for c in columns)]
    lines = [
        f"| {' | '.join(titles)} |",
        f"| {' | '.join(['---:'] * len(titles))} |",
    ]
    for row in rows:
        cells = [f"{row[n]:g}" for n in family.parameters]
        cells += [_cell(row, column) for column in columns]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row, column):
    value, error = row[column.name], row.get(f"{column.name}_se")
    if math.isnan(value):
        # It was not measured there, or there is nothing to say.
        return "-"
    cell = format(value, column.form)
    if row.get(f"{column.name}_at_least"):
        cell = f">= {cell}"
    if error is not None:
        cell += f" ± {format(error, column.form)}"
    ceiling = row.get(f"{column.name}_ceiling")
    if ceiling is not None:
        cell += f" (of at most {format(ceiling, column.form)})"
    return cell
