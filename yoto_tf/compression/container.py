"""The format of a compressed picture; docs/compression.md has it in words.

    bytes   what
    0-3     "YLIC"
    4       version of the format, 1
    5       channels of the picture: 1 or 3
    6-7     step of the quality, 0 to 16384
    8-11    width in pixels
    12-15   height in pixels
    16-23   fingerprint of the model
    24-27   number of bytes of the payload
    28-31   CRC-32 of the decoded symbols
    32-35   CRC-32 of all other bytes
    36-     payload

Numbers are little-endian and without sign.
"""

import dataclasses
import struct
import zlib

from yoto_tf.compression.quality import STEPS
from yoto_tf.errors import InputError

MAGIC = b"YLIC"
VERSION = 1
_FIELDS = struct.Struct("<4sBBHII8sII")
_CHECK = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CHECK.size

# Of a picture; a file of 40 bytes can claim any size.
MAX_SIDE = 65_535
MAX_PIXELS = 100_000_000


@dataclasses.dataclass(frozen=True)
class Container:
    """A compressed picture.

    Attributes:
        width, height: in pixels.
        channels: 1 or 3.
        step: of the quality; see `yoto_tf.compression.quality`.
        fingerprint: of the model, 8 bytes.
        symbols_check: CRC-32 of the symbols.
        payload: what the entropy coder wrote.
    """

    width: int
    height: int
    channels: int
    step: int
    fingerprint: bytes
    symbols_check: int
    payload: bytes


def check_size(width, height):
    """Raises `InputError` for a picture that the format does not hold."""
    if (
        not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE)
        or width * height > MAX_PIXELS
    ):
        raise InputError(
            f"expected a picture of 1 to {MAX_SIDE} pixels a side and at most "
            f"{MAX_PIXELS:,} in all, received: {width} x {height}"
        )


def pack(container):
    """The bytes of a file."""
    head = _FIELDS.pack(
        MAGIC,
        VERSION,
        container.channels,
        container.step,
        container.width,
        container.height,
        container.fingerprint,
        len(container.payload),
        container.symbols_check,
    )
    check = zlib.crc32(container.payload, zlib.crc32(head))
    return head + _CHECK.pack(check) + container.payload


def unpack(data):
    """The `Container` of a file's bytes.

    Raises:
        InputError: for bytes that are no whole file of this version.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        # bytes(n) would be n zeros.
        raise InputError(
            "expected the bytes of a compressed picture, received: a "
            f"{type(data).__name__}"
        )
    data = bytes(data)
    if data[: len(MAGIC)] != MAGIC:
        raise InputError(
            "expected a compressed picture, which begins with YLIC, received: "
            f"{len(data)} bytes that begin with {data[:4]!r}"
        )
    if len(data) < HEADER_BYTES:
        raise InputError(
            f"expected a file of {HEADER_BYTES} bytes or more, received: "
            f"{len(data)}; it was cut"
        )
    _, version, *facts, num_bytes, symbols_check = _FIELDS.unpack_from(data)
    channels, step, width, height, fingerprint = facts
    if version != VERSION:
        raise InputError(
            f"expected a file of the format's version {VERSION}, received: "
            f"version {version}, or a damaged file"
        )
    (check,) = _CHECK.unpack_from(data, _FIELDS.size)
    head, payload = data[: _FIELDS.size], data[HEADER_BYTES:]
    if zlib.crc32(payload, zlib.crc32(head)) != check:
        raise InputError(
            "expected a whole file, received: one whose checksum differs; it "
            "was cut or damaged"
        )
    # Beyond here only what a writer meant.
    if len(payload) != num_bytes or channels not in (1, 3) or step > STEPS:
        raise InputError(
            "expected a header that fits its file, received: "
            f"{len(payload)} bytes for {num_bytes}, {channels} channels, "
            f"step {step}"
        )
    check_size(width, height)
    return Container(
        width, height, channels, step, fingerprint, symbols_check, payload
    )
