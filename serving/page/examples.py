"""Images to choose from: of a data set, or the pictures in a folder.

A source of them is a function that takes the image shape of the model and
returns images `(n, height, width, channels)` uint8, at most `SHOWN`. It raises
`InputError` where they cannot be used.
"""

import json
import shlex
from pathlib import Path

import numpy as np

from yoto_tf.config import DataConfig
from yoto_tf.errors import InputError

SHOWN = 24
_MANIFEST = "assets.extra/manifest.json"


def versions(base):
    """The versions of an exported model, ascending: folders called by whole
    numbers."""
    return sorted(
        (p for p in Path(base).glob("*") if p.name.isdigit() and p.is_dir()),
        key=lambda path: int(path.name),
    )


def none(image_shape):
    """The source without images."""
    return np.empty((0, *image_shape), np.uint8)


def of_export(base, data_dir=None):
    """Test images of the data set that the newest export of a model names.

    Args:
        base: the model's folder.
        data_dir: where TFDS keeps its data, if not where training found it.

    Returns:
        A source; `none` where there is no export that names one. It does not
        download or prepare a data set: nobody asked for that.
    """
    newest = versions(base)[-1:]
    try:
        content = json.loads((newest[0] / _MANIFEST).read_text())
        fields = content["trained"]["config"]["data"]
        if data_dir:
            fields["data_dir"] = data_dir
        return _if_prepared(DataConfig.from_dict(fields))
    except (IndexError, OSError, ValueError, KeyError, TypeError):
        return none


def named(name, data_dir=None):
    """A folder's first pictures, or test images of a TFDS data set.

    Args:
        name: of the folder or the data set.
        data_dir: where TFDS keeps its data.

    Returns:
        A source.

    Raises:
        InputError: for a folder without pictures, or neither of the two.
    """
    from yoto_tf.data.folder import FolderImages
    from yoto_tf.data.splits import is_folder
    from yoto_tf.data.tfds_images import is_known

    if is_folder(name):
        return _pictures(FolderImages(name).files[:SHOWN])
    if not is_known(name):
        raise InputError(
            "expected --data as a folder of pictures or a TFDS data set, "
            f"received: {name!r}"
        )
    return _test_split(DataConfig(name=name, data_dir=data_dir))


def _if_prepared(config):
    def load(image_shape):
        from yoto_tf.data.splits import is_folder
        from yoto_tf.data.tfds_images import is_prepared

        if not is_folder(config.name) and not is_prepared(
            config.name, config.data_dir
        ):
            raise InputError(
                f"{config.name} is not prepared on this machine; have it "
                f"prepared with --data {shlex.quote(config.name)}"
            )
        return _test_split(config)(image_shape)

    return load


def _pictures(files):
    def load(image_shape):
        from yoto_tf.data.pictures import read_square

        size, _, channels = image_shape
        return np.stack([read_square(f, size, channels) for f in files])

    return load


def _test_split(config):
    def load(image_shape):
        from yoto_tf.data import load_images

        # An unset size is that of the images, not that of the model.
        sized = {**config.to_dict(), "image_size": image_shape[0]}
        images = load_images(DataConfig.from_dict(sized), parts=("test",)).test
        if images.shape[1:] != tuple(image_shape):
            raise InputError(
                f"expected images of shape {tuple(image_shape)}, as the model "
                f"takes, received: {config.name} with {images.shape[1:]}"
            )
        spread = np.linspace(0, len(images) - 1, min(len(images), SHOWN))
        return images[spread.round().astype(int)]

    return load
