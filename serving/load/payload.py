"""One request and the right answer to it."""

import base64
import dataclasses
import functools
import io
import json
import pathlib

import numpy as np
import PIL.Image

from yoto_tf.command_line import import_tensorflow_quietly

GRPC = "gRPC"
FLOATS = "REST, floats"
BYTES = "REST, bytes"

# As the verification of an export: other sizes of a batch sum in another
# order.
_TOLERANCE = {"rtol": 1e-4, "atol": 1e-3}


@dataclasses.dataclass(frozen=True)
class Payload:
    """One request, ready to be sent.

    It travels between processes, and so holds the names of files.

    Attributes:
        kind: `GRPC`, `FLOATS` or `BYTES`.
        body_file: holds the bytes to send.
        answer_file: `.npz` with the outputs of the bare session.
        reply_file: a reply that was found right, once there is one.
    """

    kind: str
    body_file: pathlib.Path
    answer_file: pathlib.Path
    reply_file: pathlib.Path

    @property
    def body(self) -> bytes:
        return _read_bytes(self.body_file)

    def fault(self, reply: bytes) -> str | None:
        """What is wrong with a reply, None if nothing is."""
        # Most are the same to the byte: no need to read them, nor of the
        # seconds that the messages' package takes to import.
        if self.reply_file.exists() and reply == _read_bytes(self.reply_file):
            return None
        try:
            return self._difference(reply)
        except Exception as error:  # bytes of any kind, read by many packages
            return (
                f"{self.kind}: an answer that is none of TF Serving's: "
                f"{type(error).__name__}: {str(error)[:200]}"
            )

    def _difference(self, reply: bytes) -> str | None:
        outputs = (
            _from_message(reply)
            if self.kind == GRPC
            else json.loads(reply)["outputs"]
        )
        answer = _read_answer(self.answer_file)
        if set(outputs) != set(answer):
            return (
                f"{self.kind}: expected the outputs {sorted(answer)}, "
                f"received: {sorted(outputs)}"
            )
        for name, expected in answer.items():
            if not _is_same(outputs[name], expected):
                return f"{self.kind}: a wrong answer, {name} differs"
        if not self.reply_file.exists():
            self.reply_file.write_bytes(reply)
        return None


@functools.lru_cache(64)
def _read_bytes(path: pathlib.Path) -> bytes:
    return path.read_bytes()


@functools.lru_cache(64)
def _read_answer(path: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def _is_same(found, expected: np.ndarray) -> bool:
    if expected.dtype.kind == "S":  # pictures, as base64
        return _are_same_pictures(found, expected)
    found = np.asarray(found)
    return found.shape == expected.shape and np.allclose(
        found, expected, **_TOLERANCE
    )


def _from_message(reply: bytes) -> dict[str, np.ndarray]:
    import_tensorflow_quietly()
    from tensorflow_serving.apis import predict_pb2

    from serving.embedded.run import tensors

    response = predict_pb2.PredictResponse.FromString(reply)
    return {
        name: tensors.from_proto(proto, name, len(reply) * 2)
        for name, proto in response.outputs.items()
    }


def _are_same_pictures(found: list, expected: np.ndarray) -> bool:
    files = [value["b64"].encode() for value in found]
    if files == list(expected):
        return True
    # A value may round to either side of a half.
    return len(files) == len(expected) and all(
        np.abs(_pixels(one) - _pixels(other)).max() <= 1
        for one, other in zip(files, expected, strict=True)
    )


def _pixels(file: bytes) -> np.ndarray:
    image = PIL.Image.open(io.BytesIO(base64.b64decode(file)))
    return np.asarray(image, np.int16)
