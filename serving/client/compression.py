"""Pictures as files by a served model of the family `compression`.

The server knows symbols, the client the coder: `constriction`, of the extra
`compression`. Files are those of `yoto_tf.compression`, which is imported where
it is needed: the rest of the client does without the library.
"""

import contextlib

import numpy as np

from serving.client.errors import InvalidRequest
from serving.client.errors import ServerFault

# What the server takes at once. Larger pictures go through `Codec`.
MAX_PIXELS = 2**20
# A version may follow another between two questions.
_TRIES = 3


class CompressionMethods:
    """Mixed into `Client`."""

    def compress(self, pixels, quality=None):
        """The bytes of a file, as `yoto_tf.compression.Codec.compress` of the
        same model writes it.

        Args:
            pixels: uint8 `(height, width, 3)`, or grey `(height, width)`; a
                million pixels at most, sides filled up to multiples of 64.
            quality: 0 to 100; default: 50.

        Raises:
            InvalidRequest: for other pixels or another quality.
        """
        from yoto_tf.compression import pixels as pixels_of_files
        from yoto_tf.compression import quality as qualities
        from yoto_tf.compression import symbol_files

        with _as_invalid_requests():
            rgb, channels = pixels_of_files.checked(pixels)
            image = pixels_of_files.filled(rgb)
            _check_few(image.shape)
            for _ in range(_TRIES):
                coding = self._coding()
                step = qualities.step_for(quality, *coding.lambdas)
                found = self._of_file("analyze", {"image": image}, coding, step)
                if found is None:
                    continue
                parts = (
                    found["hyper_symbols"],
                    found["symbols"],
                    found["scale_indices"].astype("uint8"),
                )
                return symbol_files.write(
                    rgb,
                    channels,
                    step,
                    coding.fingerprint,
                    parts,
                    coding.counts,
                )
        raise _changing()

    def decompress(self, data):
        """The pixels of a file, uint8 `(height, width, 3)` or
        `(height, width)`.

        Raises:
            InvalidRequest: for bytes that are no whole file of the served
                model, or of more pixels than `compress` takes.
        """
        from yoto_tf.compression import container
        from yoto_tf.compression import pixels as pixels_of_files
        from yoto_tf.compression import symbol_files

        with _as_invalid_requests():
            file = container.unpack(data)
            sides = map(pixels_of_files.padded, (file.height, file.width))
            _check_few(tuple(sides))
            for _ in range(_TRIES):
                coding = self._coding()

                def indices_of(hyper_symbols, step, coding=coding):
                    found = self._of_file(
                        "scales",
                        {"hyper_symbols": hyper_symbols},
                        coding,
                        step,
                    )
                    if found is None:
                        raise _VersionChangedError
                    return found["scale_indices"].astype("uint8")

                try:
                    file, hyper_symbols, symbols = symbol_files.read(
                        data, coding.fingerprint, coding.counts, indices_of
                    )
                except _VersionChangedError:
                    continue
                found = self._of_file(
                    "synthesize",
                    {"symbols": symbols, "hyper_symbols": hyper_symbols},
                    coding,
                    file.step,
                )
                if found is not None:
                    return pixels_of_files.cropped(found["image"], file)
        raise _changing()

    def _coding(self):
        return _Coding(
            **{
                name: value[0]
                for name, value in self.predict(
                    "coding", {"rows": np.zeros(1, "int32")}
                ).items()
            }
        )

    def _of_file(self, signature, inputs, coding, step):
        """The answer for one picture, without its batch; None: of another
        version than told how to code."""
        from yoto_tf.compression import quality as qualities

        lmbda = np.float32(qualities.lambda_of(step, *coding.lambdas))
        found = self.predict(
            signature,
            {
                "lmbda": lmbda[None],
                **{name: value[None] for name, value in inputs.items()},
            },
        )
        found = {name: value[0] for name, value in found.items()}
        same = bytes(found.pop("fingerprint")) == coding.fingerprint
        return found if same else None


class _Coding:
    """What `coding` answers."""

    def __init__(self, counts, fingerprint, lambdas):
        self.counts = np.asarray(counts, "int64")
        self.fingerprint = np.asarray(fingerprint, "uint8").tobytes()
        self.lambdas = tuple(map(float, lambdas))


class _VersionChangedError(Exception):
    """Another version answers than a moment ago."""


@contextlib.contextmanager
def _as_invalid_requests():
    """Refusals of the library as those of the client."""
    from yoto_tf.errors import InputError

    try:
        yield
    except InputError as error:
        raise InvalidRequest(str(error)) from error


def _check_few(shape):
    from yoto_tf.compression import pixels as pixels_of_files

    if shape[0] * shape[1] > MAX_PIXELS:
        raise InvalidRequest(
            f"expected a picture of at most {MAX_PIXELS:,} pixels with sides "
            f"filled up to multiples of {pixels_of_files.MULTIPLE}, received: "
            f"{shape[1]} x {shape[0]}; yoto_tf.compression.Codec takes larger "
            "ones"
        )


def _changing():
    return ServerFault(
        f"another version of the model answered in each of {_TRIES} tries"
    )
