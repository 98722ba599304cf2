"""Replays a model's warm-up requests when a version is loaded.

Follows TF Serving's `servables/tensorflow/saved_model_warmup_util.cc`: one
record that fails fails the load.
"""

import os

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.embedded import status
from serving.embedded.run import predict
from serving.embedded.run.engine import SavedModelVersion
from yoto_tf.contract.warmup import FILE
from yoto_tf.contract.warmup import MAX_RECORDS


def run(version: SavedModelVersion, path: str, max_bytes: int) -> int:
    """Runs `<path>/assets.extra/tf_serving_warmup_requests`, if there.

    Returns:
        The number of records run.
    """
    file = os.path.join(path, FILE)
    if not os.path.exists(file):
        return 0
    count = 0
    try:
        for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
            count += 1
            if count > MAX_RECORDS:
                raise status.invalid_argument(
                    "Number of warmup records exceeds the maximum "
                    f"({MAX_RECORDS}) at {file}"
                )
            _replay(version, record, file, max_bytes)
    except tf.errors.OpError as error:
        raise status.StatusError(
            error.error_code, f"{error.message}; file: {file}"
        ) from error
    return count


def _replay(version, record: bytes, file: str, max_bytes: int) -> None:
    log = prediction_log_pb2.PredictionLog()
    try:
        log.ParseFromString(record)
    except DecodeError as error:
        raise status.invalid_argument(
            f"Failed to parse warmup record: {file}"
        ) from error
    if log.WhichOneof("log_type") != "predict_log":
        raise status.unimplemented(
            f"Unsupported log_type for warmup: {log.WhichOneof('log_type')}"
        )
    request = log.predict_log.request
    signature = predict.find_signature(
        version, request.model_spec.signature_name
    )
    inputs = predict.decode_inputs(signature, request.inputs, max_bytes)
    predict.run(version, signature, inputs, request.output_filter)
