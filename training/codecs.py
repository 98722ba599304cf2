"""Files of a compression model against those of other codecs:
`python -m training.codecs RUN`.

What is counted are the bytes of whole files, header included, and what is
scored are the pixels that are read from them.
"""

import io
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from training.compared_codecs import Comparison
from training.compared_codecs import bd_rates
from training.compared_codecs import codec_figure
from training.compared_codecs import read_table
from training.compared_codecs import table
from yoto_tf import extras
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.compression.pixels import SMALLEST_FOR_MS_SSIM
from yoto_tf.compression.quality import nearest_quality
from yoto_tf.errors import InputError
from yoto_tf.files import written_whole

QUALITIES = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
# Of Pillow's, whose numbers mean something else in each.
_SETTINGS = (2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95)
_LARGEST_SIDE = 16_383  # WebP's
_OPTIONS = {
    "JPEG": {"optimize": True},
    "WebP": {"method": 6},
    "AVIF": {},
}


@dataclass(frozen=True)
class Arguments:
    """Write pictures by compression models, JPEG, WebP and AVIF, and compare.

    Writes codecs.csv, codecs.md and codecs.png.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run directories of the family compression; of models of one quality
    several, which count as one codec."""
    pictures: Path | None = None
    """A folder of pictures; unset: six of scikit-image and scikit-learn."""
    to: Path | None = None
    """Where to write; unset: codecs/ in the first run, or beside its file."""


def chosen_pictures(folder=None):
    """dict, name -> uint8 `(height, width, 3)`.

    Args:
        folder: of pictures; None: astronaut, coffee, chelsea and rocket of
            scikit-image (public domain or CC0), china and flower of
            scikit-learn (CC BY).

    Raises:
        InputError: for a folder without pictures, or one that is too small.
    """
    if folder is None:
        extras.require("compression", "skimage")
        from skimage import data
        from sklearn.datasets import load_sample_image

        found = {
            name: getattr(data, name)()
            for name in ("astronaut", "coffee", "chelsea", "rocket")
        }
        for name in ("china", "flower"):
            found[name] = load_sample_image(f"{name}.jpg")
        return found
    from yoto_tf.compression.picture_files import read_picture
    from yoto_tf.data.folder import FolderImages

    found = {}
    images = FolderImages(folder)
    for path in images.files:
        pixels = read_picture(path).pixels
        if pixels.ndim == 2 or pixels.shape[-1] == 1:
            raise InputError(
                f"expected pictures with colours, received: {path}, a grey one"
            )
        if max(pixels.shape[:2]) > _LARGEST_SIDE:
            raise InputError(
                f"expected pictures of {_LARGEST_SIDE:,} pixels a side or "
                f"less, as WebP's are, received: {path}"
            )
        if min(pixels.shape[:2]) < SMALLEST_FOR_MS_SSIM:
            raise InputError(
                f"expected pictures of {SMALLEST_FOR_MS_SSIM} pixels a side or "
                f"more, for MS-SSIM, received: {path}"
            )
        # Of folders below it, too: names alone may be those of several.
        found[Path(path).relative_to(images.folder).as_posix()] = pixels
    return found


def _check_writers():
    from PIL import features

    missing = [c for c in ("webp", "avif") if not features.check(c)]
    if missing:
        raise InputError(
            "expected a Pillow that writes WebP and AVIF, as its wheels since "
            f"11.3 do, received: one without {', '.join(missing)}"
        )


def compare(runs, pictures, log=print):
    """Writes and reads every picture at every setting of every codec.

    Args:
        runs: list of paths of run directories.
        pictures: dict, name -> pixels.
        log: called with a sentence per codec and picture.

    Returns:
        list of `Comparison`.
    """
    rows = by_models(runs, pictures, log)
    for codec, options in _OPTIONS.items():
        for name, pixels in pictures.items():
            for setting in _SETTINGS:
                data, made = _by_pillow(pixels, codec, setting, options)
                rows.append(_scored(codec, name, setting, pixels, data, made))
        log(f"{codec}: {len(pictures)} pictures written and read")
    return rows


def by_models(runs, pictures, log=print, lambdas=None):
    """Writes and reads every picture by every model.

    Args:
        runs: list of paths; models of one quality are the settings of one
            codec.
        pictures: dict, name -> pixels.
        log: called with a sentence per model and picture.
        lambdas: at which a model of several qualities writes; None: at
            `QUALITIES`.

    Returns:
        list of `Comparison` of the codec `ours`.
    """
    from yoto_tf.compression.codec import Codec

    rows = []
    # All of them first: one that is missing ends it before minutes of work.
    codecs = [Codec.load(path) for path in runs]
    if len(codecs) > 1 and any(codec.has_qualities for codec in codecs):
        raise InputError(
            "expected one model of several qualities, or models of one each, "
            "which are the settings of one codec, received: "
            f"{len(codecs)} runs, of which "
            f"{sum(codec.has_qualities for codec in codecs)} have several"
        )
    for number, (path, codec) in enumerate(zip(runs, codecs, strict=True)):
        qualities = QUALITIES if codec.has_qualities else (None,)
        if codec.has_qualities and lambdas is not None:
            ends = codec.model.lambda_ends
            qualities = [nearest_quality(value, *ends) for value in lambdas]
        for name, pixels in pictures.items():
            for quality in qualities:
                data = codec.compress(pixels, quality)
                made = codec.decompress(data)
                setting = number if quality is None else quality
                rows.append(_scored("ours", name, setting, pixels, data, made))
            log(f"{path}: {name} written and read")
    return rows


def _by_pillow(pixels, codec, quality, options):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, codec, quality=quality, **options)
    with Image.open(io.BytesIO(file.getvalue())) as read:
        return file.getvalue(), np.asarray(read.convert("RGB"))


def _scored(codec, picture, setting, pixels, data, made):
    import tensorflow as tf

    from yoto_tf.compression.pixels import psnr_of

    similarity = tf.image.ssim_multiscale(
        pixels[None].astype("float32"), made[None].astype("float32"), 255.0
    )
    return Comparison(
        codec,
        picture,
        setting,
        len(data),
        8 * len(data) / (pixels.shape[0] * pixels.shape[1]),
        psnr_of(pixels, made),
        float(similarity[0]),
    )


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    arguments = parsed(Arguments, "python -m training.codecs", argv)
    with reported_on_the_command_line():
        if not arguments.runs:
            raise InputError("expected one run directory or more")
        try:
            extras.require("compression", "constriction", "bjontegaard")
            _check_writers()
            pictures = chosen_pictures(arguments.pictures)
        except ModuleNotFoundError as error:
            raise InputError(str(error)) from error
        import_keras_quietly()
        from training import figures

        first = arguments.runs[0]
        to = (
            arguments.to
            or (first.parent if first.is_file() else first) / "codecs"
        )
        # Before minutes of work.
        to.mkdir(parents=True, exist_ok=True)
        rows = compare(arguments.runs, pictures)
        with written_whole(to / "codecs.csv") as aside:
            read_table(rows).to_csv(aside, index=False, lineterminator="\n")
        with warnings.catch_warnings():
            # Curves that overlap by little are said in the table.
            warnings.simplefilter("ignore")
            text = table(bd_rates(rows), len(pictures))
        with written_whole(to / "codecs.md") as aside:
            aside.write_text(text)
        with written_whole(to / "codecs.png") as aside:
            figures.save(codec_figure(rows), aside)
        print(text)
        print(f"written to {to}")


if __name__ == "__main__":
    main()
