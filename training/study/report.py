"""A study's report: Markdown tables beside the figures."""

import math

import numpy as np

from training.durations import duration
from training.metrics import columns_of
from training.study import comparison
from training.study import metric_table
from training.study.markdown import markdown
from training.study.markdown import number
from yoto_tf import points


def report(results, spec, command, pictures, reached=None, missing=None):
    """Writes the report of a study as a Markdown text.

    Args:
        results: of `training.study.results`.
        spec: `StudySpec`.
        command: that makes the results.
        pictures: dict, file name -> what it shows.
        reached: of `training.study.reached`, or None.
        missing: sentence of the runs that have no results yet, or None.
    """
    loss = spec.model_family.objective.title
    parts = [
        f"# {spec.name}",
        spec.summary,
        f"```sh\n{command}\n```",
        _protocol(results, spec),
        *([missing] if missing else []),
    ]
    finished = results[results.failure == ""]
    if len(finished):
        summaries = comparison.summarize(results, spec)
        if spec.compares and any(
            s.method in spec.fixed_methods for s in summaries
        ):
            parts += [f"## {loss.capitalize()} against the baseline"]
            parts += [difference_table(summaries, results, spec)]
        parts += ["## Every method", method_table(summaries, spec)]
        parts += [f"## {loss.capitalize()}", loss_table(results, spec)]
        if reached is not None and len(_told(reached, spec)):
            parts += ["## When it has what others end with"]
            parts += [reached_table(reached, results, spec)]
        measured = columns_of(results.to_dict("records"), spec.model_family)
        if measured:
            parts += [
                "## What was measured besides",
                metric_table.table(results, spec, measured),
            ]
    parts += [
        f"![{meaning}]({name})\n\n*{meaning}*"
        for name, meaning in pictures.items()
    ]
    failed = results[results.failure != ""].drop_duplicates("run")
    if len(failed):
        lines = [f"- `{r.run}`: {r.failure}" for r in failed.itertuples()]
        parts += ["## Runs that failed", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _protocol(results, spec):
    finished = results[results.failure == ""]
    runs = finished.drop_duplicates("run")
    seeds = ", ".join(str(s) for s in sorted(results.seed.unique()))
    steps = sorted({int(s) for s in runs.steps})
    clock = duration(runs.train_seconds.sum())
    cpu = duration(runs.train_cpu_seconds.sum())
    unit = spec.model_family.unit
    unit = f"; {unit}" if unit else ""
    loss = spec.model_family.objective
    made = "the terms times their weights, " * (loss.name == "full_loss")
    return (
        f"Preset `{spec.preset}`. Training seeds: {seeds}. "
        f"{len(runs)} runs of {' or '.join(f'{s:,}' for s in steps)} steps, "
        f"{clock} of training in all ({cpu} of processor time). "
        f"Numbers are means over seeds on {spec.scored_on}, ± their "
        f"standard deviation over seeds{unit}; {loss.title}: {made}each model "
        "scored under the values that it is asked for." + _made_with(finished)
    )


def _made_with(results):
    """What the rows say of it; those of earlier versions say nothing."""
    said = {
        name: sorted({v for v in results[name] if v})
        for name in ("processor", "protocol")
    }
    text = ""
    if said["processor"]:
        text += f" Processor: {' and '.join(said['processor'])}."
    if said["protocol"]:
        commits = " and ".join(f"`{c[:7]}`" for c in said["protocol"])
        text += f" Decided before the scores by the protocol of {commits}."
    return text


def difference_table(summaries, results, spec):
    """Per point: full loss minus the better baseline's."""
    labels = spec.labels()
    width = min(s.width for s in summaries if s.method in spec.fixed_methods)
    several = len({s.width for s in summaries}) > 1
    names = [
        f"*{spec.title(m)}{f', {width}x' if several else ''}*"
        for m in spec.fixed_methods
    ]
    baselines = names[0]
    if len(names) == 2:
        baselines = f"the better of {' and '.join(names)}, chosen"
    elif len(names) > 2:
        # Titles have commas of their own.
        baselines = f"the best of {'; '.join(names)}, chosen"
    text = (
        f"Difference to {baselines} for each seed and point; below 0 the "
        "method wins."
    )
    scale = spec.model_family.per_value(
        (results.example_values.dropna().iloc[0],)
    )
    # A family whose loss is the same on all data sets has none.
    scales = [scale] if scale else []
    form = spec.model_family.objective.form
    form = form if form.startswith("+") else f"+{form}"
    rows = [
        [
            _label(s, summaries, spec),
            *(number(s.differences[at], form) for at in labels),
            number(s.mean_difference, form),
            _plain(s.largest_difference, form),
            *(_plain(s.largest_difference * f, "+.4f") for f, _ in scales),
        ]
        for s in summaries
    ]
    header = [
        "method",
        *(at.replace("=", " ") for at in labels),
        "mean",
        "worst",
        *(f"worst, {unit}" for _, unit in scales),
    ]
    return f"{text}\n\n{markdown(header, rows)}"


def method_table(summaries, spec):
    """Hypervolume, regret, cost and size."""
    loss = spec.model_family.objective
    regret = f"mean regret ({loss.unit})" if loss.unit else "mean regret"
    rows = []
    for s in summaries:
        unit = _fixed_run(summaries, spec, s.width)
        rows.append(
            [
                _label(s, summaries, spec),
                number(s.hypervolume, ",.0f"),
                number(s.regret, loss.form),
                str(s.num_runs),
                _plain(s.seconds[0] / unit[0], ".2f"),
                _plain(s.cpu_seconds[0] / unit[1], ".2f"),
                _plain(s.cpu_ms_per_step[0], ".1f"),
                f"{s.parameters:,}",
            ]
        )
    header = [
        "method",
        "hypervolume",
        regret,
        "trainings",
        "time",
        "processor time",
        "processor ms/step",
        "parameters",
    ]
    return (
        f"Mean regret: over the points, {loss.title} minus the best of all "
        "methods of the same width and seed. Time: of all trainings that one "
        "seed takes, in units of one fixed-weight training of that width.\n\n"
        + markdown(header, rows)
    )


def _fixed_run(summaries, spec, width):
    """Seconds and processor seconds of one training of the first baseline."""
    for s in summaries:
        if s.method in spec.fixed_methods and s.width == width:
            return s.seconds[0] / s.num_runs, s.cpu_seconds[0] / s.num_runs
    return np.nan, np.nan


def loss_table(results, spec):
    """Mean full loss, and the trade-off's first cost, per method and point."""
    family = spec.model_family
    loss, cost = family.objective, family.trade_off[0]
    finished = results[results.failure == ""]
    failed = results[results.failure != ""]
    order = finished.sort_values(list(family.parameters)).point
    labels = list(dict.fromkeys(order))
    several = finished.width.nunique() > 1
    rows = []
    for method in spec.methods:
        of_method = finished[finished.method == method]
        for width, of_width in of_method.groupby("width"):
            of_failed = failed[
                (failed.method == method) & (failed.width == width)
            ]
            cells = []
            for label in labels:
                at = of_width[of_width.point == label]
                mean = format(at[loss.name].mean(), f",{loss.form}")
                beside = format(at[cost.name].mean(), cost.form)
                cell = f"{mean} ({beside})" if len(at) else "—"
                of_all = (of_failed.point == label).sum() + len(at)
                if 0 < len(at) < of_all:
                    cell += f", {len(at)} of {of_all} seeds"
                cells.append(cell)
            title = spec.title(method)
            rows.append([f"{title}, {width}x" if several else title, *cells])
    header = ["method", *(at.replace("=", " ") for at in labels)]
    text = f"{loss.title.capitalize()} ({cost.title} in brackets)."
    return f"{text}\n\n{markdown(header, rows)}"


def reached_table(reached, results, spec):
    """Steps and processor time in which the first method that is told its
    loss parameters has the losses that others end with."""
    names = list(spec.model_family.parameters)
    own = _told(reached, spec)[0]
    found = reached[reached.method == own]
    labels = {
        tuple(values): points.label(dict(zip(names, values, strict=True)))
        for values in found[names].drop_duplicates().sort_values(names).values
    }
    several = found.width.nunique() > 1
    rows = []
    for (other, width), of_other in found.groupby(["of", "width"], sort=False):
        cells = [
            _time_to(of_other[(of_other[names] == list(values)).all(axis=1)])
            for values in labels
        ]
        title = spec.title(other) + (f", {width}x" if several else "")
        rows.append((list(spec.methods).index(other), [title, *cells]))
    rows = [cells for _, cells in sorted(rows, key=lambda r: r[0])]
    steps = results[results.method == own].steps.max()
    text = (
        f"Steps of *{spec.title(own)}*, of {steps:,.0f}, at the end of the "
        "first epoch from which on its full loss on validation data is at "
        "most what the other method's has at its end (never: it ends above "
        "that), and its processor time in shares of what that took (a fixed "
        "weight: one training per point), at the values that runs are watched "
        "at. "
        "Means over the seeds, whose number is said where some never have it."
    )
    header = [*(at.replace("=", " ") for at in labels.values())]
    return f"{text}\n\n{markdown(['what it has', *header], rows)}"


def _told(reached, spec):
    there = set(reached.method)
    told = [m for m in spec.methods if m not in spec.fixed_methods]
    return [m for m in told if m in there]


def _time_to(rows):
    if not len(rows):
        return "—"
    done = rows.dropna(subset="steps")
    if not len(done):
        return "never"
    share = (done.cpu_seconds / done.of_cpu_seconds).mean()
    text = f"{done.steps.mean():,.0f} ({share:.2f})"
    if len(done) < len(rows):
        text += f", {len(done)} of {len(rows)} seeds"
    return text


def _label(summary, summaries, spec):
    title = spec.title(summary.method)
    if len({s.width for s in summaries}) > 1:
        return f"{title}, {summary.width}x"
    return title


def _plain(value, form):
    return "—" if math.isnan(value) else format(value, form)
