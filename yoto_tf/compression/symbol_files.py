"""Symbols as the bytes of a file: what a local codec and a client share."""

from yoto_tf.compression import coder
from yoto_tf.compression import container
from yoto_tf.compression.pixels import MULTIPLE
from yoto_tf.compression.pixels import padded
from yoto_tf.errors import InputError


def write(rgb, channels, step, fingerprint, parts, counts):
    """The bytes of a file.

    Args:
        rgb: `(height, width, 3)`, of which only the size counts.
        channels: 1 or 3.
        step: of the quality.
        fingerprint: of the model, 8 bytes.
        parts: `(hyper_symbols, symbols, indices)`, as `Transforms.analyze`
            gives them.
        counts: of the hyper-latents, `(channels, n)`.
    """
    hyper_symbols, symbols, _ = parts
    return container.pack(
        container.Container(
            width=rgb.shape[1],
            height=rgb.shape[0],
            channels=channels,
            step=step,
            fingerprint=fingerprint,
            symbols_check=coder.check_of(hyper_symbols, symbols),
            payload=coder.encode(*parts, counts),
        )
    )


def read(data, fingerprint, counts, indices_of):
    """The symbols of a file.

    Args:
        data: its bytes.
        fingerprint: of the model that is to read it.
        counts: of that model's hyper-latents.
        indices_of: from hyper-symbols and a step to the latents' scales.

    Returns:
        `(Container, hyper_symbols, symbols)`.

    Raises:
        InputError: for bytes that are no whole file of this model, or whose
            symbols are not those that were written.
    """
    file = container.unpack(data)
    if file.fingerprint != fingerprint:
        raise InputError(
            "expected a file of this model, whose fingerprint is "
            f"{fingerprint.hex()}, received: a file of "
            f"{file.fingerprint.hex()}"
        )
    height, width = (padded(s) // MULTIPLE for s in (file.height, file.width))
    decoder = coder.Decoder(file.payload)
    hyper_symbols = decoder.hyper_symbols((height, width, len(counts)), counts)
    symbols = decoder.symbols(indices_of(hyper_symbols, file.step))
    if coder.check_of(hyper_symbols, symbols) != file.symbols_check:
        raise InputError(
            "expected the symbols that were written, received: others; the "
            "file was written by another version of the library, or forged"
        )
    return file, hyper_symbols, symbols
