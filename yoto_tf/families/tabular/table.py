"""From a table to its parts in numbers. Imports no TensorFlow."""

import dataclasses
import hashlib
import re

import numpy as np

from yoto_tf.errors import InputError
from yoto_tf.examples import Examples
from yoto_tf.examples import Splits
from yoto_tf.families.fields import Field
from yoto_tf.families.tabular import columns as columns_of
from yoto_tf.families.tabular.sources import read_table

_FEWEST_ROWS = 10
# What pandas calls a column that the row of names has none for.
_NAMELESS = re.compile(r"Unnamed: \d+")


@dataclasses.dataclass(frozen=True)
class TableSplits(Splits):
    """Parts of a table.

    Attributes:
        fields: of a row: one `Field` per column of the table, with the texts
            it has, or the range of its training rows.
        target: what the models answer, in a few words.
    """

    fields: tuple[Field, ...] = ()
    target: str = ""

    @property
    def columns(self):
        """Names of the inputs, `(d,)`."""
        return tuple(name for field in self.fields for name in field.names)


def load_table(config):
    """Reads, checks, encodes and cuts a table.

    Columns of texts become one column per text, or one in all for two texts.
    Numbers stay as they are: the model standardises them.

    Args:
        config: `TableConfig`.

    Returns:
        `TableSplits` of `Examples`: x `(n, d)` float32, y `(n,)` float32, 1
        for the positive class.

    Raises:
        InputError: for a table that cannot be used; it names the column.
    """
    frame = read_table(config.name)
    _check_names(frame, config)
    frame = frame.drop(columns=list(config.leave_out))
    _check_named(frame, config)
    frame, note = _without_missing(frame, config)
    inputs = frame.drop(columns=config.target)
    if not len(inputs.columns):
        raise InputError(
            f"expected a column beside the target, received: {config.name} "
            f"with {config.target} alone"
        )
    fields, columns = [], []
    for name in inputs.columns:
        field, encoded = columns_of.encoded(name, inputs[name])
        fields.append(field)
        columns += encoded
    x = np.stack(columns, -1).astype("float32")
    y = _target(frame[config.target], config)
    _check_rows(len(x), config)
    rng = np.random.default_rng(config.split_seed)
    order = rng.permutation(len(x))
    if config.dither:
        y = y + rng.random(len(y))
    # What is added between two counts is to be left of them, too.
    spread = 1_000.0 if config.dither else None
    columns_of.check_rounding(f"the target {config.target!r}", y, spread)
    if config.positive is None:
        columns_of.check_deviation(config.target, y)
    y = y.astype("float32")
    everything = Examples(x, y)
    first, second = np.cumsum(
        [config.test_examples, config.validation_examples]
    )
    parts = {
        "train": everything[order[second:]],
        "validation": everything[order[first:second]],
        "test": everything[order[:first]],
    }
    names = [name for field in fields for name in field.names]
    _check_parts(parts, fields, config)
    content = hashlib.sha256(repr(names).encode())
    content.update(x.tobytes() + y.tobytes())
    return TableSplits(
        **parts,
        version=f"{config.name}/{content.hexdigest()[:12]}",
        num_examples={n: len(p) for n, p in parts.items()},
        notes=note,
        name=config.name,
        noun="rows",
        # Two customers may have the same age and income. The version is of
        # all values, so that what was cut off is what is cut off again.
        told_by_values=False,
        fields=_with_ranges(fields, parts["train"].x),
        target=_answer(config),
    )


def _check_names(frame, config):
    known = list(map(str, frame.columns))
    frame.columns = known
    for setting, names in (
        ("target", (config.target,)),
        ("leave_out", config.leave_out),
    ):
        for name in names:
            if name not in known:
                raise InputError(
                    f"expected data.{setting} among the columns "
                    f"{', '.join(map(repr, known))} of {config.name}, "
                    f"received: {name!r}"
                )


def _check_named(frame, config):
    """Refuses a column without a name, as the numbers of the rows that pandas
    and R write beside a table: sorted by the target, they would tell it."""
    for name in frame.columns:
        if _NAMELESS.fullmatch(name):
            raise InputError(
                f"expected columns with names, received: {config.name} with "
                f"{name!r}, as numbers of rows are written without one "
                "(pandas: index=False, R: row.names=FALSE leave them out); "
                f"name it in --data.leave-out, as {name!r}, or in the file"
            )


def _without_missing(frame, config):
    """The rows that have all their values, and a note on the others."""
    holes = frame.isna()
    numbers = frame.select_dtypes("number")
    holes[numbers.columns] |= np.isinf(numbers.astype("float64"))
    if not holes.to_numpy().any():
        return frame, ()
    name = holes.any().idxmax()
    if config.missing == "refuse":
        raise InputError(
            f"expected a value in every row of the column {name!r} of "
            f"{config.name}, received: {int(holes[name].sum())} of "
            f"{len(frame)} rows with none (of a file: nothing, NA, NaN, "
            "null) or infinity; set "
            "--data.missing leave_out_rows, or name the column in "
            "--data.leave-out"
        )
    whole = frame[~holes.any(axis=1)]
    left_out = len(frame) - len(whole)
    return whole, (
        f"{left_out} of {len(frame)} rows are left out: they lack a value "
        f"(of a file: nothing, NA, NaN, null), as in the column {name!r}",
    )


def _first_columns(fields, x):
    """Each field with its numbers, or whether it is the first of its texts."""
    place = 0
    for field in fields:
        yield field, x[:, place]
        place += field.num_columns


def _with_ranges(fields, x):
    """The fields, numbers with the range that they have in these rows."""
    found = []
    for field, seen in _first_columns(fields, x):
        ends = {} if field.texts else {"low": seen.min(), "high": seen.max()}
        ends = {end: float(value) for end, value in ends.items()}
        found.append(dataclasses.replace(field, **ends))
    return tuple(found)


def _answer(config):
    if config.positive is not None:
        return f"{config.target} = {config.positive}"
    # What was added before training.
    return config.target + ", to be rounded down" * config.dither


def _target(column, config):
    if config.positive is None:
        if column.dtype.kind not in "iufb":
            raise InputError(
                "expected a target of numbers, or data.positive, the text "
                f"that is to be found, received: target={config.target!r} "
                f"with {column.iloc[0]!r}"
            )
        y = column.to_numpy("float64")
        if config.dither and (y != np.floor(y)).any():
            raise InputError(
                "expected dither=False for a target that is no count, "
                f"received: {config.target!r} with {y[y != np.floor(y)][0]:g}"
            )
        return y
    texts = column.astype(str)
    known = sorted(texts.unique())
    columns_of.check_blanks(config.target, known)
    if config.positive not in known or len(known) < 2:
        raise InputError(
            f"expected data.positive among the values {known[:10]} of the "
            f"target {config.target!r}, and another one beside it, received: "
            f"positive={config.positive!r}"
        )
    return (texts == config.positive).to_numpy("float64")


def _check_rows(num, config):
    held_out = config.validation_examples + config.test_examples
    if num - held_out < _FEWEST_ROWS:
        raise InputError(
            f"expected {_FEWEST_ROWS} rows or more to train on beside "
            f"validation_examples={config.validation_examples} and "
            f"test_examples={config.test_examples}, received: {config.name} "
            f"with {num} rows in all"
        )


def _check_parts(parts, fields, config):
    for part, examples in parts.items():
        if not len(examples):
            continue
        found = examples.y
        if found.min() == found.max() and (
            config.positive is not None or part == "train"
        ):
            raise InputError(
                f"expected targets that differ among the {part} rows, "
                f"received: {found[0]:g} in all {len(found)}; another "
                "--data.split-seed or more rows in that part help"
            )
    for field, seen in _first_columns(fields, parts["train"].x):
        # A text that no training row has teaches nothing; the model leaves
        # it out (`TabularFamily.model`).
        if not field.texts and seen.min() == seen.max():
            raise InputError(
                "expected columns that differ among the training rows, "
                f"received: {field.title!r}, which is {seen[0]:g} in all "
                f"{len(seen)}; name it in --data.leave-out"
            )
