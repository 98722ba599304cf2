"""Requests that a server replays on itself before it takes a version.

TF Serving runs the records of `assets.extra/tf_serving_warmup_requests` when
it loads a version; one that fails fails the load, so all rows here are valid.
"""

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from yoto_tf.contract.warmup import FILE
from yoto_tf.contract.warmup import MAX_RECORDS
from yoto_tf.endpoint import by_signature
from yoto_tf.errors import InputError


def write(folder, endpoints, batch_sizes):
    """Writes the records of a version: each signature at each batch size.

    Args:
        folder: of the version.
        endpoints: list of `Endpoint`.
        batch_sizes: list of int.

    Returns:
        Number of records.

    Raises:
        InputError: for more of them than a server takes.
    """
    total = len(batch_sizes) * len(by_signature(endpoints))
    if total > MAX_RECORDS:
        raise InputError(
            f"expected batch sizes for {MAX_RECORDS} warm-up requests at "
            f"most, one for each of {total // len(batch_sizes)} signatures, "
            f"received: {len(batch_sizes)} sizes"
        )
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch_size in batch_sizes:
            for name, endpoint in by_signature(endpoints).items():
                log = prediction_log_pb2.PredictionLog()
                request = log.predict_log.request
                request.model_spec.signature_name = name
                inputs = endpoint.request(batch_size, None)
                for spec in endpoint.inputs:
                    request.inputs[spec.name].CopyFrom(
                        _as_proto(spec.dtype, inputs[spec.name])
                    )
                writer.write(log.SerializeToString())
                count += 1
    return count


def requests(folder):
    """Yields the records of a version as `(signature, inputs)`, the latter a
    dict of arrays."""
    records = tf.data.TFRecordDataset(str(folder / FILE))
    for record in records.as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        yield (
            request.model_spec.signature_name,
            {n: tf.make_ndarray(t) for n, t in request.inputs.items()},
        )


def replay(folder, session):
    """Runs the records of a version.

    Args:
        folder: of the version.
        session: `Session` of it.

    Raises:
        tf.errors.OpError: if the graph refuses one.
    """
    for signature, inputs in requests(folder):
        session.run(signature, inputs)


def _as_proto(dtype, values):
    """A tensor; written as one value, however large, if all are the same."""
    values = np.asarray(values)
    if values.size and (values == values.flat[0]).all():
        proto = tf.make_tensor_proto(values.flat[0], dtype, shape=(1,))
        del proto.tensor_shape.dim[:]
        for n in values.shape:
            proto.tensor_shape.dim.add(size=n)
        return proto
    return tf.make_tensor_proto(values, dtype)
