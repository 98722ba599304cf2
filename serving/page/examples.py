"""Examples to choose from: of the run's test data, or pictures of a folder.

A source of them is a function that takes a dict, name of an input -> its
shape without the batch, and returns a dict, name -> array `(n, *shape)`, n at
most `SHOWN`; pictures as uint8. It raises `InputError` where they cannot be
used.
"""

import json
import shlex
from pathlib import Path

import numpy as np

from yoto_tf.contract.versions import by_version
from yoto_tf.errors import InputError
from yoto_tf.families import get_family
from yoto_tf.families.view import View
from yoto_tf.image_config import DataConfig

SHOWN = 24
# Of examples for a model that takes pictures of any size.
ANY_SIDE = 384
_MANIFEST = "assets.extra/manifest.json"
_KEPT = "assets.extra/examples.npz"


def versions(base):
    """The versions of an exported model that a server takes, ascending."""
    return list(by_version(Path(base).glob("*/")).values())


def none(shapes):
    """The source without examples; of a side that is open there is nothing."""
    return {
        n: np.empty((0, *(side or 0 for side in shape)), np.uint8)
        for n, shape in shapes.items()
    }


def _manifest(base):
    """Of the newest export of a model; empty where there is none."""
    try:
        newest = versions(base)[-1]
        content = json.loads((newest / _MANIFEST).read_text())
        return content if isinstance(content, dict) else {}
    except (IndexError, OSError, ValueError):
        return {}


def view_of_export(base):
    """The `View` that the newest export of a model was published with; None
    where it names none."""
    content = _manifest(base)
    try:
        return View.from_dict(content["view"])
    except (KeyError, TypeError, ValueError):
        return None


def of_export(base, data_dir=None):
    """Test examples of the data that the newest export of a model names.

    Args:
        base: the model's folder.
        data_dir: where TFDS keeps its data, if not where training found it.

    Returns:
        A source; `none` where there is no export that names one. It does not
        download or prepare a data set: nobody asked for that.
    """
    content = _manifest(base)
    try:
        values = content["trained"]["config"]
        if data_dir:
            values["data"]["data_dir"] = data_dir
        family = get_family(values["family"])
        settings = family.read(values)
    except (KeyError, TypeError, ValueError):
        return none
    kept = versions(base)[-1] / _KEPT
    return _if_here(family, settings, content.get("data"), kept)


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


def _if_here(family, settings, known, kept):
    def load(shapes):
        if kept.is_file():
            # A released model brings some: a folder that is here may be
            # another one of that name.
            with np.load(kept, allow_pickle=False) as file:
                return _checked(_by_name(dict(file), shapes), shapes)
        if not family.is_here(settings):
            name = settings.data.name
            raise InputError(
                f"{name} is not prepared on this machine; have it prepared "
                f"with --data {shlex.quote(name)}"
            )
        # An unset size of pictures is that of the model, whatever the data
        # now suggest.
        shape = next(iter(shapes.values()))
        as_made = dict(known or {})
        if None not in shape:
            as_made["example_shape"] = list(shape)
        found = family.example(settings, as_made, SHOWN)
        return _checked(_by_name(found, shapes), shapes)

    return load


def fits(given, shape):
    """Whether an array's shape is one that is served; None: any side."""
    return given is not None and (
        len(given) == len(shape)
        and all(b in (a, None) for a, b in zip(given, shape, strict=True))
    )


def _by_name(found, shapes):
    """Inputs by the names that are served; of a single one, whatever its."""
    if not isinstance(found, dict):
        return dict.fromkeys(list(shapes)[:1], found)
    if len(found) == 1:
        return dict.fromkeys(list(shapes)[:1], *found.values())
    return found


def _pictures(files):
    def load(shapes):
        from yoto_tf.data.pictures import read_square

        name, (size, _, channels) = _of_pictures(shapes)
        images = [read_square(f, size or ANY_SIDE, channels) for f in files]
        return {name: np.stack(images)}

    return load


def _test_split(config):
    def load(shapes):
        from yoto_tf.data import load_images

        name, (size, _, _) = _of_pictures(shapes)
        # An unset size is that of the images, not that of the model.
        sized = {**config.to_dict(), "image_size": size or ANY_SIDE}
        images = load_images(DataConfig.from_dict(sized), parts=("test",)).test
        spread = np.linspace(0, len(images) - 1, min(len(images), SHOWN))
        return _checked({name: images[spread.round().astype(int)]}, shapes)

    return load


def _of_pictures(shapes):
    (name, shape), *others = shapes.items()
    if others or len(shape) != 3:
        raise InputError(
            "expected a model of pictures for --data, received: one whose "
            f"inputs have the shapes {shapes}"
        )
    return name, shape


def _checked(found, shapes):
    for name, shape in shapes.items():
        given = found[name].shape[1:] if name in found else None
        if not fits(given, shape):
            raise InputError(
                f"expected examples of {name} of shape {tuple(shape)}, as "
                f"the model takes, received: {given}"
            )
    return {name: found[name] for name in shapes}
