"""What a server says of a model: its version, its signatures."""

import dataclasses

import numpy as np

from serving.client.errors import NotFound
from serving.client.errors import ServerFault

# Every TF2 SavedModel has it; nobody can call it.
_HIDDEN = "__saved_model_init_op"
# Where TensorFlow's name of a dtype is not NumPy's in capitals.
_NUMPY_NAMES = {
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_HALF": "float16",
}
_TENSORFLOW_NAMES = {name: key for key, name in _NUMPY_NAMES.items()}
_TEXTS = ("trained", "scale", "description")
_NUMBERS = ("low", "high", "default")
# Relative, of the ends of a range.
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """An input or an output.

    Attributes:
        dtype: `"float32"`, `"int64"`, `"bool"`, `"string"`, ...
        shape: sizes, None where any will do; None alone for any rank.
    """

    dtype: str
    shape: tuple[int | None, ...] | None

    def fits(self, array):
        """Whether an array is of this dtype and shape."""
        return array.dtype == self.numpy_dtype and self.fits_shape(array.shape)

    def fits_shape(self, shape):
        return self.shape is None or (
            len(shape) == len(self.shape)
            and all(
                wanted in (None, size)
                for wanted, size in zip(self.shape, shape, strict=True)
            )
        )

    @property
    def numpy_dtype(self):
        return np.dtype(object if self.dtype == "string" else self.dtype)

    @property
    def tensorflow_dtype(self):
        """TensorFlow's name of the dtype, as `"DT_FLOAT"`."""
        default = f"DT_{self.dtype.upper()}"
        return _TENSORFLOW_NAMES.get(self.dtype, default)

    def __str__(self):
        if self.shape is None:
            return f"{self.dtype} of any shape"
        sizes = ["any" if size is None else str(size) for size in self.shape]
        return f"{self.dtype} ({', '.join(sizes)})"


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function of a model.

    Attributes:
        inputs: dict: name -> `TensorSpec`.
        outputs: dict: name -> `TensorSpec`.
    """

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


@dataclasses.dataclass(frozen=True)
class LossParameter:
    """A parameter of the loss that a request may choose.

    Attributes:
        name: of it, and of the input that takes it.
        trained: the values it was trained for, in words.
        scale: `"log"`, `"linear"`, `"choice"`, or `"simplex"` for one of
            several whose sum is 1.
        description: a sentence: what turning it does. May be empty.
        low, high: ends of the trained values.
        default: the value where none is asked for.
        ranges: the trained values, tuple of (lowest, highest).
    """

    name: str
    trained: str
    scale: str
    description: str
    low: float
    high: float
    default: float
    ranges: tuple[tuple[float, float], ...]

    @property
    def is_share(self):
        """Whether it is one of several whose sum is 1."""
        return self.scale == "simplex"

    def contains(self, values):
        """Tells of each of an array's values whether it was trained."""
        values = np.asarray(values, "float64")[..., None]
        ends = np.array(self.ranges)
        # As the graph has it: float32 rounds.
        low, high = (ends + _ROUNDING * np.abs(ends) * [-1, 1]).T
        return ((values >= low) & (values <= high)).any(-1)


@dataclasses.dataclass(frozen=True)
class Metadata:
    """One version of a model.

    Attributes:
        version: its number.
        signatures: dict: name -> `Signature`.
        loss_parameters: dict: name -> `LossParameter`, in the model's order;
            empty for a model that tells of none.
    """

    version: int
    signatures: dict[str, Signature]
    loss_parameters: dict[str, LossParameter] = dataclasses.field(
        default_factory=dict
    )

    def signature(self, name):
        """Looks up a signature.

        Raises:
            NotFound: there is none of that name.
        """
        try:
            return self.signatures[name]
        except KeyError:
            raise NotFound(
                f"no signature {name!r}; the model has "
                f"{', '.join(sorted(self.signatures))}"
            ) from None


def make(version, signature_defs):
    """Builds `Metadata` of what both APIs send.

    Args:
        version: number or its digits.
        signature_defs: dict: name -> `(inputs, outputs)`, these dicts: name
            -> `(dtype as "DT_FLOAT", sizes with -1 for any, or None)`.
    """
    return Metadata(
        int(version),
        {
            name: Signature(_specs(inputs), _specs(outputs))
            for name, (inputs, outputs) in sorted(signature_defs.items())
            if name != _HIDDEN
        },
    )


def read_loss_parameters(answer):
    """Reads what the signature `loss_parameters` answers.

    Args:
        answer: dict: name -> array of one row.

    Returns:
        dict: name -> `LossParameter`.

    Raises:
        ServerFault: for an answer of another form.
    """
    try:
        rows = {name: array[0] for name, array in answer.items()}
        return {
            name.decode(): LossParameter(
                name.decode(),
                *(rows[n][i].decode() for n in _TEXTS),
                *(_short(rows[n][i]) for n in _NUMBERS),
                _ranges(rows["ranges"][i]),
            )
            for i, name in enumerate(rows["name"])
        }
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        raise ServerFault(
            "the server's loss_parameters cannot be read: "
            f"{type(error).__name__}: {error}"
        ) from error


def _ranges(pairs):
    # The last one fills up the others' places.
    return tuple(
        dict.fromkeys((_short(low), _short(high)) for low, high in pairs)
    )


def _short(number):
    """The float of fewest digits that is this float32."""
    return float(str(np.float32(number)))


def _specs(tensors):
    return {
        name: TensorSpec(
            _NUMPY_NAMES.get(dtype, dtype.removeprefix("DT_").lower()),
            None
            if sizes is None
            else tuple(None if int(n) < 0 else int(n) for n in sizes),
        )
        for name, (dtype, sizes) in sorted(tensors.items())
    }
