"""What a server answers of learned compression: symbols, never files.

A SavedModel cannot hold the entropy coder. A client asks for symbols and
codes them itself, or decodes them and asks for the picture.
"""

import numpy as np
import tensorflow as tf

from yoto_tf.compression import exact
from yoto_tf.compression import tables
from yoto_tf.compression.fingerprint import fingerprint_of
from yoto_tf.compression.quality import STEPS
from yoto_tf.endpoint import Endpoint
from yoto_tf.families.compression.config import KNOB
from yoto_tf.families.compression.config import LATENT_STRIDE
from yoto_tf.families.compression.config import MAX_REQUEST_PIXELS
from yoto_tf.families.compression.config import STRIDE
from yoto_tf.families.compression.model.entropy import coded_gaussian_bits
from yoto_tf.families.compression.model.entropy import coded_hyper_bits
from yoto_tf.graph_checks import require
from yoto_tf.method.constant_endpoints import constants_endpoint
from yoto_tf.method.constant_endpoints import loss_parameters_endpoint
from yoto_tf.rows import RowPolicy

# The session's sums differ in their last digits; a value on the edge between
# two whole numbers falls on either side.
_SYMBOLS = {"symbols": 1.0, "bits": 32.0}
_LEVELS = {"image": 1.0}
_PICTURES = {"image": 3 / 255, "psnr": 0.1, "bits_per_pixel": 32 / STRIDE**2}


def compression_endpoints(model, invalid_rows="error"):
    """Makes the endpoints of a model.

    Args:
        model: `CompressionModel`.
        invalid_rows: see `rows.RowPolicy`.

    Returns:
        list of `Endpoint`; the first is the default one.

    Raises:
        InputError: for other `invalid_rows`.
    """
    served, known = _Served(model, invalid_rows), _Known(model)
    network = model.network
    image = tf.TensorSpec((None, None, None, 3), tf.uint8, "image")
    symbols = tf.TensorSpec(
        (None, None, None, network.latents), tf.int32, "symbols"
    )
    hyper_symbols = tf.TensorSpec(
        (None, None, None, network.channels), tf.int32, "hyper_symbols"
    )
    lmbda = tf.TensorSpec((None,), tf.float32, KNOB)

    def endpoint(name, inputs, max_rows, tolerances=None):
        return Endpoint(
            name=name,
            inputs=[*inputs, lmbda],
            function=getattr(served, name),
            reference=getattr(known, name),
            example=lambda rows, seed: known.example(
                [spec.name for spec in inputs], rows, seed
            ),
            tolerances=tolerances or {},
            max_rows=max_rows,
        )

    positions = MAX_REQUEST_PIXELS // LATENT_STRIDE**2
    return [
        endpoint("reconstruct", [image], MAX_REQUEST_PIXELS, _PICTURES),
        endpoint("analyze", [image], MAX_REQUEST_PIXELS, _SYMBOLS),
        endpoint("scales", [hyper_symbols], MAX_REQUEST_PIXELS // STRIDE**2),
        endpoint("synthesize", [symbols, hyper_symbols], positions, _LEVELS),
        _coding_endpoint(known),
        loss_parameters_endpoint(model),
    ]


class _Served:
    """The functions of the graph. Sides of pictures are multiples of 64."""

    def __init__(self, model, invalid_rows):
        self._model = model
        self._rows = RowPolicy(model.loss_parameters, invalid_rows)
        self._counts = model.prior.counts()
        self._fingerprint = np.frombuffer(fingerprint_of(model), "uint8")

    def analyze(self, image, lmbda):
        """Symbols, the places of their scales in `tables.SCALES`, and the
        bits of a payload."""
        lmbda, image, valid = self._admitted(image, lmbda, STRIDE)
        found = self._model.coded(image, lmbda)
        del found["means"]
        found["bits"] = self._bits(found)
        return self._answer(found, valid)

    def scales(self, hyper_symbols, lmbda):
        """The places of the latents' scales in `tables.SCALES`."""
        lmbda, z, valid = self._admitted(hyper_symbols, lmbda, 1)
        indices, _ = self._model.scales_of(z, lmbda)
        return self._answer({"scale_indices": indices}, valid)

    def synthesize(self, symbols, hyper_symbols, lmbda):
        """The `image` of symbols, uint8."""
        lmbda, z, valid = self._admitted(hyper_symbols, lmbda, 1)
        ratio = STRIDE // LATENT_STRIDE
        same = tf.debugging.assert_equal(
            tf.shape(symbols)[1:3],
            tf.shape(z)[1:3] * ratio,
            f"expected {ratio} symbols a side for a hyper-symbol",
        )
        with tf.control_dependencies([same]):
            symbols = tf.cast(symbols, tf.float64)
        _, means = self._model.scales_of(z, lmbda)
        image = self._model.picture_of(symbols + means, lmbda)
        pixels = tf.cast(tf.round(image * 255), tf.uint8)
        return self._answer({"image": pixels}, valid)

    def reconstruct(self, image, lmbda):
        """The `image` in [0, 1] that a file would give, its `bits_per_pixel`
        and `psnr` in dB."""
        lmbda, image, valid = self._admitted(image, lmbda, STRIDE)
        found = self._model.coded(image, lmbda)
        latents = tf.cast(found["symbols"], tf.float64) + found["means"]
        made = self._model.picture_of(latents, lmbda)
        rounded = tf.round(made * 255)
        error = tf.cast(image, tf.float32) - rounded
        mse = tf.reduce_mean(error**2, (1, 2, 3))
        shape = tf.shape(image)
        pixels = tf.cast(shape[1] * shape[2], tf.float32)
        answer = {
            "image": rounded / 255,
            "bits_per_pixel": self._bits(found) / pixels,
            "psnr": _psnr(tf.math.log, mse),
        }
        return {n: self._rows.blank(t, valid) for n, t in answer.items()}

    def _bits(self, found):
        bits = coded_gaussian_bits(found["symbols"], found["scale_indices"])
        return bits + coded_hyper_bits(found["hyper_symbols"], self._counts)

    def _admitted(self, values, lmbda, multiple):
        shape = tf.shape(values)[:3]
        good = (shape > 0) & (shape % (1, multiple, multiple) == 0)
        sentence = (
            "expected one row or more of sides that are multiples of "
            f"{multiple} and not 0, received:"
        )
        with tf.control_dependencies([require(good, sentence, shape)]):
            values = tf.identity(values)
        asked, _, valid = self._rows.admit({KNOB: lmbda})
        return asked[KNOB], values, valid

    def _answer(self, outputs, valid):
        """With the fingerprint of the model that answers: a version may
        change between two questions of a client."""
        outputs = {n: self._rows.blank(t, valid) for n, t in outputs.items()}
        mark = tf.constant(self._fingerprint)[None]
        rows = tf.shape(next(iter(outputs.values())))[0]
        return {**outputs, "fingerprint": tf.tile(mark, [rows, 1])}


class _Known:
    """The same by the Keras model run eagerly and by NumPy, and questions."""

    def __init__(self, model):
        self._model = model
        self.lambdas = np.array(model.lambda_ends)
        self.counts = model.prior.counts()
        self.fingerprint = np.frombuffer(fingerprint_of(model), "uint8")

    def analyze(self, image, lmbda):
        found, _ = self._coded(image, lmbda)
        return {**found, "bits": self._bits(found), **self._mark(lmbda)}

    def scales(self, hyper_symbols, lmbda):
        indices, _ = self._scales(hyper_symbols, lmbda)
        return {"scale_indices": indices, **self._mark(lmbda)}

    def synthesize(self, symbols, hyper_symbols, lmbda):
        _, means = self._scales(hyper_symbols, lmbda)
        made = self._picture(symbols + means, lmbda)
        return {"image": np.rint(made * 255), **self._mark(lmbda)}

    def reconstruct(self, image, lmbda):
        found, latents = self._coded(image, lmbda)
        rounded = np.rint(self._picture(latents, lmbda) * 255)
        mse = np.square(image - rounded).mean((1, 2, 3))
        return {
            "image": rounded / 255,
            "bits_per_pixel": self._bits(found) / image[0, ..., 0].size,
            "psnr": _psnr(np.log, mse),
        }

    def _coded(self, image, lmbda):
        y = np.asarray(self._model.latents_of(image, lmbda))
        z = np.asarray(self._model.hyper_symbols_of(y, lmbda))
        indices, means = self._scales(z, lmbda)
        symbols = np.rint(y - means)
        return {
            "symbols": symbols.astype("int32"),
            "hyper_symbols": z,
            "scale_indices": indices,
        }, symbols + means

    def _scales(self, hyper_symbols, lmbda):
        low, high = self._model.lambda_ends
        steps = np.zeros(len(lmbda))
        if low < high:
            place = np.log(np.float64(lmbda) / low) / np.log(high / low)
            steps = np.clip(np.rint(place * STEPS), 0, STEPS)
        stages = self._model.stages()
        return exact.hyper_decoder(stages, hyper_symbols, steps)

    def _picture(self, latents, lmbda):
        return np.asarray(self._model.picture_of(np.float32(latents), lmbda))

    def _bits(self, found):
        bits = tables.symbol_bits(found["symbols"], found["scale_indices"])
        return bits + tables.hyper_bits(found["hyper_symbols"], self.counts)

    def _mark(self, lmbda):
        return {"fingerprint": np.tile(self.fingerprint, (len(lmbda), 1))}

    # Questions: `rows` of them; the seed None wants all alike.

    def example(self, names, rows, seed):
        rng = np.random.default_rng(seed)
        parameter = self._model.loss_parameters.parameters[KNOB]
        grid = parameter.grid(5)
        size = STRIDE * (1 + (seed or 0) % 2)
        shape = (rows, STRIDE, size)
        network = self._model.network
        found = {}
        for name in names:
            ratio, channels, least, most = {
                "image": (1, 3, 0, 255),
                "symbols": (LATENT_STRIDE, network.latents, -4, 4),
                "hyper_symbols": (STRIDE, network.channels, -9, 9),
            }[name]
            sides = (rows, *(s // ratio for s in shape[1:]), channels)
            values = rng.integers(least, most, sides, endpoint=True)
            if seed is None:
                values = np.zeros(sides)
            found[name] = values.astype("uint8" if ratio == 1 else "int32")
        asked = np.resize(np.roll(grid, -(seed or 0)), rows)
        if seed is None:
            asked[:] = parameter.default
        return {**found, KNOB: asked.astype("float32")}


def _coding_endpoint(known):
    """What a client needs to code symbols: for each of `rows` the same.

    `counts` `(rows, channels, n)`, of the hyper-latents; the `fingerprint`
    of the model; `lambdas`, its lowest and highest in float64.
    """
    facts = {
        "counts": known.counts.astype("int32"),
        "fingerprint": known.fingerprint,
        "lambdas": known.lambdas,
    }
    return constants_endpoint("coding", facts)


def _psnr(log, mse):
    # Of equal pictures it has no end: taken as that of an error of 1e-4.
    return 10 / np.log(10) * log(255.0**2 / (mse + 1e-4))
