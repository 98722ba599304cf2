"""What a server answers: a function with all that its check needs.

Exporter, warm-up records, manifest and verification read the same list of
`Endpoint`s. None of them can be made without a reference and an example, so
nothing is published that was not compared.
"""

import dataclasses
import inspect
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

# The session fuses operations that Keras runs one by one.
_TOLERANCE = 1e-4
_PYTHON = {"EagerPyFunc", "PyFunc", "PyFuncStateless"}
_RELATIVE_TOLERANCE = 1e-5

DEFAULT_SIGNATURE = "serving_default"


class VerificationError(RuntimeError):
    """The C++ session does not answer as the Keras model does."""


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
        max_rows: of a request. Inputs that leave further dimensions open
            have as many entries over all of these.

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

    def __post_init__(self):
        if not self.name.isidentifier() or self.name == DEFAULT_SIGNATURE:
            raise InputError(
                "expected a signature's name of letters, digits and _, other "
                f"than {DEFAULT_SIGNATURE}, received: name={self.name!r}"
            )
        names = [spec.name for spec in self.inputs]
        if len(set(names)) < max(len(names), 1) or not all(
            name and name.isidentifier() for name in names
        ):
            raise InputError(
                f"expected {self.name} to have inputs with names of their "
                f"own, of letters, digits and _, received: {names}"
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
        if self.reference == self.function:
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
            few = at_most(entries, self.max_rows, f"{what} per request")
            checks += [same, few]
        with tf.control_dependencies(checks):
            return [tf.identity(tensor) for tensor in tensors]


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


@dataclasses.dataclass
class Difference:
    """The worst difference of one output, over all that was compared.

    Attributes:
        signature: name of the signature.
        output: name of the output.
        largest: the largest absolute difference.
        of: the value of the reference there.
    """

    signature: str
    output: str
    largest: float = 0.0
    of: float = 0.0


def compare(session, endpoints, batch_sizes=(1, 1, 1, 1, 1, 3, 8)):
    """Compares every signature in a session with its reference.

    Args:
        session: `yoto_tf.session.Session`.
        endpoints: list of `Endpoint`.
        batch_sizes: of the compared requests; the place in it is the seed of
            the example.

    Returns:
        list of `Difference`, one per output.

    Raises:
        VerificationError: for a signature that no endpoint has or that is
            missing, or a difference.
        tf.errors.OpError: if the graph refuses an example.
    """
    wanted = by_signature(endpoints)
    if session.signatures != set(wanted):
        raise VerificationError(
            f"expected the signatures {sorted(wanted)}, received: "
            f"{sorted(session.signatures)}"
        )
    python = sorted(_PYTHON & session.operations)
    if python:
        # Here it would be found, in the process that has the function.
        raise VerificationError(
            "expected operations of TensorFlow alone, which a server can run, "
            f"received: {', '.join(python)}, of tf.py_function or "
            "tf.numpy_function"
        )
    worst = {}
    for seed, rows in enumerate(batch_sizes):
        for signature, endpoint in wanted.items():
            inputs = endpoint.example(rows, seed)
            found = session.run(signature, inputs)
            if not seed:
                _check_pure(signature, found, session.run(signature, inputs))
            for row in range(rows if rows > 1 else 0):
                one = slice(row, row + 1)
                asked = {name: value[one] for name, value in inputs.items()}
                alone = session.run(signature, asked)
                _check_alone(signature, endpoint, found, alone, rows, one)
            with tf.device("/CPU:0"):
                expected = endpoint.reference(**inputs)
            _compare_outputs(signature, endpoint, found, expected, worst)
    return list(worst.values())


def _check_pure(signature, found, again):
    """Refuses answers that change, as of a model that draws noise."""
    for name, value in found.items():
        is_float = value.dtype.kind == "f"
        # Threads may add up in another order.
        same = np.allclose if is_float else np.array_equal
        if not same(value, again[name], equal_nan=is_float):
            raise VerificationError(
                f"{signature}: {name} is not the same for the same request; "
                "expected a function of its inputs alone"
            )


def _check_alone(signature, endpoint, found, alone, rows, one):
    """Refuses a row whose answer changes with those beside it: a server that
    puts the requests of several clients together would mix them up. Each is
    asked: of sums along the batch, the first is right."""
    for name, value in found.items():
        if value.shape[:1] != (rows,):
            continue
        number = endpoint.as_numbers.get(name, np.asarray)
        got, beside = number(alone[name]), number(value[one])
        tolerance = endpoint.tolerances.get(name, _TOLERANCE)
        if got.shape != beside.shape or not np.allclose(
            got, beside, _RELATIVE_TOLERANCE, tolerance, equal_nan=True
        ):
            raise VerificationError(
                f"{signature}: {name} of a row is not the same when the row "
                "is asked for alone; expected a function of each row by itself"
            )


def _compare_outputs(signature, endpoint, found, expected, worst):
    if set(found) != set(expected):
        raise VerificationError(
            f"{signature}: expected the outputs {sorted(expected)}, "
            f"received: {sorted(found)}"
        )
    for name, wanted in expected.items():
        got = found[name]
        if name in endpoint.as_numbers:
            got = endpoint.as_numbers[name](got)
        number = np.result_type(np.asarray(wanted), got, "float64")
        value = np.asarray(wanted, number)
        if got.shape != value.shape:
            raise VerificationError(
                f"{signature}: expected {name} of shape {value.shape}, "
                f"received: {got.shape}"
            )
        tolerance = endpoint.tolerances.get(name, _TOLERANCE)
        # Of two large whole numbers, as indices, no other one is as good.
        share = _RELATIVE_TOLERANCE * (np.asarray(got).dtype.kind in "fc")
        got = np.asarray(got, number)
        # Where they are the same, infinities too, there is no difference.
        difference = np.abs(
            np.subtract(got, value, np.zeros_like(value), where=got != value)
        )
        # False for NaN, which a model that diverged gives.
        if not np.isclose(got, value, share, tolerance).all():
            raise VerificationError(
                f"{signature}: {name} of the C++ session differs by up to "
                f"{difference.max():g} from the Keras model"
            )
        record = worst.setdefault(
            (signature, name), Difference(signature, name)
        )
        at = difference.argmax() if difference.size else None
        if at is not None and difference.flat[at] >= record.largest:
            record.largest = float(difference.flat[at])
            record.of = float(np.real(value.flat[at]))
