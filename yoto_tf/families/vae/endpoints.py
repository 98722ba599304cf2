"""The endpoints of a `ConditionalVAE`: what is served, and what is known of
it by other means."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from yoto_tf.data import pictures
from yoto_tf.endpoint import Endpoint
from yoto_tf.errors import InputError
from yoto_tf.errors import VerificationError
from yoto_tf.families.vae.model.conv_vae import ConditionalVAE
from yoto_tf.families.vae.model.posterior import rate as rate_of
from yoto_tf.families.vae.signatures import Signatures
from yoto_tf.method.constant_endpoints import loss_parameters_endpoint

# Values of each loss parameter in examples, over the trained range.
_NUM_VALUES = 5
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
        InputError: for other `invalid_rows`, or a subclass that answers
            users by other methods.
    """
    for name in ("predict", "predict_step", "sample", "served_outputs"):
        if getattr(type(model), name) is not getattr(ConditionalVAE, name):
            raise InputError(
                "expected a ConditionalVAE whose encode(), decode() and "
                f"reconstruct() say what is served, received: a {name}() of "
                f"{type(model).__name__}'s own, which model.export may serve"
            )
    served, known = Signatures(model, invalid_rows), _Known(model)
    image = _spec("image", *model.image_shape)
    data = tf.TensorSpec([None], tf.string, name="image_bytes")
    latent_size = model.model_config.latent_size
    latent, noise = _spec("latent", latent_size), _spec("noise", latent_size)
    names = model.loss_parameters.asked

    def endpoint(name, first, maker, points=1, **options):
        sizes = [None] * (points - 1)
        return Endpoint(
            name=name,
            inputs=[first, *(_spec(n, *sizes) for n in names)],
            function=getattr(served, name),
            reference=getattr(known, name),
            example=lambda rows, seed: {
                first.name: maker(rows, seed),
                **known.values(rows, seed, points),
            },
            **options,
        )

    return [
        endpoint("reconstruct", image, known.images, tolerances=_DISTORTION),
        endpoint("encode", image, known.images),
        endpoint("decode", latent, known.latents),
        endpoint("sample", noise, known.latents),
        endpoint(
            "reconstruct_bytes",
            data,
            known.files,
            tolerances=_PIXELS,
            as_numbers={"image_bytes": _decoded},
        ),
        endpoint(
            "curve", image, known.images, points=2, tolerances=_DISTORTION
        ),
        loss_parameters_endpoint(model),
    ]


class _Known:
    """Answers of the Keras model, by the methods that users call, and
    questions to ask."""

    def __init__(self, model):
        self._model = model
        self._size, _, self._channels = model.image_shape

    # Answers, by the names of the signatures.

    def reconstruct(self, image, **values):
        scored = self._scored(image, values)
        return {**scored, "in_range": np.full(len(image), 1)}

    def encode(self, image, **values):
        mean, stddev = self._model.encode(image, loss_parameters=values)
        return {"mean": mean, "stddev": stddev}

    def decode(self, latent, **values):
        return {"image": self._model.decode(latent, loss_parameters=values)}

    def sample(self, noise, **values):
        return self.decode(noise, **values)

    def reconstruct_bytes(self, image_bytes, **values):
        # As the pictures of a folder become images of training.
        squares = [
            pictures.read_square(io.BytesIO(f), self._size, self._channels)
            for f in image_bytes
        ]
        found = self._scored(np.stack(squares), values)
        return {"image_bytes": found["reconstruction"], "rate": found["rate"]}

    def curve(self, image, **values):
        num = len(next(iter(values.values())).T)
        columns = [
            self._scored(image, {n: v[:, k] for n, v in values.items()})
            for k in range(num)
        ]
        return {
            name: np.stack([c[name] for c in columns], axis=1)
            for name in columns[0]
        }

    def _scored(self, image, values):
        mean, stddev = self._model.encode(image, loss_parameters=values)
        complete = self._model.loss_parameters.complete_tensors(values)
        outputs = self._model.likelihood_of(
            mean,
            {
                n: np.broadcast_to(np.float32(v), len(image))
                for n, v in complete.items()
            },
        )
        made = self._model.reconstruct(image, loss_parameters=values)
        unit = image / np.float32(255) if image.dtype == np.uint8 else image
        scored = {
            "reconstruction": np.asarray(made),
            "rate": np.asarray(rate_of(mean, stddev)),
            "distortion": np.asarray(
                self._model.likelihood.distortion(unit, outputs)
            ),
        }
        encoded = {"mean": np.asarray(mean), "stddev": np.asarray(stddev)}
        self._check_call(image, complete, {**scored, **encoded})
        return scored

    def _check_call(self, image, complete, scored):
        """What is trained is `call`: one of a subclass may make something
        else of an image than the methods that are served."""
        by_call = self._model.served_outputs(image, complete)
        for name, value in scored.items():
            tolerance = _DISTORTION.get(name, 1e-3)
            if not np.allclose(
                by_call[name], value, 1e-3, tolerance, equal_nan=True
            ):
                raise VerificationError(
                    f"expected call() of {type(self._model).__name__} to give "
                    f"the {name} that encode() and reconstruct() lead to, "
                    "which are served, received: another; a subclass changes "
                    "posterior_of() and likelihood_of()"
                )

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

    def values(self, rows, seed, points):
        """dict of `(rows,)`, or of `(rows, 2)` for two points."""
        found = {}
        for i, name in enumerate(self._model.loss_parameters.asked):
            parameter = self._model.loss_parameters.parameters[name]
            if seed is None:
                row = np.full(rows, parameter.default)
            else:
                grid = parameter.grid(_NUM_VALUES)
                # Each at a pace of its own, so that they differ.
                row = np.resize(np.roll(grid, -seed * (i + 1) - i), rows)
            row = row.astype("float32")
            found[name] = (
                row if points == 1 else np.stack([row, row[::-1]], axis=1)
            )
        return found

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
