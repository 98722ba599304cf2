"""Compares what a session answers with the Keras model, before anyone is
served.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from yoto_tf import rows_check
from yoto_tf.answers import hashes
from yoto_tf.answers import is_float
from yoto_tf.answers import is_text
from yoto_tf.answers import relative_tolerance
from yoto_tf.answers import sizes as sizes_of
from yoto_tf.command_line import held_back_stderr
from yoto_tf.endpoint import by_signature
from yoto_tf.errors import InputError
from yoto_tf.errors import VerificationError
from yoto_tf.examples_check import ExamplesCheck

# The session fuses operations that Keras runs one by one.
_TOLERANCE = 1e-4
# Of an output that is small itself, as a rate of rare events, the tolerance is
# this share of its largest value, but what rounding makes of a sum near 1.
_SHARE, _LEAST = 1e-2, 3e-7
# Of one that is large, it is twice what float32 tells apart of the largest
# value of a column: near 0 a number has the roundings of what it is made of.
_SHARE_OF_LARGE = 2 * float(np.finfo("float32").eps)
_PYTHON = {"EagerPyFunc", "PyFunc", "PyFuncStateless"}


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


def not_run(error):
    """The `VerificationError` of a graph that refuses an example.

    Args:
        error: `tf.errors.OpError`, or another exception.
    """
    reason = " ".join(getattr(error, "message", str(error)).split())
    return VerificationError(
        f"the C++ session does not run the exported model: {reason}"
    )


def compare(
    session,
    endpoints,
    joint=None,
    invalid_rows="error",
    batch_sizes=(1, 1, 1, 1, 1, 3, 8),
):
    """Compares every signature in a session with its reference.

    Args:
        session: `yoto_tf.session.Session`.
        endpoints: list of `Endpoint`.
        joint: `JointParameters` of the model, None if it has none. Examples
            have to ask for several values of each that varies, and rows that
            differ in these alone count as equal.
        invalid_rows: what becomes of values that were not trained, see
            `yoto_tf.rows.RowPolicy`.
        batch_sizes: of the compared requests; the place in it is the seed of
            the example.

    Returns:
        list of `Difference`, one per output.

    Raises:
        InputError: for an example that is none, or of which nothing can be
            seen.
        VerificationError: for a signature that no endpoint has or that is
            missing, a difference, or values that were not trained and are
            answered.
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
    if session.is_compiled:
        raise VerificationError(
            "expected functions that XLA does not have to compile, which a "
            "server does not run unless it is told to, received: one of "
            "tf.function(jit_compile=True)"
        )
    varying = joint.varying if joint else ()
    compared = {
        signature: _Compared(session, signature, endpoint, varying)
        for signature, endpoint in wanted.items()
    }
    # The largest first: it tells how large outputs are.
    for seed, rows in sorted(enumerate(batch_sizes), key=lambda b: -b[1]):
        for one in compared.values():
            one.compare(rows, seed)
    for one in compared.values():
        one.examples.end()
    if joint:
        # TensorFlow logs each request that fails.
        with held_back_stderr():
            rows_check.check(
                session,
                endpoints,
                joint,
                invalid_rows,
                lambda signature, *pair: compared[signature].is_close(*pair),
            )
    return [d for one in compared.values() for d in one.worst.values()]


class _Compared:
    """One signature, request after request."""

    def __init__(self, session, signature, endpoint, varying):
        self.session, self.signature = session, signature
        self.endpoint = endpoint
        self.worst = {}
        self._sizes = {}
        self.examples = ExamplesCheck(endpoint, varying)
        self._heads = {}

    def compare(self, rows, seed):
        inputs = self.endpoint.request(rows, seed)
        # Fewer, where rows are long.
        rows = len(next(iter(inputs.values())))
        self.examples.look(inputs)
        found = self._run(inputs)
        if not self._sizes:
            self._check_pure(found, self._run(inputs))
        self._check_rows(found, rows)
        for name, value in found.items():
            sizes = sizes_of(value)
            self._sizes[name] = np.maximum(sizes, self._sizes.get(name, 0.0))
        for row in range(rows if rows > 1 else 0):
            one = slice(row, row + 1)
            alone = self._run({n: v[one] for n, v in inputs.items()})
            self._check_alone(found, alone, rows, one)
        with tf.device("/CPU:0"):
            expected = self.endpoint.reference(**inputs)
        self._compare_outputs(found, expected)

    def _run(self, inputs):
        found = self.session.run(self.signature, inputs)
        # What is no number is compared as one, that differs where it does.
        return {n: self._as_number(n, v) for n, v in found.items()}

    def _as_number(self, name, value):
        if name in self.endpoint.as_numbers:
            return np.asarray(self.endpoint.as_numbers[name](value))
        value = np.asarray(value)
        return hashes(value) if is_text(value) else value

    def _tolerance(self, name):
        given = self.endpoint.tolerances.get(name)
        if given is not None:
            return given
        sizes = self._sizes[name]
        largest = float(np.max(sizes, initial=0.0))
        small = min(_TOLERANCE, max(_SHARE * largest, _LEAST))
        return np.maximum(small, _SHARE_OF_LARGE * sizes)

    def _check_rows(self, found, rows):
        """Refuses outputs of fewer rows where more are asked for, but not of
        those. Some have none, as a batch's mean: no server puts such
        together."""
        for name, value in found.items():
            heads = self._heads.setdefault(name, {})
            heads[rows] = value.shape[:1]
            are_rows = all(head == (num,) for num, head in heads.items())
            if not are_rows and len(set(heads.values())) > 1:
                raise VerificationError(
                    f"{self.signature}: expected {name} to have a row for "
                    f"each of {rows}, received: shape {value.shape}"
                )

    def _check_pure(self, found, again):
        """Refuses answers that change, as of a model that draws noise."""
        for name, value in found.items():
            # Threads may add up in another order.
            if is_float(value):
                same = np.allclose(value, again[name], equal_nan=True)
            else:
                same = np.array_equal(value, again[name])
            if not same:
                raise VerificationError(
                    f"{self.signature}: {name} is not the same for the same "
                    "request; expected a function of its inputs alone"
                )

    def _check_alone(self, found, alone, rows, one):
        """Refuses a row whose answer changes with those beside it: a server
        that puts the requests of several clients together would mix them up.
        Each is asked: of sums along the batch, the first is right."""
        for name, value in found.items():
            got = alone[name]
            if value.shape[:1] != (rows,) or got.shape[:1] != (1,):
                # It has no rows, and no server puts such together.
                continue
            beside = value[one]
            if not self._is_close(name, got, beside):
                raise VerificationError(
                    f"{self.signature}: {name} of a row is not the same when "
                    "the row is asked for alone; expected a function of each "
                    "row by itself"
                )

    def is_close(self, name, got, wanted):
        """Whether two answers of the session are the same."""
        numbers = self._as_number(name, got), self._as_number(name, wanted)
        return self._is_close(name, *numbers)

    def _is_close(self, name, got, wanted):
        return got.shape == wanted.shape and np.allclose(
            got,
            wanted,
            relative_tolerance(got),
            self._tolerance(name),
            equal_nan=True,
        )

    def _compare_outputs(self, found, expected):
        if not isinstance(expected, Mapping):
            raise InputError(
                f"expected the reference of {self.endpoint.name} to return a "
                f"dict of arrays, received: {type(expected).__name__}"
            )
        if set(found) != set(expected):
            raise VerificationError(
                f"{self.signature}: expected the outputs {sorted(expected)}, "
                f"received: {sorted(found)}"
            )
        for name, wanted in expected.items():
            self._compare_output(name, found[name], wanted)

    def _compare_output(self, name, got, wanted):
        wanted = np.asarray(wanted)
        if is_text(wanted):
            wanted = hashes(wanted)
        number = np.result_type(wanted, got, "float64")
        value = np.asarray(wanted, number)
        if got.shape != value.shape:
            raise VerificationError(
                f"{self.signature}: expected {name} of shape {value.shape}, "
                f"received: {got.shape}"
            )
        if np.isnan(value).any():
            raise VerificationError(
                f"{self.signature}: expected the example to be of rows that "
                f"the model can answer, received: one of which {name} of the "
                "Keras model is not a number"
            )
        share = relative_tolerance(got) * is_float(wanted)
        given = name in self.endpoint.tolerances
        tolerance = self._tolerance(name)
        # As numbers of float64, large whole ones may be the same.
        whole = got.dtype.kind in "iu" and wanted.dtype.kind in "iu"
        same = np.equal(got, wanted) if whole and not given else True
        got = np.asarray(got, number)
        # Where they are the same, infinities too, there is no difference.
        difference = np.abs(
            np.subtract(got, value, np.zeros_like(value), where=got != value)
        )
        # False for NaN, which a model that diverged gives.
        if not np.all(np.isclose(got, value, share, tolerance) & same):
            raise VerificationError(
                f"{self.signature}: {name} of the C++ session differs by up to "
                f"{difference.max():g} from the Keras model"
            )
        record = self.worst.setdefault(name, Difference(self.signature, name))
        at = difference.argmax() if difference.size else None
        if at is not None and difference.flat[at] >= record.largest:
            record.largest = float(difference.flat[at])
            record.of = float(np.real(value.flat[at]))
