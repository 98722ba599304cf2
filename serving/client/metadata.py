"""What a server says of a model: its version, its signatures."""

import dataclasses

import numpy as np

from serving.client.errors import NotFound

# Every TF2 SavedModel has it; nobody can call it.
_HIDDEN = "__saved_model_init_op"
# Where TensorFlow's name of a dtype is not NumPy's in capitals.
_NUMPY_NAMES = {
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_HALF": "float16",
}
_TENSORFLOW_NAMES = {name: key for key, name in _NUMPY_NAMES.items()}


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
class Metadata:
    """One version of a model.

    Attributes:
        version: its number.
        signatures: dict: name -> `Signature`.
    """

    version: int
    signatures: dict[str, Signature]

    @property
    def image_shape(self):
        """`(height, width, channels)` of the images.

        Raises:
            NotFound: the model has no signature `reconstruct`.
        """
        return self._input("reconstruct", "image")

    @property
    def latent_size(self):
        """Number of latents.

        Raises:
            NotFound: the model has no signature `decode`.
        """
        return self._input("decode", "latent")[0]

    def _input(self, signature, name):
        inputs = self.signature(signature).inputs
        if name not in inputs or not inputs[name].shape:
            raise NotFound(
                f"signature {signature!r} has no input {name!r} of a known "
                "shape: is it an export of export.saved_model?"
            )
        return inputs[name].shape[1:]

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
