"""Protobuf messages parsed, after a look at what that would cost.

Two bytes of the wire can be a message within the message, which takes the
parser a hundred bytes and a moment in which Python does nothing else: 64 MiB
of them take 3 GiB and ten seconds.
"""

from collections.abc import Callable

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from google.protobuf.message import Message

from serving.embedded import status

MAX_PARTS = 2**20
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def check_parts(body: bytes, kind: Descriptor, limit: int = MAX_PARTS) -> None:
    """Refuses a message of too many parts: fields, and those within them.

    A packed field, as numbers are sent, is one part. What the parser will
    refuse is left to it; a group no message of TF Serving has.
    """
    parts = position = 0
    inside = [(len(body), kind)]
    while inside:
        end, kind = inside[-1]
        if position >= end:
            inside.pop()
            continue
        parts += 1
        if parts > limit:
            raise status.resource_exhausted(
                f"A request of more than {limit} parts, the limit of this "
                "server.",
            )
        try:
            tag, position = _varint(body, position)
            wire_type = tag & 7
            if wire_type in (_VARINT, _LENGTH):
                value, position = _varint(body, position)
        except IndexError:
            return
        if wire_type == _LENGTH:
            field = kind.fields_by_number.get(tag >> 3)
            if field is not None and field.message_type is not None:
                inside.append((position + value, field.message_type))
            else:
                position += value
        elif wire_type == _EIGHT_BYTES:
            position += 8
        elif wire_type == _FOUR_BYTES:
            position += 4
        elif wire_type != _VARINT:
            raise status.invalid_argument("Malformed request: a group")


def parse(parser: Callable[[bytes], Message], body: bytes) -> Message:
    """Parses a message; a StatusError for what is none."""
    try:
        return parser(body)
    except DecodeError as error:
        raise status.invalid_argument(f"Malformed request: {error}") from error


def _varint(body: bytes, position: int) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    value = shift = 0
    while True:
        byte = body[position]
        position += 1
        value |= (byte & 127) << shift
        # The parser refuses a number that goes on after ten bytes.
        if byte < 128 or shift > 63:
            return value, position
        shift += 7
