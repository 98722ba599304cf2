"""TF Serving's batching parameters, a text proto.

The tensorflow-serving-api package does not ship the message; it is built here
after `servables/tensorflow/session_bundle_config.proto`.
"""

import functools
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import message_factory
from google.protobuf import text_format
from google.protobuf import wrappers_pb2

from yoto_tf.errors import InputError

# The file that this repository ships for TF Serving.
DEFAULT_FILE = Path(__file__).parents[1] / "serving/tf_serving/batching.config"

_FIELD = descriptor_pb2.FieldDescriptorProto
_INT64 = ".google.protobuf.Int64Value"
_FIELDS = (
    ("max_batch_size", _FIELD.TYPE_MESSAGE, _INT64),
    ("batch_timeout_micros", _FIELD.TYPE_MESSAGE, _INT64),
    ("max_enqueued_batches", _FIELD.TYPE_MESSAGE, _INT64),
    ("num_batch_threads", _FIELD.TYPE_MESSAGE, _INT64),
    ("thread_pool_name", _FIELD.TYPE_MESSAGE, ".google.protobuf.StringValue"),
    ("allowed_batch_sizes", _FIELD.TYPE_INT64, None),
    ("pad_variable_length_inputs", _FIELD.TYPE_BOOL, None),
)


def read(path):
    """Reads a batching.config.

    Args:
        path: of the file.

    Returns:
        The `BatchingParameters` message.

    Raises:
        InputError: if it is no such text proto, or its allowed batch sizes
            are not those that TF Serving accepts.
    """
    message = _message_class()()
    try:
        text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InputError(
            f"expected TF Serving's batching parameters, received: {path}, "
            f"which cannot be read ({error})"
        ) from error
    sizes = list(message.allowed_batch_sizes)
    largest = message.max_batch_size.value
    if not sizes or sizes != sorted(set(sizes)) or sizes[0] < 1:
        raise InputError(
            "expected rising allowed_batch_sizes above 0, received: "
            f"{path} with {sizes}"
        )
    if sizes[-1] != largest:
        raise InputError(
            "expected the last of allowed_batch_sizes to be max_batch_size, "
            f"received: {path} with {sizes[-1]} and {largest}"
        )
    return message


@functools.cache
def _message_class():
    file = descriptor_pb2.FileDescriptorProto(
        name="yoto_tf/batching_parameters.proto",
        package="yoto_tf.export",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    message = file.message_type.add(name="BatchingParameters")
    for number, (name, kind, type_name) in enumerate(_FIELDS, 1):
        message.field.add(
            name=name,
            number=number,
            type=kind,
            type_name=type_name,
            label=(
                _FIELD.LABEL_REPEATED
                if name == "allowed_batch_sizes"
                else _FIELD.LABEL_OPTIONAL
            ),
        )
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("yoto_tf.export.BatchingParameters")
    )
