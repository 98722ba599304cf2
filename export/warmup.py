"""Requests that a server replays on itself before it takes a version.

TF Serving runs the records of `assets.extra/tf_serving_warmup_requests` when
it loads a version; one that fails fails the load, so all rows here are valid.
"""

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_log_pb2

FILE = "assets.extra/tf_serving_warmup_requests"
# Betas per image of the records for `curve`; more would only take longer.
_CURVE_BETAS = 2


def write(folder, model, endpoints, batch_sizes):
    """Writes the records of a version: each signature at each batch size.

    Args:
        folder: of the version.
        model: its `ConditionalVAE`.
        endpoints: of `Signatures.endpoints`.
        batch_sizes: list of int.

    Returns:
        Number of records.
    """
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    size, _, channels = model.image_shape
    picture = tf.io.encode_png(np.zeros((size, size, channels), "uint8"))
    values = {
        "beta": float(model.beta_range.grid(1)[0]),
        "image_bytes": picture.numpy(),
    }
    first, *_ = endpoints
    signatures = {
        "serving_default": endpoints[first],
        **endpoints,
    }
    count = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch_size in batch_sizes:
            for name, (_, specs) in signatures.items():
                log = prediction_log_pb2.PredictionLog()
                request = log.predict_log.request
                request.model_spec.signature_name = name
                for spec in specs:
                    shape = [batch_size, *spec.shape[1:]]
                    shape = [_CURVE_BETAS if n is None else n for n in shape]
                    request.inputs[spec.name].CopyFrom(
                        _filled(spec.dtype, shape, values.get(spec.name, 0.5))
                    )
                writer.write(log.SerializeToString())
                count += 1
    return count


def replay(folder, session):
    """Runs the records of a version.

    Args:
        folder: of the version.
        session: `Session` of it.

    Raises:
        tf.errors.OpError: if the graph refuses one.
    """
    records = tf.data.TFRecordDataset(str(folder / FILE))
    for record in records.as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(
            record
        ).predict_log.request
        session.run(request.model_spec.signature_name, _arrays(request))


def _arrays(request: predict_pb2.PredictRequest):
    return {n: tf.make_ndarray(proto) for n, proto in request.inputs.items()}


def _filled(dtype, shape, value):
    """A tensor of one value; written once, however large the tensor."""
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    for n in shape:
        proto.tensor_shape.dim.add(size=n)
    if dtype == tf.string:
        proto.string_val.append(value)
    else:
        proto.float_val.append(value)
    return proto
