"""Small tables beside `results.csv`, as CSV."""

import pandas as pd

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


def read(path):
    """What `write` wrote; None: there is none."""
    return read_texts(path) if path.exists() else None


def read_texts(path):
    """Reads a table whose columns of names stay texts: a method may be called
    `32`, `1e-3` or `none`."""
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(_TEXTS, str),
        keep_default_na=False,
        na_values=[""],
    )
