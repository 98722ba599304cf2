"""The format of files: what lies where, and what is refused."""

import dataclasses
import math
import struct
import zlib

import pytest

from yoto_tf.compression import container
from yoto_tf.compression import quality
from yoto_tf.errors import InputError

FILE = container.Container(
    width=300,
    height=700,
    channels=3,
    step=6554,
    fingerprint=bytes(range(8)),
    symbols_check=0x01020304,
    payload=b"\x10\x20\x30\x40",
)


def forged(**changes):
    """A file with a good checksum that no writer writes."""
    fields = [b"YLIC", 1, 3, 6554, 300, 700, bytes(range(8)), 4, 7]
    names = "magic version channels step width height fingerprint size check"
    for name, value in changes.items():
        fields[names.split().index(name)] = value
    head = struct.pack("<4sBBHII8sII", *fields)
    payload = bytes(4)
    return head + struct.pack("<I", zlib.crc32(head + payload)) + payload


def test_a_file_is_what_the_documentation_says():
    data = container.pack(FILE)
    assert data[:4] == b"YLIC"
    assert list(data[4:6]) == [1, 3]
    assert data[6:8] == (6554).to_bytes(2, "little")
    assert data[8:12] == (300).to_bytes(4, "little")
    assert data[12:16] == (700).to_bytes(4, "little")
    assert data[16:24] == bytes(range(8))
    assert data[24:28] == (4).to_bytes(4, "little")
    assert data[28:32] == (0x01020304).to_bytes(4, "little")
    check = zlib.crc32(data[:32] + data[36:])
    assert data[32:36] == check.to_bytes(4, "little")
    assert data[36:] == FILE.payload
    assert container.unpack(data) == FILE


def test_every_flipped_bit_is_noticed():
    data = container.pack(FILE)
    for place in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            with pytest.raises(InputError, match="^expected .*received: "):
                container.unpack(damaged)


def test_every_cut_and_every_longer_file_is_noticed():
    data = container.pack(FILE)
    for wrong in [*(data[:n] for n in range(len(data))), data + b"\0"]:
        with pytest.raises(InputError, match="^expected .*received: "):
            container.unpack(wrong)


@pytest.mark.parametrize("data", ["file.yl", 10**12, None, [1, 2]])
def test_what_are_no_bytes_is_refused(data):
    with pytest.raises(InputError, match="^expected the bytes of .*: a "):
        container.unpack(data)


@pytest.mark.parametrize("size", [0, 3, 36, 10_000])
def test_zeros_are_no_file(size):
    with pytest.raises(InputError, match="which begins with YLIC"):
        container.unpack(bytes(size))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": 2}, "version 1, received: version 2"),
        ({"channels": 2}, "fits its file, received: .* 2 channels"),
        ({"step": 16385}, "step 16385"),
        ({"size": 5}, "4 bytes for 5"),
        ({"width": 0}, "1 to 65535 pixels a side .* received: 0 x 700"),
        ({"width": 2**32 - 1}, "received: 4294967295 x 700"),
        ({"width": 60_000, "height": 60_000}, "at most 100,000,000 in all"),
    ],
)
def test_headers_that_no_writer_writes_are_refused(changes, sentence):
    assert container.unpack(forged()).width == 300
    with pytest.raises(InputError, match=sentence):
        container.unpack(forged(**changes))


def test_channels_and_steps_of_all_kinds_come_back():
    for channels, step in ((1, 0), (3, quality.STEPS)):
        file = dataclasses.replace(FILE, channels=channels, step=step)
        assert container.unpack(container.pack(file)) == file


def test_quality_is_log_uniform_in_lambda():
    assert [quality.step_of(q) for q in (0, 50, 100)] == [0, 8192, 16384]
    assert quality.quality_of(quality.step_of(40)) == pytest.approx(
        40, abs=0.01
    )
    found = [quality.lambda_of(s, 0.0018, 0.18) for s in (0, 8192, 16384)]
    assert found == pytest.approx([0.0018, 0.018, 0.18])


@pytest.mark.parametrize("wrong", [-0.1, 100.1, float("nan"), "high", None])
def test_other_qualities_are_refused(wrong):
    with pytest.raises(InputError, match="a quality from 0 to 100, received"):
        quality.step_of(wrong)


@pytest.mark.parametrize("given", ["50", b"50", None, [50], -1, 101, math.nan])
def test_what_is_no_quality_is_refused(given):
    with pytest.raises(InputError, match="^expected a quality from 0 to 100"):
        quality.step_of(given)
