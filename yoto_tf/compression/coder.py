"""Symbols to bytes and back, by a range coder and whole-number tables.

First the hyper-latents, channel by channel under the table of each; then the
latents, scale by scale from the lowest, each in the order of rows, columns
and channels. Escapes of either follow their part.
"""

import zlib

import numpy as np

from yoto_tf import extras
from yoto_tf.compression import tables
from yoto_tf.errors import InputError

extras.require("compression", "constriction")

import constriction  # noqa: E402

_WORD = np.dtype("<u4")


def encode(hyper_symbols, symbols, indices, counts):
    """The payload of a picture.

    Args:
        hyper_symbols: `(h, w, channels)` whole numbers.
        symbols: whole numbers from -MAX_SYMBOL to MAX_SYMBOL, any shape.
        indices: of their scales, uint8 of the same shape.
        counts: `(channels, n)` of the hyper-latents.

    Returns:
        bytes.
    """
    coder = constriction.stream.queue.RangeEncoder()
    escaped = []
    for channel, table in enumerate(counts):
        _encode(coder, hyper_symbols[..., channel].ravel(), table, escaped)
    _encode_escaped(coder, escaped)
    escaped = []
    for chosen, table in _scales(indices):
        _encode(coder, symbols[chosen], table, escaped)
    _encode_escaped(coder, escaped)
    return coder.get_compressed().astype(_WORD).tobytes()


class Decoder:
    """Reads a payload: `hyper_symbols` first, then `symbols`.

    Args:
        payload: bytes of `encode`.

    Raises:
        InputError: for a payload that is no such.
    """

    def __init__(self, payload):
        if len(payload) % _WORD.itemsize:
            raise InputError(
                "expected a payload of whole words of 4 bytes, received: "
                f"{len(payload)} bytes"
            )
        words = np.frombuffer(payload, _WORD).astype("uint32")
        self._coder = constriction.stream.queue.RangeDecoder(words)

    def hyper_symbols(self, shape, counts):
        """`(h, w, channels)` int32, of the shape that is given."""
        found = np.empty((shape[0] * shape[1], shape[2]), "int32")
        escapes = []
        for channel, table in enumerate(counts):
            values, escaped = _decode(self._coder, len(found), table)
            found[:, channel] = values
            escapes.append((np.s_[escaped, channel], len(escaped)))
        for where, num in escapes:
            found[where] = _decode_escaped(self._coder, num)
        return found.reshape(shape)

    def symbols(self, indices):
        """int32 of the shape of `indices`."""
        found = np.empty(indices.shape, "int32")
        escapes = []
        for chosen, table in _scales(indices):
            places = np.flatnonzero(chosen)
            values, escaped = _decode(self._coder, len(places), table)
            found.reshape(-1)[places] = values
            escapes.append(places[escaped])
        places = np.concatenate([np.zeros(0, "int64"), *escapes])
        found.reshape(-1)[places] = _decode_escaped(self._coder, len(places))
        return found


def check_of(hyper_symbols, symbols):
    """CRC-32 of all symbols, as little-endian numbers of four bytes."""
    first = zlib.crc32(np.ascontiguousarray(hyper_symbols, "<i4"))
    return zlib.crc32(np.ascontiguousarray(symbols, "<i4"), first)


def _scales(indices):
    """`(where it is, its table)` of each scale that occurs."""
    present = np.bincount(indices.ravel(), minlength=tables.NUM_SCALES)
    for index in np.flatnonzero(present):
        yield indices == index, tables.gaussian_counts()[index]


def _model(table):
    # `constriction` gives 1 to every entry and shares the rest out: so its
    # counts are these.
    return constriction.stream.model.Categorical(
        table.astype("float64") - 1, perfect=False
    )


def _encode(coder, values, table, escaped):
    places = tables.places(values, len(table))
    coder.encode(places, _model(table))
    escaped.append(values[places == len(table) - 1])


def _decode(coder, num, table):
    """Values, and where an escape stands in place of one."""
    places = _read(coder, _model(table), num)
    escaped = np.flatnonzero(places == len(table) - 1)
    return places - (len(table) - 2) // 2, escaped


def _uniform():
    return constriction.stream.model.Uniform(2**tables.ESCAPE_BITS)


def _encode_escaped(coder, escaped):
    values = np.concatenate(escaped).astype("int32")
    if len(values):
        coder.encode(values + (tables.MAX_SYMBOL + 1), _uniform())


def _decode_escaped(coder, num):
    if not num:
        return np.zeros(0, "int32")
    return _read(coder, _uniform(), num) - (tables.MAX_SYMBOL + 1)


def _read(coder, model, num):
    try:
        return coder.decode(model, num)
    except AssertionError as error:
        # So `constriction` says that no encoder writes such words.
        raise InputError(
            "expected a payload of this model's symbols, received: one that "
            "cannot be decoded by its tables"
        ) from error
