"""TF Serving's batching parameters, a text proto.

The export writes warm-up requests of their batch sizes, the embedded server
runs by them. Each checks what it needs.
"""

from yoto_tf.contract.messages import message_class

_INT64 = "google.protobuf.Int64Value"

# Of `servables/tensorflow/session_bundle_config.proto`, without its large
# batch splitting: a file that asks for it is refused.
BatchingParameters = message_class(
    BatchingParameters={
        "max_batch_size": _INT64,
        "batch_timeout_micros": _INT64,
        "max_enqueued_batches": _INT64,
        "num_batch_threads": _INT64,
        "thread_pool_name": "google.protobuf.StringValue",
        "allowed_batch_sizes": "repeated int64",
        "pad_variable_length_inputs": "bool",
    }
)
