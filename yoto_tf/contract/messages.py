"""Messages of TF Serving that no package ships, built from their fields."""

from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import message
from google.protobuf import message_factory
from google.protobuf import wrappers_pb2

_PACKAGE = "yoto_tf.contract"
_FIELD = descriptor_pb2.FieldDescriptorProto


def message_class(**fields_of: dict[str, str]) -> type[message.Message]:
    """Builds messages that name each other.

    ```python
    Config = message_class(
        Config={"pages": "repeated Page"}, Page={"path": "string"}
    )
    ```

    Args:
        **fields_of: name of a message -> name of a field -> its type as a
            .proto file has it: `bool`, `repeated int64`, `Page`,
            `google.protobuf.Int64Value`. Numbers go up from 1.

    Returns:
        The class of the first message.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="yoto_tf/contract.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for name, fields in fields_of.items():
        parts = file.message_type.add(name=name)
        for number, (field, declared) in enumerate(fields.items(), 1):
            *repeated, kind = declared.split()
            parts.field.add(
                name=field,
                number=number,
                label=(
                    _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
                ),
                type=getattr(_FIELD, f"TYPE_{kind.upper()}", None),
                type_name=_full_name(kind, fields_of),
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    first = next(iter(fields_of))
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{_PACKAGE}.{first}")
    )


def _full_name(kind: str, fields_of: dict) -> str | None:
    if kind in fields_of:
        return f".{_PACKAGE}.{kind}"
    return f".{kind}" if "." in kind else None
