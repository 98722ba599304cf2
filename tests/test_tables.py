"""Tables of the documents, against sums over the committed results.

A table is found by its header, whatever page it is on, and every number in it
is worked out again with pandas alone: nothing of `training` is used.
"""

import functools
import pathlib
import re

import pandas as pd
import pytest

ROOT = pathlib.Path(__file__).parents[1]
_NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?")
_OF_README = {
    "CIFAR-10, 100 epochs, one form": "report_cifar10",
    "CIFAR-10": "middle_cifar10",
    "CIFAR-10, Gaussian likelihood": "middle_cifar10_gaussian",
    "rendered Shapes3D, 100 epochs, one seed, one form": (
        "report_rendered_shapes3d"
    ),
    "rendered Shapes3D": "middle_rendered_shapes3d",
    "MNIST": "middle_mnist",
    "squares of 12 photographs": "middle_photos",
    "the same in grey, 64 x 64, Gaussian (all overfit)": ("middle_photos_grey"),
    "the same in grey, 64 x 64, Gaussian, 1,000 steps": "short_photos_grey",
}
_OF_CODES = {
    "NLL, 100 samples, nats": "nll",
    "active units, of 10": "active_units",
    "MIG": "mig",
    "FactorVAE score": "factor_vae_score",
    "DCI disentanglement": "dci_disentanglement",
}
# The loss parameter, the loss, ours and separate models, the first of which is
# the unit of time.
_OF_OTHER_LOSSES = {
    "default_cost_comparison": (
        *("miss", "expected_cost", "ours"),
        ["fixed", "fixed_equal_cost"],
    ),
    "credit_cost_comparison": (
        *("miss", "expected_cost", "ours"),
        ["fixed", "fixed_equal_cost"],
    ),
    "visits_quantile_comparison": (
        *("level", "pinball", "ours"),
        ["fixed", "fixed_equal_cost"],
    ),
    "compression_small": ("lmbda", "full_loss", "everywhere", ["separate"]),
}
_OF_FRONT = {
    "ours": "default",
    "13 fixed weights": "fixed",
    "Multi-Rate VAE's form": "gates",
}


@functools.cache
def tables():
    """`(page, header, rows)` of all tables, cells as texts."""
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        lines = page.read_text().splitlines()
        for i, line in enumerate(lines):
            if not re.fullmatch(r"\|( *:?-+:? *\|)+", line) or not i:
                continue
            rows = []
            for row in lines[i + 1 :]:
                if not row.startswith("|"):
                    break
                rows.append(_cells(row))
            name = str(page.relative_to(ROOT))
            found.append((name, _cells(lines[i - 1]), rows))
    return found


def _cells(line):
    return [c.strip().replace("**", "") for c in line.strip("|").split("|")]


def rows_below(header):
    """Of the tables with this header, of which there must be one."""
    header = _cells(header)
    found = [rows for _, given, rows in tables() if given == header]
    assert found, f"no page has a table below {header}"
    return [row for rows in found for row in rows]


@functools.cache
def results(studies):
    """Of a study, or of several, as "one, other", whose runs are compared."""
    return pd.concat(
        pd.read_csv(ROOT / "docs" / "studies" / study / "results.csv")
        for study in studies.split(", ")
    )


def assert_printed(text, *values):
    """Each number of the text is a value, to the digits it has."""
    printed = _NUMBER.findall(text)
    assert len(printed) == len(values), f"{text!r} has other numbers: {values}"
    for number, value in zip(printed, values, strict=True):
        decimals = len(number.partition(".")[2])
        # A tie may go either way.
        room = 0.5 * 10**-decimals + 1e-9
        said = float(number.replace(",", ""))
        assert abs(said - value) <= room, f"{text!r} for {value}"


def assert_spread(text, numbers):
    """Mean over seeds ± their deviation, or one seed's number alone."""
    if "±" in text:
        assert len(numbers) > 1
        assert_printed(text, numbers.mean(), numbers.std(ddof=1))
    else:
        assert_printed(text, numbers.mean())


def compared(study, parameter, loss, ours, separate):
    """`(differences, times)` of a study: a row for each seed, and a column
    for each value of the parameter; times in units of one training of the
    first kind of separate models."""
    table = results(study)
    losses = table.pivot_table(
        index="seed", columns=["method", parameter], values=loss
    ).dropna()
    best = losses[separate].T.groupby(level=parameter).min().T
    runs = table[table.seed.isin(losses.index)].drop_duplicates("run")
    of_method = runs.groupby(["method", "seed"]).train_cpu_seconds
    one = of_method.mean()[separate[0]]
    return losses[ours] - best, of_method.sum()[ours] / one


def of_betas(study):
    methods = results(study).method.unique()
    forms = [m for m in methods if m.startswith("fixed")]
    # The one with KL warm-up and our posterior is the unit of time.
    forms.sort(key=len)
    assert forms[0] == "fixed"
    return compared(study, "beta", "full_loss", "default", forms)


def test_the_table_of_the_readme_is_that_of_the_results():
    header = "| beta | 1 | 16 | 64 | 256 | mean | its time |"
    rows = rows_below(header)
    assert {label for label, *_ in rows} == set(_OF_README)
    for label, *cells, mean, time in rows:
        apart, times = of_betas(_OF_README[label])
        assert ("one seed" in label) == (len(apart) == 1)
        shown = []
        for beta, cell in zip((1, 16, 64, 256), cells, strict=True):
            text, _, elsewhere = cell.partition("(at ")
            if text:
                shown.append(float(elsewhere.rstrip(")") or beta))
                assert ("±" in text) == (len(apart) > 1)
                assert_spread(text, apart[shown[-1]])
        # None is left out.
        assert shown == list(apart.columns)
        assert_spread(mean, apart.mean(axis=1))
        assert_spread(time, times)


def test_the_table_of_codes_is_that_of_the_results():
    rows = rows_below("| | model | beta 1 | beta 16 | beta 64 | beta 256 |")
    methods = {"one": "default", "separate": "fixed"}
    grouped = results("middle_rendered_shapes3d").groupby(["method", "beta"])
    seen = []
    for label, model, *cells in rows:
        name = label or seen[-1][0]
        seen.append((name, model))
        for beta, cell in zip((1, 16, 64, 256), cells, strict=True):
            rows_of = grouped.get_group((methods[model], beta))
            assert sorted(rows_of.seed) == [0, 1, 2]
            numbers = rows_of[_OF_CODES[name]]
            assert_spread(cell, numbers)
            # What has no deviation beside others has none of that size.
            if "±" not in cell and any("±" in c for c in cells):
                assert numbers.std(ddof=1) < 0.5, f"{name}: {cell}"
    expected = [(name, model) for name in _OF_CODES for model in methods]
    assert seen == expected


def losses_tables():
    """`(header, row)` of all tables of one model and separate ones, which
    `training.overview` prints."""
    return [
        (header, row)
        for _, header, rows in tables()
        if header[:2] == ["study", "steps"]
        for row in rows
    ]


def test_the_tables_of_losses_are_those_of_the_results():
    seen = set()
    for header, row in losses_tables():
        cells = dict(zip(header, row, strict=True))
        name = cells["study"].replace("`", "")
        seen.add(name)
        if name in _OF_OTHER_LOSSES:
            parameter = _OF_OTHER_LOSSES[name][0]
            apart, times = compared(name, *_OF_OTHER_LOSSES[name])
        else:
            parameter = "beta"
            apart, times = of_betas(name)
        points = {
            float(column.removeprefix(f"{parameter} ")): cell
            for column, cell in cells.items()
            if column.startswith(f"{parameter} ")
        }
        # None is left out.
        assert sorted(points) == sorted(apart.columns), name
        for value, cell in points.items():
            assert_spread(cell, apart[value])
        assert_spread(cells["mean"], apart.mean(axis=1))
        assert_printed(cells["worst"], apart.mean().max())
        assert_spread(cells["its time"], times)
        assert cells["seeds"] == str(len(apart))
    assert seen >= set(_OF_OTHER_LOSSES) | set(_OF_README.values())


def test_the_table_of_a_whole_front_is_that_of_the_results():
    rows = rows_below(
        "| | epochs | mean, nats | better at | worst | processor s |"
    )
    table = results("front_cifar10")
    losses = table.pivot_table(
        index="beta", columns="method", values="full_loss"
    )
    seconds = (
        table.drop_duplicates("run").groupby("method").train_cpu_seconds.sum()
    )
    assert losses.shape == (13, 7)
    assert not losses.isna().to_numpy().any()
    seen = []
    for label, epochs, mean, better, worst, time in rows:
        method = f"{_OF_FRONT[label]}_{epochs}"
        seen.append(method)
        apart = losses[method] - losses.fixed_3
        assert_printed(mean, apart.mean())
        assert_printed(time, seconds[method])
        if better:
            assert_printed(better, (apart < 0).sum())
        if worst:
            assert_printed(worst, apart.max())
    assert sorted(seen) == sorted(losses.columns)


@pytest.mark.parametrize(
    ("text", "values", "right"),
    [
        ("+0.9 ± 1.1", (0.94, 1.06), True),
        ("+0.9 ± 1.1", (0.96, 1.1), False),
        ("+0.9 ± 1.1", (0.9,), False),
        ("-1,226", (-1226.4,), True),
        ("1226", (-1226.4,), False),
        ("-10", (-10.6,), False),
    ],
)
def test_numbers_are_compared_to_the_digits_they_have(text, values, right):
    if right:
        assert_printed(text, *values)
    else:
        with pytest.raises(AssertionError):
            assert_printed(text, *values)
