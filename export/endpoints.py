"""The endpoints of a `ConditionalVAE`: what is served, and what is known of
it by other means."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from export.signatures import Signatures
from yoto_tf.data import pictures
from yoto_tf.endpoint import Endpoint
from yoto_tf.layers.posterior import rate as rate_of

# Betas of an example, over the trained range.
_NUM_BETAS = 5
_EXIF_ORIENTATION, _TURNED = 0x0112, 6

# Distortions are sums over thousands of float32 numbers that may cancel.
_DISTORTION = {"distortion": 1e-2}
# An 8-bit pixel may fall on either side of a half.
_PIXELS = {"image_bytes": 1.01 / 255}


def vae_endpoints(model, invalid_rows="error"):
    """Makes the endpoints of a model.

    Args:
        model: `ConditionalVAE`.
        invalid_rows: see `rows.RowPolicy`.

    Returns:
        list of `Endpoint`; the first is the default one.

    Raises:
        InputError: for other `invalid_rows`.
    """
    served, known = Signatures(model, invalid_rows), _Known(model)
    image = _spec("image", *model.image_shape)
    beta, betas = _spec("beta"), _spec("beta", None)
    data = tf.TensorSpec([None], tf.string, name="image_bytes")
    latent_size = model.model_config.latent_size
    latent, noise = _spec("latent", latent_size), _spec("noise", latent_size)

    def endpoint(name, inputs, example, **options):
        return Endpoint(
            name=name,
            inputs=inputs,
            function=getattr(served, name),
            reference=getattr(known, name),
            example=example,
            **options,
        )

    def example(**makers):
        def make(rows, seed):
            return {n: maker(rows, seed) for n, maker in makers.items()}

        return make

    images = example(image=known.images, beta=known.betas)
    return [
        endpoint("reconstruct", [image, beta], images, tolerances=_DISTORTION),
        endpoint("encode", [image, beta], images),
        endpoint(
            "decode",
            [latent, beta],
            example(latent=known.latents, beta=known.betas),
        ),
        endpoint(
            "sample",
            [noise, beta],
            example(noise=known.latents, beta=known.betas),
        ),
        endpoint(
            "reconstruct_bytes",
            [data, beta],
            example(image_bytes=known.files, beta=known.betas),
            tolerances=_PIXELS,
            as_numbers={"image_bytes": _decoded},
        ),
        endpoint(
            "curve",
            [image, betas],
            example(image=known.images, beta=known.pairs_of_betas),
            tolerances=_DISTORTION,
        ),
        endpoint("beta_range", [beta], example(beta=known.any_betas)),
    ]


class _Known:
    """Answers of the Keras model, by the methods that users call, and
    questions to ask."""

    def __init__(self, model):
        self._model = model
        self._size, _, self._channels = model.image_shape

    # Answers, by the names of the signatures.

    def reconstruct(self, image, beta):
        return {**self._scored(image, beta), "in_range": np.full(len(beta), 1)}

    def encode(self, image, beta):
        mean, stddev = self._model.encode(image, beta)
        return {"mean": mean, "stddev": stddev}

    def decode(self, latent, beta):
        return {"image": self._model.decode(latent, beta)}

    def sample(self, noise, beta):
        return {"image": self._model.decode(noise, beta)}

    def reconstruct_bytes(self, image_bytes, beta):
        # As the pictures of a folder become images of training.
        squares = [
            pictures.read_square(io.BytesIO(f), self._size, self._channels)
            for f in image_bytes
        ]
        found = self._scored(np.stack(squares), beta)
        return {"image_bytes": found["reconstruction"], "rate": found["rate"]}

    def curve(self, image, beta):
        columns = [self._scored(image, b) for b in beta.T]
        return {
            name: np.stack([c[name] for c in columns], axis=1)
            for name in columns[0]
        }

    def beta_range(self, beta):
        trained = self._model.beta_range
        low, high = trained.grid(_NUM_BETAS)[[0, -1]]
        return {
            "in_range": trained.contains(beta),
            "beta_min": np.full(len(beta), low),
            "beta_max": np.full(len(beta), high),
        }

    def _scored(self, image, beta):
        mean, stddev = self._model.encode(image, beta)
        outputs = self._model.likelihood_of(
            mean, {"beta": np.asarray(beta, "float32")}
        )
        unit = image / np.float32(255) if image.dtype == np.uint8 else image
        return {
            "reconstruction": np.asarray(self._model.reconstruct(image, beta)),
            "rate": np.asarray(rate_of(mean, stddev)),
            "distortion": np.asarray(
                self._model.likelihood.distortion(unit, outputs)
            ),
        }

    # Questions: `rows` of them; the seed None wants all alike.

    def images(self, rows, seed):
        shape = rows, self._size, self._size, self._channels
        if seed is None:
            return np.full(shape, 0.5, "float32")
        return _rng(seed).uniform(size=shape).astype("float32")

    def latents(self, rows, seed):
        shape = rows, self._model.model_config.latent_size
        if seed is None:
            return np.full(shape, 0.5, "float32")
        return _rng(seed).normal(size=shape).astype("float32")

    def betas(self, rows, seed):
        if seed is None:
            middle = self._model.beta_range.grid(1)
            return np.full(rows, middle[0], "float32")
        grid = self._model.beta_range.grid(_NUM_BETAS).astype("float32")
        return np.resize(np.roll(grid, -seed), rows)

    def pairs_of_betas(self, rows, seed):
        betas = self.betas(rows, seed)
        return np.stack([betas, betas[::-1]], axis=1)

    def any_betas(self, rows, seed):
        betas = self.betas(rows, seed)
        if seed is not None:
            betas[2::3] = np.resize([-1, np.nan, np.inf, 0], len(betas[2::3]))
        return betas

    def files(self, rows, seed):
        """Wide and high ones, turned, and transparent."""
        size, found = self._size, np.empty(rows, object)
        if seed is None:
            black = np.zeros((size, size, self._channels), "uint8")
            found[:] = tf.io.encode_png(black).numpy()
            return found
        for row in range(rows):
            rng, kind = _rng((seed, row)), (seed + row) % 3
            pixels = rng.integers(0, 256, (size + 5, 2 * size, 4), "uint8")
            exif = Image.Exif()
            exif[_EXIF_ORIENTATION] = _TURNED
            picture = Image.fromarray(pixels)
            if kind:
                picture = picture.convert("RGB" if kind == 1 else "L")
            file = io.BytesIO()
            picture.save(file, "JPEG" if kind == 1 else "PNG", exif=exif)
            found[row] = file.getvalue()
        return found


def _rng(seed):
    return np.random.default_rng(seed)


def _decoded(files):
    return np.stack([tf.io.decode_png(f) for f in files]) / 255


def _spec(name, *shape):
    return tf.TensorSpec([None, *shape], tf.float32, name=name)
