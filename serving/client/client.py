"""The client: NumPy arrays in and out."""

import dataclasses

import numpy as np

from serving.client import checks
from serving.client import served
from serving.client.connection import Connection
from serving.client.errors import InvalidRequest
from serving.client.errors import NotFound
from serving.client.errors import ServingError
from serving.client.retry import Deadline
from serving.client.target import Target


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


class Client:
    """Asks a served model. Threads may share it.

    Images are `(batch, height, width, channels)`, uint8 or float in [0, 1];
    beta is a number or one per row, in the range that the model was trained
    for. All of it is checked before it is sent, with what the server says of
    the version that answers; that is asked for again when it is older than a
    second, so that a new version is followed.

    Over REST an image is text: ten times the bytes, and the time to read
    them. Prefer gRPC for batches, or `reconstruct_bytes`.

    Args:
        address: `"grpc://HOST:8500"` or `"http://HOST:8501"`. Proxies are
            not used.
        model: name of the model.
        version: number of a version; None: the server's choice, the latest.
        label: label of a version, in place of its number.
        timeout: seconds that a call may take, all tries included.
        retries: limit of the new tries of a request that found the server
            unavailable; None: as many as `timeout` has room for.

    Raises:
        InvalidRequest: an argument is wrong. Nothing is sent yet.

    All other methods raise
        InvalidRequest: for bad input, which the text names.
        NotFound: no such model, version, label or signature.
        Unavailable: no server, or none ready, for the whole `timeout`.
        DeadlineExceeded: no answer in time.
        ResourceExhausted: too large, or the server has too much to do.
        ServerFault: the server failed.
    These are `ServingError`s.
    """

    def __init__(
        self,
        address,
        model,
        version=None,
        label=None,
        timeout=30.0,
        retries=None,
    ):
        self._timeout = _checked_seconds(timeout)
        if retries is not None and not (
            isinstance(retries, int) and retries >= 0
        ):
            raise InvalidRequest(
                "expected retries as a whole number >= 0 or None, received: "
                f"retries={retries!r}"
            )
        target = Target.parse(address, model, version, label)
        self._served = served.ServedModel()
        self._connection = Connection(target, retries, self._served.doubt)

    def close(self):
        """Ends the connections."""
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def wait_until_ready(self, timeout=60.0):
        """Waits until the server can answer for the model.

        Args:
            timeout: seconds.

        Raises:
            Unavailable: still no server, or the model is not loaded.
            NotFound: still no such model, version or label.
        """
        self._connection.wait_until_ready(Deadline(_checked_seconds(timeout)))

    def metadata(self):
        """Returns the `Metadata` of the version that answers now."""
        deadline = Deadline(self._timeout)
        return self._served.current(self._connection, deadline).metadata

    def beta_range(self):
        """Returns `(beta_min, beta_max)` of the version that answers now."""
        deadline = Deadline(self._timeout)
        current = self._served.current(self._connection, deadline)
        if current.beta_range is None:
            current.metadata.signature("beta_range")  # raises
        return current.beta_range.low, current.beta_range.high

    def reconstruct(self, images, beta):
        """Reconstructs images as a model trained for beta would.

        Returns:
            `Reconstruction`.
        """
        return Reconstruction(
            **self._run_on_images("reconstruct", images, beta)
        )

    def encode(self, images, beta):
        """Returns the `Posterior` of images."""
        return Posterior(**self._run_on_images("encode", images, beta))

    def decode(self, latents, beta):
        """Returns the mean images of latents `(batch, latent_size)`."""
        return self._run_on_latents("decode", "latent", latents, beta)

    def sample(self, noise, beta):
        """Returns images of the prior.

        Args:
            noise: `(batch, latent_size)`, drawn from a standard normal. The
                same noise gives the same images.
        """
        return self._run_on_latents("sample", "noise", noise, beta)

    def curve(self, images, betas):
        """Reconstructs every image at k betas, in one request.

        Args:
            betas: `(k,)`, the same for all images, or `(batch, k)`.

        Returns:
            `Curve`.
        """
        return Curve(
            **self._run_on_images("curve", images, betas, checks.curve_betas)
        )

    def reconstruct_bytes(self, files, beta):
        """Reconstructs images of any size, cropped to their middle square.

        Args:
            files: list of bytes, the contents of PNG or JPEG files.

        Returns:
            `(list of bytes, rate)`: the contents of PNG files, and nats per
            image `(batch,)`.
        """
        contents = checks.files(files)
        outputs = self._run(
            "reconstruct_bytes",
            lambda _: {
                "image_bytes": contents,
                "beta": checks.beta(beta, len(contents)),
            },
        )
        return list(outputs["image_bytes"]), outputs["rate"]

    def predict(self, signature, inputs):
        """Runs any signature of any model; a beta is left to the server.

        Args:
            signature: its name.
            inputs: dict: name -> array of the dtype and shape that
                `metadata` tells, or a list or a number for one.

        Returns:
            dict: name -> NumPy array.
        """

        def make_inputs(metadata):
            specs = metadata.signature(signature).inputs
            return {
                name: checks.as_input(value, specs[name], name)
                if name in specs
                else np.asarray(value)
                for name, value in inputs.items()
            }

        return self._run(signature, make_inputs, has_beta=False)

    def _run_on_images(self, name, images, beta, check_beta=checks.beta):
        def make_inputs(metadata):
            pixels = checks.images(images, metadata.image_shape)
            return {"image": pixels, "beta": check_beta(beta, len(pixels))}

        return self._run(name, make_inputs)

    def _run_on_latents(self, name, alias, latents, beta):
        def make_inputs(metadata):
            rows = checks.latents(latents, metadata.latent_size, alias)
            return {alias: rows, "beta": checks.beta(beta, len(rows))}

        return self._run(name, make_inputs)["image"]

    def _run(self, name, make_inputs, has_beta=True):
        """Checks a request and sends it.

        Args:
            name: of the signature.
            make_inputs: takes `Metadata`, returns the inputs, or raises.
            has_beta: whether their `beta` has to be a trained one.
        """
        deadline = Deadline(self._timeout)

        def prepare(version):
            signature = version.metadata.signature(name)
            inputs = make_inputs(version.metadata)
            checks.inputs(inputs, signature, name)
            if has_beta:
                served.require_trained(
                    inputs["beta"], version, self._connection, deadline
                )
            return inputs

        version = self._served.recent(self._connection, deadline)
        inputs = None
        try:
            inputs = prepare(version)
        except (InvalidRequest, NotFound) as refusal:
            # A newer version may take what the last one did not.
            version = self._reconsidered(refusal, deadline)
        if inputs is None:
            inputs = prepare(version)
        return self._connection.predict(
            version.metadata, name, inputs, deadline
        )

    def _reconsidered(self, refusal, deadline):
        self._served.doubt()
        try:
            return self._served.current(self._connection, deadline)
        except ServingError:
            raise refusal from None


def _checked_seconds(timeout):
    # False for NaN.
    if not (isinstance(timeout, (int, float)) and timeout > 0):
        raise InvalidRequest(
            f"expected timeout > 0 seconds, received: timeout={timeout!r}"
        )
    return float(timeout)
