"""Several studies in one table each for what they claim."""

import copy
import dataclasses
import math
from collections import defaultdict
from pathlib import Path

import pandas as pd

from training.study import comparison
from training.study import results as results_module
from training.study.markdown import markdown
from training.study.plan import planned_runs
from training.study.spec_file import load_spec
from yoto_tf.errors import InputError


def overview(studies, tables=("losses", "forms")):
    """What studies say, as Markdown tables.

    Args:
        studies: list of `Study`.
        tables: of "losses" (the first model that is told its parameters less
            the best fixed weight; one table for each set of points that
            studies are compared at), "forms" (which form of fixed weights
            was the best how often) and "changes" (other models that are told
            them, less that first one).
    """
    alone = [one.name for one in studies if not one.spec.fixed_methods]
    if alone and set(tables) != {"changes"}:
        raise InputError(
            "expected studies that compare with fixed weights (--tables "
            f"changes needs none), received: {', '.join(alone)}"
        )
    groups = defaultdict(list)
    for one in studies:
        groups[tuple(one.spec.labels())].append(one)
    parts = []
    if "losses" in tables:
        parts += [_losses(*of_labels) for of_labels in groups.items()]
    if "forms" in tables:
        parts.append(_forms(studies))
    if "changes" in tables:
        # Other forms of fixed weights change nothing of them.
        parts.append(_changes([s for s in studies if len(s.names) == 1]))
    return "\n\n".join(parts)


class Study:
    """What is whole of a study's results: `seeds` with all their runs.

    A study without a `method` that is told its parameters has further forms
    of the fixed weights of the one that it `builds_on`.

    Args:
        folder: of `results.csv`, named like the study.

    Raises:
        InputError: if there is no such study, or nothing is compared in it.
    """

    def __init__(self, folder):
        # Of "." there is none.
        self.name = Path(folder).resolve().name
        self.names = (self.name,)
        self.spec = load_spec(self.name)
        told = [
            m for m in self.spec.methods if m not in self.spec.fixed_methods
        ]
        self.builds_on = [Path(file).stem for file in self.spec.files[1:]]
        if not told and not self.builds_on:
            raise InputError(
                "expected studies of a model that is told its loss "
                f"parameters, received: {self.name}"
            )
        self.method = told[0] if told else None
        table = results_module.read(
            Path(folder) / results_module.FILE, self.spec.model_family
        )
        whole = comparison.whole_seeds(table, planned_runs(self.spec))
        self.results = table[table.seed.isin(whole)]
        self.seeds = sorted(int(s) for s in self.results.seed.unique())

    @property
    def label(self):
        """The names of the studies that it is of."""
        return ", ".join(f"`{name}`" for name in self.names)

    def with_forms_of(self, other):
        """This one with the fixed weights of another beside its own, of the
        seeds that both have."""
        joined = copy.copy(self)
        joined.names = (self.name, other.name)
        joined.name = " with ".join(joined.names)
        joined.spec = dataclasses.replace(
            self.spec, methods={**self.spec.methods, **other.spec.methods}
        )
        joined.seeds = sorted({*self.seeds} & {*other.seeds})
        rows = pd.concat([self.results, other.results], ignore_index=True)
        joined.results = rows[rows.seed.isin(joined.seeds)]
        return joined


def joined(studies):
    """Studies of fixed weights alone, joined with those that they build on.

    Args:
        studies: list of `Study`, some perhaps without a whole seed.

    Returns:
        list of `Study`, each with a method that is told its parameters.

    Raises:
        InputError: for one that builds on none of the others.
    """
    found = []
    for one in studies:
        if one.method:
            found.append(one)
            continue
        bases = [s for s in studies if s.method and s.name in one.builds_on]
        if not bases:
            raise InputError(
                f"expected {one.name}, which trains fixed weights alone, "
                f"beside {' or '.join(one.builds_on)}, received: no such "
                "folder"
            )
        found += [base.with_forms_of(one) for base in bases]
    return found


def _losses(labels, studies):
    rows = []
    for one in studies:
        summaries = comparison.summarize(one.results, one.spec)
        own = next(s for s in summaries if s.method == one.method)
        fixed = [
            s
            for s in summaries
            if s.method in one.spec.fixed_methods and s.width == own.width
        ]
        own_rows = one.results[one.results.method == one.method]
        apart = comparison.differences(one.results, one.spec)
        # A seed of which a run failed is in no mean.
        seeds = apart.loc[own.method, own.width].dropna()
        # Of runs that failed nothing is known; a family whose loss is the
        # same on all data sets has no scale.
        values = one.results.example_values.dropna().iloc[:1]
        scale = one.spec.model_family.per_value(tuple(values))
        scales = [scale] if scale else []
        form = one.spec.model_family.objective.form
        rows.append(
            [
                one.label,
                f"{int(own_rows.steps.max()):,}" if len(seeds) else "—",
                *(_spread(own.differences[at], form) for at in labels),
                _spread(own.mean_difference, form),
                _signed(own.largest_difference, form),
                *(
                    _signed(own.largest_difference * f, ".4f")
                    for f, _ in scales
                ),
                _spread(_time(one, own, fixed[0]), ".2f", sign=""),
                str(len(seeds)),
            ]
        )
    header = [
        "study",
        "steps",
        *(at.replace("=", " ") for at in labels),
        "mean",
        "worst",
        *(f"worst, {unit}" for _, unit in scales),
        "its time",
        "seeds",
    ]
    return markdown(header, rows)


def _time(study, own, fixed):
    """Of one training of the first form of fixed weights, of the same seed."""
    runs = study.results.drop_duplicates("run")
    grouped = runs.groupby(["method", "width", "seed"]).train_cpu_seconds
    seconds = grouped.apply(comparison.whole)
    of_one = seconds[fixed.method, fixed.width] / fixed.num_runs
    times = seconds[own.method, own.width] / of_one
    return times.mean(), times.std(ddof=1)


def _spread(pair, form, sign="+"):
    mean, deviation = pair
    if math.isnan(mean):
        return "—"
    text = format(mean, sign + form.lstrip("+"))
    plain = format(deviation, form.lstrip("+"))
    return text if math.isnan(deviation) else f"{text} ± {plain}"


def _short(label):
    """A point of one parameter by its value alone."""
    return label.split("=")[-1] if label.count("=") == 1 else label


def _signed(value, form):
    return "—" if math.isnan(value) else format(value, f"+{form.lstrip('+')}")


def _forms(studies):
    """How often each form of fixed weights was the best of a seed and point,
    and its mean loss above that best."""
    titles = dict.fromkeys(
        one.spec.title(m) for one in studies for m in one.spec.fixed_methods
    )
    rows = []
    for one in studies:
        losses = comparison.full_losses(one.results, one.spec)
        fixed = losses[
            losses.index.get_level_values("method").isin(one.spec.fixed_methods)
        ]
        fixed = fixed.stack().unstack("method").droplevel("width")
        # Where all of them failed, none is the best.
        fixed = fixed.dropna(how="all")
        best = fixed.idxmin(axis=1)
        above = fixed.sub(fixed.min(axis=1), axis=0).mean()
        by_title = {one.spec.title(m): m for m in one.spec.fixed_methods}
        cells = [
            f"{(best == by_title[t]).sum()} (+{above[by_title[t]]:.1f})"
            if t in by_title and len(best)
            else "—"
            for t in titles
        ]
        rows.append([one.label, *cells, str(len(best))])
    return markdown(["best form", *titles, "of"], rows)


def _changes(studies):
    """Full loss of each other method that is told its parameters less that of
    the first one: the mean over points, and from where it is smallest to where
    it is largest."""
    cells = defaultdict(dict)
    for one in studies:
        losses = comparison.full_losses(one.results, one.spec)
        widths = losses.index.get_level_values("width")
        losses = losses.xs(widths.min(), level="width")
        form = one.spec.model_family.objective.form
        for method in one.spec.methods:
            if method == one.method or method in one.spec.fixed_methods:
                continue
            apart = losses.loc[method] - losses.loc[one.method]
            mean = apart.mean(axis=1)
            spread = _spread((mean.mean(), mean.std(ddof=1)), form)
            ordered = apart.mean().sort_values()
            ends = " to ".join(
                f"{_signed(ordered[at], form)} at {_short(at)}"
                for at in (ordered.index[0], ordered.index[-1])
            )
            said = f"{spread} ({ends})"
            cells[one.spec.title(method)][one.name] = said
    names = [one.name for one in studies]
    if not cells:
        raise InputError(
            "expected a study with another model that is told its loss "
            "parameters, to compare with the first, received: "
            + ", ".join(names)
        )
    rows = [
        [t, *(found.get(n, "—") for n in names)] for t, found in cells.items()
    ]
    return markdown(["change", *(f"`{n}`" for n in names)], rows)
