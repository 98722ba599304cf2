"""Compresses pictures: `python -m yoto_tf.compression compress PICTURE`."""

import argparse
import os
import sys
from pathlib import Path

from yoto_tf.command_line import check_once
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.compression import container
from yoto_tf.compression import targets
from yoto_tf.compression.quality import quality_of
from yoto_tf.compression.quality import step_of
from yoto_tf.errors import InputError
from yoto_tf.files import written_whole

_MODEL = "YOTO_TF_COMPRESSION_MODEL"
# A header, and 16 bytes for each pixel.
_MOST_BYTES = container.HEADER_BYTES + 16 * container.MAX_PIXELS


def parse(argv):
    """Parses a command line.

    Raises:
        SystemExit: code 2 for words that are not known.
    """
    # Abbreviated, an option could be there twice.
    parser = argparse.ArgumentParser(
        prog="python -m yoto_tf.compression",
        description="Pictures as short files, by one model for every quality.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument(
        "--model",
        default=os.environ.get(_MODEL),
        help=f"run directory or .keras file; default: {_MODEL} in the "
        "environment, or the model that comes with the library",
    )
    compress = commands.add_parser(
        "compress",
        parents=[model],
        help="a picture to a file",
        allow_abbrev=False,
    )
    compress.add_argument("picture", help="PNG, JPEG, WebP or TIFF")
    compress.add_argument("-o", "--output", required=True)
    aim = compress.add_mutually_exclusive_group()
    aim.add_argument("--quality", type=float, help="0 to 100; default: 50")
    aim.add_argument(
        "--target-bpp",
        type=float,
        help="bits per pixel of the file, within 2 %% and four bytes",
    )
    aim.add_argument(
        "--target-psnr", type=float, help="dB of what is read, within 0.1"
    )
    decompress = commands.add_parser(
        "decompress",
        parents=[model],
        help="a file to a picture",
        allow_abbrev=False,
    )
    decompress.add_argument("file")
    decompress.add_argument(
        "-o", "--output", required=True, help="PNG, TIFF, WebP or JPEG"
    )
    profile = commands.add_parser(
        "profile",
        parents=[model],
        help="how long a picture takes, and why",
        allow_abbrev=False,
    )
    profile.add_argument("picture", help="PNG, JPEG, WebP or TIFF")
    profile.add_argument("--quality", type=float, help="0 to 100; default: 50")
    profile.add_argument(
        "--rounds", type=int, default=3, help="of which the median is shown"
    )
    inspect = commands.add_parser("inspect", help="what a file says of itself")
    inspect.add_argument("file")
    with reported_on_the_command_line():
        check_once(argv)
    return parser.parse_args(argv)


def compress(given):
    from yoto_tf.compression.picture_files import read_picture

    # Before the seconds that a model takes.
    if given.quality is not None:
        step_of(given.quality)
    if given.target_bpp is not None:
        targets.check_bits_per_pixel(given.target_bpp)
    if given.target_psnr is not None:
        targets.check_psnr(given.target_psnr)
    _check_apart(given.picture, given.output)
    pixels = read_picture(given.picture).pixels
    codec = _codec(given.model)
    if given.target_bpp is None and given.target_psnr is None:
        data = codec.compress(pixels, given.quality)
    else:
        data, estimate = codec.compress_to(
            pixels, given.target_bpp, given.target_psnr
        )
        print(
            f"quality {estimate.quality:.2f}: {estimate.bits_per_pixel:.4f} "
            f"bits per pixel, {estimate.psnr:.2f} dB"
        )
    with written_whole(given.output) as aside:
        aside.write_bytes(data)
    num = pixels.shape[0] * pixels.shape[1]
    print(
        f"{given.output}: {len(data):,} bytes, {8 * len(data) / num:.4f} bits "
        "per pixel"
    )


def decompress(given):
    from yoto_tf.compression.picture_files import check_written
    from yoto_tf.compression.picture_files import write_picture

    check_written(given.output)
    _check_apart(given.file, given.output)
    data = _read(given.file)
    # Refused before the seconds that a model takes.
    file = container.unpack(data)
    check_written(given.output, (file.height, file.width))
    pixels = _codec(given.model).decompress(data)
    write_picture(given.output, pixels)
    print(f"{given.output}: {pixels.shape[1]} x {pixels.shape[0]} pixels")


def inspect(given):
    data = _read(given.file)
    file = container.unpack(data)
    num = file.width * file.height
    for name, value in {
        "format": f"YLIC, version {container.VERSION}",
        "size": f"{file.width} x {file.height} pixels",
        "channels": "grey" if file.channels == 1 else "RGB",
        # Of a model of one quality the step is 0, too.
        "quality": f"{quality_of(file.step):.2f} (step {file.step})"
        + ", if its model has qualities" * (file.step == 0),
        "model": file.fingerprint.hex(),
        "bytes": f"{len(data):,}",
        "bits per pixel": f"{8 * len(data) / num:.4f}",
        "checksum": "good",
    }.items():
        print(f"{name:15}{value}")


def profile(given):
    from yoto_tf.compression.picture_files import read_picture

    if given.quality is not None:
        step_of(given.quality)
    if given.rounds < 1:
        raise InputError(
            f"expected rounds above 0, received: rounds={given.rounds}"
        )
    pixels = read_picture(given.picture).pixels
    model = _codec(given.model).model
    from yoto_tf import provenance
    from yoto_tf.compression import profile as profiles

    found = profiles.profile(model, pixels, given.quality, given.rounds)
    print(
        f"{pixels.shape[1]} x {pixels.shape[0]} pixels, "
        f"{len(os.sched_getaffinity(0))} cores, {provenance.processor()}\n"
    )
    print(profiles.table(found, pixels.shape[0] * pixels.shape[1]))


def _read(path):
    with open(path, "rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise InputError(
            f"expected a file of at most {_MOST_BYTES:,} bytes, received: "
            f"{path} with more"
        )
    return data


def _check_apart(source, output):
    if Path(output).exists() and os.path.samefile(source, output):
        raise InputError(
            f"expected another file to write to, received: {output} for both"
        )


def _codec(path):
    import_keras_quietly()
    try:
        from yoto_tf.compression.codec import Codec
    except ModuleNotFoundError as error:
        if error.name != "constriction":
            raise
        raise InputError(str(error)) from error
    return Codec.load(path or None)


_COMMANDS = {
    "compress": compress,
    "decompress": decompress,
    "inspect": inspect,
    "profile": profile,
}


def main(argv=None):
    given = parse(sys.argv[1:] if argv is None else argv)
    with reported_on_the_command_line():
        _COMMANDS[given.command](given)


if __name__ == "__main__":
    main()
