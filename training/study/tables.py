"""Small tables beside `results.csv`, as CSV."""

import pandas as pd

from yoto_tf.errors import InputError
from yoto_tf.files import written_whole

_TEXTS = (
    "method", "of", "run", "processor", "commit", "data", "protocol", "failure"
)  # fmt: skip
_DIGITS = {"cpu_seconds": 3, "of_cpu_seconds": 3, "loss": 6}


def write(table, path):
    """Writes a table whole; one that is empty has no file."""
    if not len(table):
        path.unlink(missing_ok=True)
        return
    with written_whole(path) as aside:
        rounded = table.round(_DIGITS)
        rounded.to_csv(aside, index=False, lineterminator="\n")


def read(path, columns=()):
    """What `write` wrote; None: there is none.

    Raises:
        InputError: for a file that is none, or has not these columns.
    """
    if not path.exists():
        return None
    try:
        table = read_texts(path)
        missing = sorted(set(columns) - set(table.columns))
        if missing:
            raise ValueError(f"no column {missing[0]}")
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"expected a {path.name} of training.study, received: {path}, "
            f"which cannot be read ({error}); without it the study makes "
            "another, of runs whose directories are there"
        ) from error
    return table


def read_texts(path):
    """Reads a table whose columns of names stay texts: a method may be called
    `32`, `1e-3` or `none`."""
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(_TEXTS, str),
        keep_default_na=False,
        na_values=[""],
    )
