"""A client of TF Serving, and of the embedded server, for our exports.

    from serving.client import Client

    with Client("http://127.0.0.1:8501", model="shapes") as client:
        client.wait_until_ready()
        answer = client.predict(
            "predict", {"inputs": rows}, loss_parameters={"miss": 4.0}
        )

A served VAE has methods with names of their own (`serving.client.vae`).

REST needs NumPy, urllib3 and tenacity. gRPC needs tensorflow-serving-api,
whose messages bring TensorFlow with them: seconds at the first `grpc://`.
"""

from serving.client.client import Client
from serving.client.errors import DeadlineExceeded
from serving.client.errors import InvalidRequest
from serving.client.errors import NotFound
from serving.client.errors import ResourceExhausted
from serving.client.errors import ServerFault
from serving.client.errors import ServingError
from serving.client.errors import Unavailable
from serving.client.metadata import LossParameter
from serving.client.metadata import Metadata
from serving.client.metadata import Signature
from serving.client.metadata import TensorSpec
from serving.client.vae import Curve
from serving.client.vae import Posterior
from serving.client.vae import Reconstruction

__all__ = [
    "Client",
    "Curve",
    "DeadlineExceeded",
    "InvalidRequest",
    "LossParameter",
    "Metadata",
    "NotFound",
    "Posterior",
    "Reconstruction",
    "ResourceExhausted",
    "ServerFault",
    "ServingError",
    "Signature",
    "TensorSpec",
    "Unavailable",
]
