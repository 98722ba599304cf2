"""One connection of one client: bytes to a server and bytes back.

Neither reads nor makes messages, and imports neither TensorFlow nor NumPy: a
process that makes load costs little beside the server it measures.
"""

import http.client
import urllib.parse

import grpc

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
# A batch of images as JSON takes a busy machine a while.
_SECONDS = 300


class SendError(Exception):
    """A request without an answer, or with another than 200 or OK."""


class GrpcSender:
    """A channel with a connection of its own.

    Args:
        url: `grpc://HOST:PORT`.
        model: not used; a PredictRequest names it.
    """

    def __init__(self, url: str, model: str):
        self._channel = grpc.insecure_channel(
            urllib.parse.urlsplit(url).netloc,
            options=[
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        self._call = self._channel.unary_unary(_PREDICT)

    def send(self, body: bytes) -> bytes:
        """Sends a PredictRequest; returns the PredictResponse.

        Raises:
            SendError: with the code and the text of the server.
        """
        try:
            return self._call(body, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise SendError(
                f"{error.code().name}: {error.details()}"
            ) from error

    def close(self) -> None:
        self._channel.close()


class RestSender:
    """A connection that is kept open.

    Args:
        url: `http://HOST:PORT`.
        model: name of the model.
    """

    def __init__(self, url: str, model: str):
        self._connection = http.client.HTTPConnection(
            urllib.parse.urlsplit(url).netloc, timeout=_SECONDS
        )
        self._target = f"/v1/models/{urllib.parse.quote(model, '')}:predict"

    def send(self, body: bytes) -> bytes:
        """Posts a predict request; returns the body of the reply.

        Raises:
            SendError: with the status and the start of the reply.
        """
        try:
            self._connection.request("POST", self._target, body)
            response = self._connection.getresponse()
            reply = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # opened anew by the next request
            raise SendError(f"no reply: {error or type(error)}") from error
        if response.status != 200:
            text = reply[:300].decode("utf-8", "replace")
            raise SendError(f"HTTP {response.status}: {text}")
        return reply

    def close(self) -> None:
        self._connection.close()


def connect(url: str, model: str) -> GrpcSender | RestSender:
    """Makes the sender for a URL."""
    kind = GrpcSender if url.startswith("grpc://") else RestSender
    return kind(url, model)
