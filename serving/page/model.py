"""The model behind the page, as the client sees it."""

import dataclasses

import numpy as np

from serving.page import betas


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the server says of the model.

    Attributes:
        name: of the model.
        version: number of the served version.
        image_shape: `(height, width, channels)`.
        latent_size: number of latents.
        beta_low: smallest trained beta.
        beta_high: largest trained beta.
    """

    name: str
    version: int
    image_shape: tuple[int, int, int]
    latent_size: int
    beta_low: float
    beta_high: float


@dataclasses.dataclass(frozen=True)
class CurvePoints:
    """One image over the range of beta.

    Attributes:
        betas: `(k,)`, ascending.
        reconstruction: `(k, height, width, channels)`, in [0, 1].
        rate: `(k,)`, nats per image.
        distortion: `(k,)`, nats per image.
    """

    betas: np.ndarray
    reconstruction: np.ndarray
    rate: np.ndarray
    distortion: np.ndarray


class Model:
    """Asks a server for one image at a time, for many threads.

    Every method raises `serving.client.ServingError` where the server gives
    no answer.

    Args:
        client: `serving.client.Client`.
        name: of the model.
        address: of the server, for people to read.
    """

    def __init__(self, client, name, address):
        self._client = client
        self.name = name
        self.address = address

    def facts(self):
        """Returns `Facts`, no older than the client's own knowledge."""
        metadata = self._client.metadata()
        beta = metadata.loss_parameters["beta"]
        return Facts(
            self.name,
            metadata.version,
            metadata.signature("reconstruct").inputs["image"].shape[1:],
            metadata.signature("decode").inputs["latent"].shape[1],
            beta.low,
            beta.high,
        )

    def reconstruct(self, image, beta):
        """Returns `(reconstruction, rate, distortion)` of one image."""
        answer = self._client.reconstruct(image[None], beta)
        return (
            answer.reconstruction[0],
            float(answer.rate[0]),
            float(answer.distortion[0]),
        )

    def curve(self, image):
        """Returns `CurvePoints` of one image, in one request."""
        beta = self._client.metadata().loss_parameters["beta"]
        grid = betas.grid(beta.low, beta.high)
        answer = self._client.curve(image[None], grid)
        return CurvePoints(
            grid,
            answer.reconstruction[0],
            answer.rate[0],
            answer.distortion[0],
        )

    def sample(self, noise, beta):
        """Returns one image per row of `noise`, `(n, latent_size)`."""
        return self._client.sample(noise, beta)
