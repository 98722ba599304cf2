"""Compares a SavedModel with the Keras model that it was made of."""

import dataclasses

import numpy as np
import tensorflow as tf

from export import warmup
from export.session import Session
from yoto_tf.data.preprocessing import to_square
from yoto_tf.layers.posterior import rate as rate_of

# The session fuses operations that Keras runs one by one. Distortions are sums
# over thousands of float32 numbers that may cancel.
_TOLERANCE = 1e-4
_TOLERANCES = {"distortion": 1e-2}
_RELATIVE_TOLERANCE = 1e-5
# An 8-bit pixel may fall on either side of a half.
_PIXEL_TOLERANCE = 1.01 / 255
_NUM_BETAS = 5


class VerificationError(RuntimeError):
    """The C++ session does not answer as the Keras model does."""


@dataclasses.dataclass
class Difference:
    """The worst difference of one output, over all that was compared.

    Attributes:
        signature: name of the signature.
        output: name of the output.
        largest: the largest absolute difference.
        of: the value of the Keras model there.
    """

    signature: str
    output: str
    largest: float = 0.0
    of: float = 0.0


def verify(folder, model, batch_sizes=(1, 3, 8), seed=0):
    """Runs every signature and the warm-up records in the C++ session.

    Args:
        folder: of the version, with its warm-up records.
        model: the `ConditionalVAE`.
        batch_sizes: of the compared requests. The betas cover the trained
            range; at the first batch size each is asked alone.
        seed: of the random images and latents.

    Returns:
        list of `Difference`, one per output.

    Raises:
        VerificationError: for a fault of loading or running, or a difference.
    """
    worst = {}
    rng = np.random.default_rng(seed)
    try:
        with _loaded(folder) as session:
            for betas in _batches_of_betas(model, batch_sizes):
                for name, inputs, expected in _cases(model, betas, rng):
                    found = session.run(name, inputs)
                    _compare(name, found, expected, worst)
            warmup.replay(folder, session)
    except (tf.errors.OpError, KeyError) as error:
        reason = getattr(error, "message", str(error))
        raise VerificationError(
            f"the C++ session does not run the exported model: {reason}"
        ) from error
    return list(worst.values())


def _loaded(folder):
    try:
        return Session(folder)
    except (tf.errors.OpError, OSError, ValueError) as error:
        raise VerificationError(
            f"the C++ loader does not load the exported model: {error}"
        ) from error


def _batches_of_betas(model, batch_sizes):
    grid = model.beta_range.grid(_NUM_BETAS).astype("float32")
    first, *others = batch_sizes
    for i in range(len(grid)):
        yield np.resize(np.roll(grid, -i), first)
    for size in others:
        yield np.resize(grid, size)


def _cases(model, beta, rng):
    """Yields `(signature, inputs, expected outputs)`, the latter by the
    methods of the model that users call, not by those that are exported."""
    n = len(beta)
    size, _, channels = model.image_shape
    image = rng.uniform(size=(n, *model.image_shape)).astype("float32")
    latent = rng.normal(size=(n, model.model_config.latent_size))
    latent = latent.astype("float32")
    with tf.device("/CPU:0"):
        mean, stddev = model.encode(image, beta)
        reconstructed = _reconstruct(model, image, beta)
        decoded = {"image": model.decode(latent, beta)}
        inputs = {"image": image, "beta": beta}
        answered = {**reconstructed, "in_range": np.ones(n, bool)}
        yield "serving_default", inputs, answered
        yield "reconstruct", inputs, answered
        yield "encode", inputs, {"mean": mean, "stddev": stddev}
        yield "decode", {"latent": latent, "beta": beta}, decoded
        yield "sample", {"noise": latent, "beta": beta}, decoded

        both = np.stack([beta, beta[::-1]], axis=1)
        columns = [_reconstruct(model, image, b) for b in both.T]
        yield (
            "curve",
            {"image": image, "beta": both},
            {
                name: np.stack([c[name] for c in columns], axis=1)
                for name in columns[0]
            },
        )

        # Wider than high, so that cropping and resizing are compared too.
        shape = (n, size + 5, 2 * size, channels)
        pictures = rng.integers(0, 256, shape, dtype="uint8")
        squares = np.stack([to_square(p, size) for p in pictures])
        small = _reconstruct(model, squares, beta)
        yield (
            "reconstruct_bytes",
            {
                "image_bytes": np.array(
                    [tf.io.encode_png(p).numpy() for p in pictures], object
                ),
                "beta": beta,
            },
            {"image_bytes": small["reconstruction"], "rate": small["rate"]},
        )

        ends = model.beta_range.grid(2)
        yield (
            "beta_range",
            {"beta": np.append(beta, [-1, np.nan]).astype("float32")},
            {
                "in_range": np.append(np.ones(n, bool), [False, False]),
                "beta_min": np.full(n + 2, ends[0]),
                "beta_max": np.full(n + 2, ends[-1]),
            },
        )


def _reconstruct(model, image, beta):
    mean, stddev = model.encode(image, beta)
    outputs = model.likelihood_of(mean, beta)
    return {
        "reconstruction": np.asarray(model.reconstruct(image, beta)),
        "rate": np.asarray(rate_of(mean, stddev)),
        "distortion": np.asarray(
            model.likelihood.distortion(_unit(image), outputs)
        ),
    }


def _unit(image):
    return image / np.float32(255) if image.dtype == np.uint8 else image


def _compare(signature, found, expected, worst):
    if set(found) != set(expected):
        raise VerificationError(
            f"{signature}: expected the outputs {sorted(expected)}, "
            f"received: {sorted(found)}"
        )
    for name, wanted in expected.items():
        value, got = np.asarray(wanted, "float64"), found[name]
        tolerance = _TOLERANCES.get(
            name, _TOLERANCE
        ) + _RELATIVE_TOLERANCE * np.abs(value)
        if got.dtype == object:
            got = np.stack([tf.io.decode_png(f) for f in got]) / 255
            tolerance = _PIXEL_TOLERANCE
        if got.shape != value.shape:
            raise VerificationError(
                f"{signature}: expected {name} of shape {value.shape}, "
                f"received: {got.shape}"
            )
        difference = np.abs(got.astype("float64") - value)
        # False for NaN, which a model that diverged gives.
        if not (difference <= tolerance).all():
            raise VerificationError(
                f"{signature}: {name} of the C++ session differs by up to "
                f"{difference.max():g} from the Keras model"
            )
        record = worst.setdefault(
            (signature, name), Difference(signature, name)
        )
        at = difference.argmax()
        if difference.flat[at] >= record.largest:
            record.largest = float(difference.flat[at])
            record.of = float(value.flat[at])
