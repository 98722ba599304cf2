"""What a served VAE answers, as methods with names of their own.

`Client.predict` does the same for any model; `beta` is the VAE's name for
its loss parameter.
"""

import dataclasses

import numpy as np

from serving.client import checks
from serving.client.errors import InvalidRequest
from serving.client.errors import NotFound


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """What `reconstruct` returns.

    Attributes:
        reconstruction: float32 images in [0, 1].
        rate: float32 `(batch,)`, nats per image.
        distortion: float32 `(batch,)`, nats per image, at the posterior's
            mean.
        in_range: bool `(batch,)`: whether the server answered the row.
    """

    reconstruction: np.ndarray
    rate: np.ndarray
    distortion: np.ndarray
    in_range: np.ndarray


@dataclasses.dataclass(frozen=True)
class Posterior:
    """What `encode` returns: q(z|x, beta).

    Attributes:
        mean: float32 `(batch, latent_size)`.
        stddev: float32 `(batch, latent_size)`.
    """

    mean: np.ndarray
    stddev: np.ndarray


@dataclasses.dataclass(frozen=True)
class Curve:
    """What `curve` returns: every image at k betas.

    Attributes:
        reconstruction: float32 `(batch, k, height, width, channels)`.
        rate: float32 `(batch, k)`, nats per image.
        distortion: float32 `(batch, k)`, nats per image.
    """

    reconstruction: np.ndarray
    rate: np.ndarray
    distortion: np.ndarray


class VaeMethods:
    """Mixed into `Client`.

    Images are `(batch, height, width, channels)`, uint8 or float in [0, 1].
    `beta` is a number or one per row; None: the model's default.
    `loss_parameters` is a dict of further ones, as `Client.predict` takes it.
    """

    def reconstruct(self, images, beta=None, loss_parameters=None):
        """Reconstructs images as a model trained for beta would.

        Returns:
            `Reconstruction`.
        """
        asked = _asked(beta, loss_parameters)
        return Reconstruction(**self._on_images("reconstruct", images, asked))

    def encode(self, images, beta=None, loss_parameters=None):
        """Returns the `Posterior` of images."""
        asked = _asked(beta, loss_parameters)
        return Posterior(**self._on_images("encode", images, asked))

    def decode(self, latents, beta=None, loss_parameters=None):
        """Returns the mean images of latents `(batch, latent_size)`."""
        asked = _asked(beta, loss_parameters)
        return self._on_latents("decode", "latent", latents, asked)

    def sample(self, noise, beta=None, loss_parameters=None):
        """Returns images of the prior.

        Args:
            noise: `(batch, latent_size)`, drawn from a standard normal. The
                same noise gives the same images.
            beta, loss_parameters: see the class.
        """
        asked = _asked(beta, loss_parameters)
        return self._on_latents("sample", "noise", noise, asked)

    def curve(self, images, betas, loss_parameters=None):
        """Reconstructs every image at k betas, in one request.

        Args:
            images: see the class.
            betas: `(k,)`, the same for all images, or `(batch, k)`.
            loss_parameters: dict of further ones: a number, `(k,)` or
                `(batch, k)`.

        Returns:
            `Curve`.
        """
        asked = _asked(betas, loss_parameters)
        return Curve(**self._on_images("curve", images, asked))

    def reconstruct_bytes(self, files, beta=None, loss_parameters=None):
        """Reconstructs images of any size, cropped to their middle square.

        Args:
            files: list of bytes, the contents of PNG or JPEG files.
            beta, loss_parameters: see the class.

        Returns:
            `(list of bytes, rate)`: the contents of PNG files, and nats per
            image `(batch,)`.
        """
        contents = checks.files(files)
        outputs = self._ask(
            "reconstruct_bytes",
            lambda _: {"image_bytes": contents},
            _asked(beta, loss_parameters),
        )
        return list(outputs["image_bytes"]), outputs["rate"]

    def _on_images(self, name, images, asked):
        def make_inputs(metadata):
            shape = _shape(metadata, name, "image")
            return {"image": checks.images(images, shape)}

        return self._ask(name, make_inputs, asked)

    def _on_latents(self, name, alias, latents, asked):
        def make_inputs(metadata):
            (size,) = _shape(metadata, name, alias)
            return {alias: checks.latents(latents, size, alias)}

        return self._ask(name, make_inputs, asked)["image"]


def _asked(beta, loss_parameters):
    others = {} if loss_parameters is None else loss_parameters
    if not isinstance(others, dict):
        raise InvalidRequest(
            "expected loss_parameters as a dict, received: "
            f"{type(others).__name__}"
        )
    if beta is None:
        return others
    if "beta" in others:
        raise InvalidRequest(
            f"expected beta once, received: beta={beta!r} and "
            f"loss_parameters={others!r}"
        )
    return {"beta": beta, **others}


def _shape(metadata, name, alias):
    """Of one row of an input."""
    inputs = metadata.signature(name).inputs
    if alias not in inputs or not inputs[alias].shape:
        raise NotFound(
            f"signature {name!r} has no input {alias!r} of a known shape: is "
            "it an export of export.saved_model?"
        )
    return inputs[alias].shape[1:]
