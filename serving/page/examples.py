"""Images to choose from: of the data set that a model was trained on."""

import json
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


def trained_on(base):
    """The data set that the newest export of a model names.

    Args:
        base: the model's folder.

    Returns:
        `DataConfig`, or None where there is no export with a manifest that
        can be read.
    """
    newest = versions(base)[-1:]
    try:
        content = json.loads((newest[0] / _MANIFEST).read_text())
        return DataConfig.from_dict(content["trained"]["config"]["data"])
    except (IndexError, OSError, ValueError, KeyError, TypeError):
        return None


def load(config, image_shape):
    """Loads some test images of a data set.

    Args:
        config: `DataConfig`.
        image_shape: `(size, size, channels)` that the model takes.

    Returns:
        `(n, size, size, channels)` uint8, at most `SHOWN`.

    Raises:
        InputError: if the data set cannot be used, or not by this model.
    """
    from yoto_tf.data import load_images

    size = image_shape[0]
    # The manifest's own size may be unset: that of its images.
    config = DataConfig.from_dict({**config.to_dict(), "image_size": size})
    images = load_images(config, parts=("test",)).test
    if images.shape[1:] != tuple(image_shape):
        raise InputError(
            f"expected images of shape {tuple(image_shape)}, as the model "
            f"takes, received: {config.name} with {images.shape[1:]}"
        )
    chosen = np.linspace(0, len(images) - 1, min(len(images), SHOWN))
    return images[chosen.round().astype(int)]
