"""Small tables beside `results.csv`, as CSV."""

import pandas as pd

from yoto_tf.files import written_whole

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
    return pd.read_csv(path) if path.exists() else None
