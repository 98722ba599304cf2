"""What a server answers: a function with all that its check needs.

Exporter, warm-up records, manifest and verification read the same list of
`Endpoint`s. None of them can be made without a reference and an example, so
nothing is published that was not compared.
"""

import dataclasses
import inspect
import keyword
import math
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.graph_checks import at_most

# A request of 64 MiB holds a million latents, whose images would be 50 GB and
# the end of the server. These many of 64x64 pixels take about 1 GB.
MAX_ROWS = 1024

DEFAULT_SIGNATURE = "serving_default"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A signature of a served model.

    Attributes:
        name: of the signature.
        inputs: `tf.TensorSpec`s with names; the first dimension of each is
            the batch, None.
        function: what the graph computes: takes one tensor per input, in
            their order, and returns a dict of tensors, one row per row of the
            inputs. It is given only batches that fit and are not too large.
        reference: what the answer should be: takes the inputs as arrays by
            their names and returns a dict of arrays. It asks the Keras model
            in the way in which users do, never `function`.
        example: `example(rows, seed)` makes inputs, a dict of arrays of so
            many rows that are answered. Seeds from 0 count the batches that
            are compared, each of other values; together they cover what may
            be asked. The seed None wants the plainest: where all values of
            an input are one, a warm-up record takes no room.
        tolerances: by outputs, absolute differences that are no fault, where
            they differ from 1e-4; 1e-5 of the value is added, but for whole
            numbers.
        as_numbers: by outputs that are no numbers, functions from the array
            of the session to one that is compared with that of `reference`.
        max_rows: of a request.
        max_entries: of an input that leaves further dimensions open, over
            all of these; None: `max_rows`.

    Raises:
        InputError: for something that is missing or of another kind.
    """

    name: str
    inputs: Sequence[tf.TensorSpec]
    function: Callable[..., Mapping[str, tf.Tensor]]
    reference: Callable[..., Mapping[str, Any]]
    example: Callable[[int, int | None], Mapping[str, np.ndarray]]
    tolerances: Mapping[str, float] = dataclasses.field(default_factory=dict)
    as_numbers: Mapping[str, Callable] = dataclasses.field(default_factory=dict)
    max_rows: int = MAX_ROWS
    max_entries: int | None = None

    def __post_init__(self):
        if not _is_name(self.name) or self.name == DEFAULT_SIGNATURE:
            raise InputError(
                "expected a signature's name of letters, digits and _, other "
                f"than {DEFAULT_SIGNATURE}, received: name={self.name!r}"
            )
        names = [spec.name for spec in self.inputs]
        if len(set(names)) < max(len(names), 1) or not all(
            name and _is_name(name) for name in names
        ):
            raise InputError(
                f"expected {self.name} to have inputs with names of their "
                f"own, of letters, digits and _ and no keywords of Python, "
                f"received: {names}"
            )
        for spec in self.inputs:
            if not spec.shape.rank or spec.shape[0] is not None:
                raise InputError(
                    f"expected the input {spec.name} of {self.name} to have "
                    f"an open batch first, received: shape {spec.shape}"
                )
        for role in ("function", "reference", "example"):
            if not callable(getattr(self, role)):
                raise InputError(
                    f"expected {self.name} to have a {role} to call, "
                    f"received: {role}={getattr(self, role)!r}"
                )
        if _python(self.reference) == _python(self.function):
            raise InputError(
                f"expected {self.name} to have a reference that is not the "
                "served function itself"
            )

    @property
    def served(self):
        """The function of the graph; refuses batches that do not fit.

        Its parameters have the names of the inputs, which is how a SavedModel
        that is loaded in Python calls them.
        """

        def serve(*tensors):
            return dict(self.function(*self._admitted(tensors)))

        serve.__name__ = self.name
        serve.__signature__ = inspect.Signature(
            [
                inspect.Parameter(
                    spec.name, inspect.Parameter.POSITIONAL_OR_KEYWORD
                )
                for spec in self.inputs
            ]
        )
        return serve

    def request(self, rows, seed):
        """What `example` makes, of as many rows as a request may have, as
        arrays.

        Raises:
            InputError: for other inputs or another number of rows.
        """
        rows = min(rows, self.max_rows)
        inputs = self.example(rows, seed)
        names = sorted(spec.name for spec in self.inputs)
        said = f"expected the example of {self.name} to be"
        if sorted(inputs) != names:
            raise InputError(
                f"{said} a dict of {names}, received: {sorted(inputs)}"
            )
        inputs = {n: np.asarray(v) for n, v in inputs.items()}
        for name, value in inputs.items():
            if value.shape[:1] != (rows,):
                raise InputError(
                    f"{said} of as many rows as it is asked for, {rows}, "
                    f"received: {name}.shape={value.shape}"
                )
        for spec in self.inputs:
            shape = inputs[spec.name].shape
            # As `_admitted` counts them.
            entries = math.prod(
                side
                for side, known in zip(shape, spec.shape, strict=True)
                if known is None
            )
            if rows > 1 and entries > self._limit(spec):
                return self.request(
                    max(rows * self._limit(spec) // entries, 1), seed
                )
        return inputs

    def _limit(self, spec):
        """Of the product of the dimensions that an input leaves open."""
        is_open = [side is None for side in spec.shape]
        if sum(is_open) == 1:
            return self.max_rows
        return self.max_entries or self.max_rows

    def _admitted(self, tensors):
        """Checks the shapes of a request: sessions enforce neither those that
        a signature declares nor equal batch sizes. Loss parameters of shape
        (1,) would be broadcast over a batch of images without a word."""
        tensors = [
            tf.ensure_shape(tensor, spec.shape)
            for tensor, spec in zip(tensors, self.inputs, strict=True)
        ]
        first, rows = self.inputs[0].name, tf.shape(tensors[0])[0]
        checks = []
        for spec, tensor in zip(self.inputs, tensors, strict=True):
            own = tf.shape(tensor)[0]
            same = tf.debugging.Assert(
                tf.equal(rows, own),
                [
                    f"expected one row of {spec.name} per row of {first}, "
                    f"received rows of {first} and {spec.name}:",
                    rows,
                    own,
                ],
            )
            open_axes = [i for i, d in enumerate(spec.shape) if d is None]
            entries = tf.reduce_prod(tf.gather(tf.shape(tensor), open_axes))
            what = "rows" if len(open_axes) == 1 else f"entries of {spec.name}"
            few = at_most(entries, self._limit(spec), f"{what} per request")
            checks += [same, few]
        checks.append(at_most(rows, self.max_rows, "rows per request"))
        with tf.control_dependencies(checks):
            return [tf.identity(tensor) for tensor in tensors]


def _python(function):
    """What a `tf.function` was made of."""
    return getattr(function, "python_function", function)


def _is_name(text):
    # A keyword, as lambda, can be no parameter of a Python function, and TF
    # takes `self` for a method's.
    is_taken = keyword.iskeyword(text) or text == "self"
    return text.isidentifier() and not is_taken


def by_signature(endpoints):
    """Returns dict, name of a signature -> its `Endpoint`; the first is also
    the default one.

    Raises:
        InputError: for none, or two of one name.
    """
    endpoints = list(endpoints)
    found = {e.name: e for e in endpoints}
    if not endpoints or len(found) < len(endpoints):
        raise InputError(
            "expected one or more endpoints with names of their own, "
            f"received: {[e.name for e in endpoints]}"
        )
    return {DEFAULT_SIGNATURE: endpoints[0], **found}
