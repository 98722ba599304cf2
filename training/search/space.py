"""What `training.tune` may vary: the `Dimension`s of a family.

A dimension is a list of candidates, so that it can be restricted or fixed by
naming others on the command line.
"""

import dataclasses
import functools
import math

from yoto_tf.errors import InputError
from yoto_tf.families import get_family
from yoto_tf.strict_config import Config
from yoto_tf.strict_config import with_settings


class SearchSpace(Config):
    """Candidates of each dimension: one fixes it, none leaves the preset's.

    Its fields are those of a family; see `space_class`.
    """

    family = ""

    @property
    def dimensions(self):
        """dict, name -> `Dimension`."""
        return {d.name: d for d in get_family(self.family).dimensions}

    def _check(self):
        for name, dimension in self.dimensions.items():
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise InputError(
                    f"expected different candidates, received: {name}={values}"
                )
            if dimension.value:
                for value in values:
                    dimension.value(value)

    def only(self, names):
        """Returns the space with no candidates but those of `names`."""
        return type(self)(**{n: getattr(self, n) for n in names})

    def hyperparameters(self, config):
        """Declares the space to KerasTuner.

        Every dimension is a choice of texts: on its way to a worker and back
        KerasTuner rounds numbers to float32, and would not know them again.

        Args:
            config: the settings that the search starts from. Their values
                are the defaults where they are candidates.

        Returns:
            `keras_tuner.HyperParameters`.
        """
        import keras_tuner

        declared = keras_tuner.HyperParameters()
        dimensions = self.dimensions
        for name, dimension in dimensions.items():
            candidates = [str(v) for v in getattr(self, name)]
            if not candidates:
                continue
            own = str(dimension.of(config))
            parent, values = dimension.only_with or (None, ())
            if parent and not getattr(self, parent):
                if dimensions[parent].of(config) not in values:
                    continue
                parent = None
            declared.Choice(
                name,
                candidates,
                default=own if own in candidates else None,
                parent_name=parent,
                parent_values=list(values) if parent else None,
            )
        return declared

    def configured(self, config, texts):
        """Returns `config` with the values that KerasTuner chose.

        Args:
            config: settings of the family.
            texts: dict, dimension -> one of its candidates as a text; other
                entries are left alone.

        Raises:
            InputError: if the values do not fit together.
        """
        chosen = {}
        for name, dimension in self.dimensions.items():
            if name not in texts:
                continue
            value = {str(v): v for v in getattr(self, name)}[texts[name]]
            chosen[dimension.setting] = (
                dimension.value(value) if dimension.value else value
            )
        chosen = get_family(self.family).searched(config, chosen)
        return with_settings(config, chosen)


@functools.cache
def space_class(family):
    """The `SearchSpace` of a family, a dataclass.

    Args:
        family: its name.

    Raises:
        InputError: for a family without dimensions.
    """
    dimensions = get_family(family).dimensions
    if not dimensions:
        raise InputError(
            "expected a family with dimensions to search, received: "
            f"family={family!r}"
        )
    made = dataclasses.make_dataclass(
        "SearchSpace",
        [(d.name, tuple[d.kind, ...], ()) for d in dimensions],
        bases=(SearchSpace,),
        namespace={"family": family},
        frozen=True,
        kw_only=True,
    )
    return made


def num_configurations(hyperparameters):
    """Counts the different configurations of declared hyperparameters."""
    space = hyperparameters.space
    children = [hp for hp in space if hp.conditions]

    def below(parent, value):
        conditions = ((hp, hp.conditions[0]) for hp in children)
        return math.prod(
            len(hp.values)
            for hp, condition in conditions
            if condition.name == parent.name and value in condition.values
        )

    return math.prod(
        sum(below(hp, value) for value in hp.values)
        for hp in space
        if not hp.conditions
    )


def space_around(config):
    """Returns the `SearchSpace` that is searched by default.

    The values of `config` are among the candidates.
    """
    made = space_class(config.family)
    around = {}
    for dimension in get_family(config.family).dimensions:
        candidates = list(dimension.around(config))
        own = dimension.of(config)
        if own not in candidates:
            candidates.append(own)
        if not isinstance(own, str):
            candidates.sort()
        around[dimension.name] = tuple(candidates)
    return made(**around)
