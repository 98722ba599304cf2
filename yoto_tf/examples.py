"""Examples in memory, split in three, of any kind. Imports no TensorFlow."""

import dataclasses
import functools
import hashlib

import numpy as np

from yoto_tf.errors import InputError


class Examples:
    """Inputs with their targets, that are sliced like one array.

    Args:
        x: `(n, ...)` array.
        y: `(n, ...)` array, or None.

    Raises:
        InputError: for different numbers of rows.
    """

    def __init__(self, x, y=None):
        self.x = np.asarray(x)
        self.y = None if y is None else np.asarray(y)
        if self.y is not None and len(self.x) != len(self.y):
            raise InputError(
                "expected one row of y per row of x, received: "
                f"x.shape={self.x.shape}, y.shape={self.y.shape}"
            )

    def __len__(self):
        return len(self.x)

    def __getitem__(self, rows):
        y = None if self.y is None else self.y[rows]
        return Examples(self.x[rows], y)

    @property
    def shape(self):
        """Of the inputs."""
        return self.x.shape

    @property
    def arrays(self):
        """`(x,)` or `(x, y)`."""
        return (self.x,) if self.y is None else (self.x, self.y)


def arrays_of(examples):
    """The arrays of `Examples`, or of an array that stands for them."""
    if isinstance(examples, Examples):
        return examples.arrays
    return (np.asarray(examples),)


def digests(examples):
    """A number for each example: the same for the same values, else another.

    Args:
        examples: `Examples` or an array, `(n, ...)`.

    Returns:
        `(n,)` uint64: the first 8 bytes of the SHA-256.
    """
    arrays = [np.ascontiguousarray(a) for a in arrays_of(examples)]
    parts = []
    for rows in zip(*arrays, strict=True):
        joined = hashlib.sha256()
        for row in rows:
            joined.update(np.ascontiguousarray(row))
        parts.append(joined.digest()[:8])
    return np.frombuffer(b"".join(parts), ">u8").astype(np.uint64)


@dataclasses.dataclass(frozen=True)
class Splits:
    """Disjoint parts of a data set: what a family's `load` returns.

    Each part is `Examples`, or an array `(n, ...)`: of images, `(n, size,
    size, channels)` uint8. `validation` may be empty; `train` and `test` are
    not, unless they were not asked for.

    Attributes:
        train, validation, test: the parts.
        version: of the data, as `name/config/1.0.0` of a TFDS data set; a
            run that continues must find the same.
        num_examples: dict, part -> number of its examples, those of parts
            that were not loaded included.
        own_test: whether the data set has a test split of its own, which
            another version does not cut anew.
        notes: sentences on what was done with the data.
        name: of the data set, in sentences.
        noun: what the examples are, in sentences.
        told_by_values: whether examples of the same values are the same one,
            as of pictures; rows of a table are not.
    """

    train: np.ndarray | Examples
    validation: np.ndarray | Examples
    test: np.ndarray | Examples
    version: str = ""
    num_examples: dict = dataclasses.field(default_factory=dict)
    own_test: bool = False
    notes: tuple = ()
    name: str = "data"
    noun: str = "examples"
    told_by_values: bool = True

    @property
    def example_shape(self):
        """Of one example's inputs."""
        return tuple(self.test.shape[1:])

    @functools.cached_property
    def trained_digests(self):
        """`digests` of the training examples, then of the validation's."""
        return np.concatenate([digests(self.train), digests(self.validation)])
