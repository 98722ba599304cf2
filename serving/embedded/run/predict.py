"""The Predict call itself, the same for both APIs.

Follows `RunPredict` and `PreProcessPrediction` of TF Serving's
`servables/tensorflow/predict_util.cc` and `GetInputValues` of TensorFlow's
`cc/saved_model/util.cc`: their checks, in their order, with their texts.
"""

import itertools
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded import status
from serving.embedded.run import tensors
from serving.embedded.run.engine import SavedModelVersion

DEFAULT_SIGNATURE = "serving_default"
_MAX_NAMES = 1000


def find_signature(
    version: SavedModelVersion, name: str
) -> meta_graph_pb2.SignatureDef:
    """The signature of that name; an empty name means `serving_default`."""
    name = name or DEFAULT_SIGNATURE
    if name not in version.signatures:
        raise status.failed_precondition(
            f'Serving signature key "{name}" not found.'
        )
    return version.signatures[name]


def decode_inputs(
    signature: meta_graph_pb2.SignatureDef,
    protos: Mapping[str, tensor_pb2.TensorProto],
    max_bytes: int,
) -> dict[str, np.ndarray]:
    """Checks the names of the inputs of a request and decodes them.

    Args:
        signature: asked for; its defaults stand in for what was not sent.
        protos: alias -> TensorProto, as sent.
        max_bytes: limit of each decoded tensor.
    """
    check_count(signature, protos)
    arrays = {}
    for alias in sorted(signature.inputs):
        source = protos if alias in protos else signature.defaults
        if alias not in source:
            raise status.invalid_argument(
                f"Signature input alias: {alias}(feed name: "
                f"{signature.inputs[alias].name}) not found in request and "
                "no default value provided. Inputs expected to be in the set "
                f"{{{_names(signature.inputs)}}}."
            )
        arrays[alias] = tensors.from_proto(source[alias], alias, max_bytes)
    return arrays


def run(
    version: SavedModelVersion,
    signature: meta_graph_pb2.SignatureDef,
    inputs: Mapping[str, np.ndarray],
    output_filter: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Runs a signature.

    Args:
        version: the loaded version.
        signature: one of its signatures.
        inputs: alias -> array, one for each input of the signature. Shapes
            are not compared with the signature's: neither does TF Serving.
        output_filter: aliases of the outputs to compute; empty means all.
    """
    aliases = _outputs(signature, output_filter)
    feed = {}
    # The C++ session counts its arguments in the order of the feed names.
    order = sorted(inputs, key=lambda alias: signature.inputs[alias].name)
    for position, alias in enumerate(order):
        info = signature.inputs[alias]
        array = inputs[alias]
        if array.dtype != tensors.numpy_dtype(info.dtype):
            raise status.invalid_argument(
                f"Expects arg[{position}] to be "
                f"{tensors.dtype_name(info.dtype)} but "
                f"{tensors.array_dtype_name(array)} is provided"
            )
        feed[info.name] = array
    fetch = [signature.outputs[alias].name for alias in aliases]
    return dict(zip(aliases, version.run(feed, fetch), strict=True))


def check_count(
    signature: meta_graph_pb2.SignatureDef, sent: Collection[str]
) -> None:
    """Refuses other numbers of inputs, as `VerifyRequestInputsSize` does."""
    number = len(sent)
    wanted = len(signature.inputs)
    if number > wanted or (number < wanted and not signature.defaults):
        extra = (name for name in sent if name not in signature.inputs)
        missing = (name for name in signature.inputs if name not in sent)
        raise status.invalid_argument(
            f"input size does not match signature: {number}!={wanted} "
            f"len({{{_names(sent)}}}) != "
            f"len({{{_names(signature.inputs)}}}). "
            f"Sent extra: {{{_names(extra)}}}. "
            f"Missing but required: {{{_names(missing)}}}."
        )


def _outputs(signature, output_filter) -> list[str]:
    if not output_filter:
        return sorted(signature.outputs)
    aliases = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise status.invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs "
                f"expected to be in the set {{{_names(signature.outputs)}}}."
            )
        if alias in aliases:
            raise status.invalid_argument(
                f"duplicate output tensor alias: {alias}"
            )
        aliases.add(alias)
    return sorted(aliases)


def _names(names: Iterable[str]) -> str:
    # A request has room for millions; the text is cut later anyhow.
    return ",".join(sorted(itertools.islice(names, _MAX_NAMES)))
