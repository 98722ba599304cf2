"""Makes the requests to a model of pictures, and the answers of its bare
session."""

import base64
import json
import pathlib

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from serving.client.metadata import read_loss_parameters
from serving.embedded import status
from serving.embedded.run import predict
from serving.embedded.run import tensors
from serving.embedded.run.engine import SavedModelVersion
from serving.load.payload import BYTES
from serving.load.payload import FLOATS
from serving.load.payload import GRPC
from serving.load.payload import Payload
from yoto_tf.errors import InputError

# Different images and loss parameters in turn: an answer to another request is
# found.
_VARIANTS = 3


class RequestMaker:
    """Requests to a version of a model that `export.saved_model` made.

    Args:
        version: the loaded version.
        name: of the model.
        folder: where the files of the payloads are written.

    Raises:
        InputError: if it is another model.
    """

    def __init__(
        self, version: SavedModelVersion, name: str, folder: pathlib.Path
    ):
        needed = {"reconstruct", "reconstruct_bytes", "loss_parameters"}
        if not needed <= set(version.signatures):
            raise InputError(
                "expected a model of pictures of export.saved_model, "
                f"with {sorted(needed)}, received: one with the signatures "
                f"{sorted(version.signatures)}"
            )
        self._version = version
        self._name = name
        self._folder = folder
        one_row = {"rows": np.zeros(1, np.int32)}
        self._parameters = read_loss_parameters(
            self._run("loss_parameters", one_row)
        ).values()
        image = version.signatures["reconstruct"].inputs["image"]
        self._shape = [d.size for d in image.tensor_shape.dim][1:]

    def make(self, batch_size: int) -> dict[str, list[Payload]]:
        """Writes the requests of one batch size.

        Returns:
            kind -> payloads that ask for the same images.

        Raises:
            InputError: if the model does not answer so many rows.
        """
        try:
            return self._made(batch_size)
        except status.StatusError as error:
            sentence = error.message.partition("\n")[0]
            raise InputError(
                "expected batch sizes that the model answers, received: "
                f"{batch_size} ({sentence})"
            ) from error

    def _made(self, batch_size: int) -> dict[str, list[Payload]]:
        made = {GRPC: [], FLOATS: [], BYTES: []}
        for variant in range(_VARIANTS):
            inputs = self.inputs(batch_size, variant)
            answer = self._run("reconstruct", inputs)
            self._write(made, GRPC, _message(self._name, inputs), answer)
            self._write(made, FLOATS, _json(inputs), answer)
            files = _files(inputs)
            answer = self._run("reconstruct_bytes", files)
            self._write(made, BYTES, _json_bytes(files), answer)
        return made

    def inputs(self, batch_size: int, variant: int = 0) -> dict:
        """Images of 8 bits and loss parameters over their ranges."""
        rng = np.random.default_rng([batch_size, variant])
        size = self._shape[0]
        # Smooth, as pictures are: PNG files of noise would be too large.
        coarse = rng.uniform(0, 255, (batch_size, 5, 5, self._shape[-1]))
        pixels = tf.image.resize(coarse, (size, size)).numpy().astype("uint8")
        values = {
            p.name: rng.permutation(_spread(p, max(batch_size, 5)))
            for p in self._parameters
        }
        return {
            "image": pixels / np.float32(255),
            **{n: v[:batch_size].astype("float32") for n, v in values.items()},
        }

    def bare(self, inputs: dict) -> tuple[dict, list[str]]:
        """Feed and fetches of `reconstruct`, for the bare session."""
        signature = self._version.signatures["reconstruct"]
        feed = {signature.inputs[n].name: a for n, a in inputs.items()}
        return feed, [t.name for t in signature.outputs.values()]

    def _run(self, name: str, inputs: dict) -> dict[str, np.ndarray]:
        return predict.run(
            self._version, self._version.signatures[name], inputs
        )

    def _write(self, made, kind: str, body: bytes, answer: dict) -> None:
        batch_size, number = len(answer["rate"]), len(made[kind])
        stem = f"{kind}-{batch_size}-{number}".replace(", ", "-")
        files = (self._folder / f"{stem}.{e}" for e in ("body", "npz", "reply"))
        payload = Payload(kind, *files)
        payload.body_file.write_bytes(body)
        # Files of pictures as arrays of bytes, which need no pickle.
        arrays = {
            name: np.bytes_([base64.b64encode(file) for file in array])
            if array.dtype == object
            else array
            for name, array in answer.items()
        }
        np.savez(payload.answer_file, **arrays)
        made[kind].append(payload)


def _spread(parameter, num):
    """So many trained values, over all that there are."""
    low, high = parameter.low, parameter.high
    if len(parameter.ranges) > 1 or low == high:
        return np.resize([low for low, _ in parameter.ranges], num)
    spread = np.geomspace if parameter.scale == "log" else np.linspace
    return np.clip(spread(low, high, num), low, high)


def _message(name: str, inputs: dict) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = "reconstruct"
    for alias, array in inputs.items():
        request.inputs[alias].CopyFrom(tensors.to_proto(array))
    return request.SerializeToString()


def _json(inputs: dict) -> bytes:
    # As few digits as give each float32 back.
    short = {n: a.astype(str).astype(float).tolist() for n, a in inputs.items()}
    return _body("reconstruct", short)


def _files(inputs: dict) -> dict:
    pixels = np.round(inputs["image"] * 255).astype("uint8")
    files = np.empty(len(pixels), object)
    files[:] = [tf.io.encode_png(p).numpy() for p in pixels]
    others = {n: a for n, a in inputs.items() if n != "image"}
    return {"image_bytes": files, **others}


def _json_bytes(files: dict) -> bytes:
    encoded = [
        {"b64": base64.b64encode(file).decode()}
        for file in files["image_bytes"]
    ]
    others = {n: a.tolist() for n, a in files.items() if n != "image_bytes"}
    return _body("reconstruct_bytes", {"image_bytes": encoded, **others})


def _body(signature: str, inputs: dict) -> bytes:
    return json.dumps({"signature_name": signature, "inputs": inputs}).encode()
