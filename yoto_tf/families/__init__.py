"""Families of models: which there are, and how they are named.

Imports no TensorFlow.
"""

import dataclasses
import functools
import importlib
from importlib import metadata

from yoto_tf.errors import InputError
from yoto_tf.families.base import Family
from yoto_tf.families.parts import Column
from yoto_tf.families.parts import LineFigure
from yoto_tf.families.parts import Metric
from yoto_tf.families.parts import PictureGrid
from yoto_tf.families.parts import Preset

__all__ = [
    "DEFAULT",
    "Column",
    "Family",
    "LineFigure",
    "Metric",
    "PictureGrid",
    "Preset",
    "all_presets",
    "family_for",
    "family_of_model",
    "get_family",
    "get_preset",
    "named_families",
    "register_models",
]

# The preset of the scripts that are given none.
DEFAULT = "rendered_shapes3d"
_GROUP = "yoto_tf.families"
_OURS = {
    "vae": "yoto_tf.families.vae.family:FAMILY",
    "tabular": "yoto_tf.families.tabular.family:FAMILY",
    "compression": "yoto_tf.families.compression.family:FAMILY",
}


@functools.cache
def _entry_points():
    return {e.name: e.value for e in metadata.entry_points(group=_GROUP)}


@functools.cache
def get_family(name):
    """Returns the `Family` of a name.

    Args:
        name: of ours (`vae`), of an entry point of the group
            `yoto_tf.families`, or `module:name`.

    Raises:
        InputError: if there is none, or it is none.
    """
    known = {**_entry_points(), **_OURS}
    place = known.get(name, name)
    module, colon, attribute = place.partition(":")
    if not colon:
        raise InputError(
            f"expected a family among {sorted(known)}, or one of your own as "
            f"module:name, received: family={name!r}"
        )
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"expected a family that can be imported, received: "
            f"family={name!r} ({error})"
        ) from error
    if not isinstance(found, Family):
        raise InputError(
            "expected an instance of yoto_tf.families.Family, received: "
            f"family={name!r}, a {type(found).__name__}"
        )
    found.name = name
    return found


def family_for(settings):
    """Returns the `Family` of settings, as it is for them.

    Raises:
        InputError: as `get_family`.
    """
    return get_family(settings.family).for_settings(settings)


def named_families():
    """The families that have a name: ours, then those of entry points."""
    return [get_family(name) for name in (*_OURS, *_entry_points())]


def register_models():
    """Imports what Keras needs to load the models of our own families."""
    for name in _OURS:
        get_family(name).register()


def family_of_model(model):
    """The family that owns a model that was trained in Python; where none
    does, one that serves it as `model.export` does."""
    owners = (family for family in named_families() if family.owns(model))
    return next(owners, Family())


def all_presets(family=None):
    """dict, name -> `Preset` of a family, or of all that have a name."""
    families = [get_family(family)] if family else named_families()
    return {
        preset: _named(known, found.name)
        for found in families
        for preset, known in found.presets.items()
    }


def get_preset(name, family=None):
    """Returns the `Preset` of a name.

    Args:
        name: of the preset.
        family: of the family; None: any that has a name.

    Raises:
        InputError: if there is none; the message names those there are.

    Example:
        preset = yoto_tf.get_preset("cifar10")
        preset.config.model.latent_size  # 256
    """
    presets = all_presets(family)
    if name not in presets:
        raise InputError(
            f"expected a preset among {sorted(presets)}, "
            f"received: preset={name!r}"
        )
    return presets[name]


def _named(preset, family):
    """The preset, whose settings say of which family they are."""
    config = dataclasses.replace(preset.config, family=family)
    return dataclasses.replace(preset, config=config)
