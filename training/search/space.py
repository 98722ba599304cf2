"""What `training.tune` may vary. Nothing here changes the network's width.

A dimension is a list of candidates, so that it can be restricted or fixed by
naming others on the command line. To add one: a field below, its place in
the configuration, and its candidates around a preset.
"""

import dataclasses
import math
import typing
from dataclasses import dataclass

from yoto_tf.config import ConditioningKind
from yoto_tf.config import ExperimentConfig
from yoto_tf.config import Site
from yoto_tf.errors import InputError
from yoto_tf.strict_config import Config


@dataclass(frozen=True, kw_only=True)
class SearchSpace(Config):
    """Candidates of each dimension: one fixes it, none leaves the preset's."""

    learning_rate: tuple[float, ...] = ()
    """Of Adam."""
    kind: tuple[ConditioningKind, ...] = ()
    """Of conditioning."""
    sites: tuple[str, ...] = ()
    """Of conditioning, joined by +: block+dense+posterior."""
    hidden_units: tuple[int, ...] = ()
    """Of FiLM's hidden layer; searched with kinds that have one."""
    strength: tuple[float, ...] = ()
    """Of FiLM; searched with kind film."""
    normalization: tuple[
        typing.Literal["none", "geometric_mean", "sum"], ...
    ] = ()
    """Of the loss."""
    normalization_power: tuple[float, ...] = ()
    """Searched where the loss is normalised."""
    latent_size: tuple[int, ...] = ()
    """Number of latents."""

    def _check(self):
        for text in self.sites:
            if not set(text.split("+")) <= set(typing.get_args(Site)):
                raise InputError(
                    f"expected sites among {typing.get_args(Site)}, joined "
                    f"by +, received: sites={text!r}"
                )
        for name in NAMES:
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise InputError(
                    f"expected different candidates, received: {name}={values}"
                )

    def only(self, names):
        """Returns the space with no candidates but those of `names`."""
        return SearchSpace(**{n: getattr(self, n) for n in names})

    def hyperparameters(self, config):
        """Declares the space to KerasTuner.

        Every dimension is a choice of texts: on its way to a worker and back
        KerasTuner rounds numbers to float32, and would not know them again.

        Args:
            config: the `ExperimentConfig` that the search starts from. Its
                values are the defaults where they are candidates.

        Returns:
            `keras_tuner.HyperParameters`.
        """
        import keras_tuner

        declared = keras_tuner.HyperParameters()
        for name in NAMES:
            candidates = [str(v) for v in getattr(self, name)]
            if not candidates:
                continue
            own = str(value_in(config, name))
            parent, values = _ONLY_WITH.get(name, (None, ()))
            if parent and not getattr(self, parent):
                if value_in(config, parent) not in values:
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
            config: `ExperimentConfig`.
            texts: dict, dimension -> one of its candidates as a text; other
                entries are left alone.

        Raises:
            InputError: if the values do not fit together.
        """
        values = config.to_dict()
        for name in NAMES:
            if name not in texts:
                continue
            value = {str(v): v for v in getattr(self, name)}[texts[name]]
            *path, last = _PLACES[name].split(".")
            place = values
            for key in path:
                place = place[key]
            place[last] = value.split("+") if name == "sites" else value
        objective = values["objective"]
        own = config.objective
        if objective["normalization"] == "none":
            objective["normalization_power"] = None
        elif objective["normalization_power"] == own.power:
            objective["normalization_power"] = own.normalization_power
        return ExperimentConfig.from_dict(values)


NAMES = tuple(f.name for f in dataclasses.fields(SearchSpace))

_PLACES = {
    "learning_rate": "optimizer.learning_rate",
    "kind": "model.conditioning.kind",
    "sites": "model.conditioning.sites",
    "hidden_units": "model.conditioning.hidden_units",
    "strength": "model.conditioning.strength",
    "normalization": "objective.normalization",
    "normalization_power": "objective.normalization_power",
    "latent_size": "model.latent_size",
}

# Without these the network or the loss does not depend on the dimension.
_ONLY_WITH = {
    "hidden_units": ("kind", ("film", "sigmoid_film")),
    "strength": ("kind", ("film",)),
    "normalization_power": ("normalization", ("geometric_mean", "sum")),
}


def value_in(config, name):
    """The configuration's own value of a dimension, as a candidate."""
    if name == "normalization_power":
        return config.objective.power
    value = config
    for key in _PLACES[name].split("."):
        value = getattr(value, key)
    return "+".join(value) if name == "sites" else value


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
    around = {
        "learning_rate": [
            float(f"{config.optimizer.learning_rate * f:.1g}")
            for f in (0.1, 0.3, 1, 3)
        ],
        "kind": ["film", "sigmoid_film", "gate"],
        "sites": [
            "block",
            "block+dense+posterior",
            "block+dense+posterior+latent+output",
        ],
        "hidden_units": _halved_and_doubled(
            config.model.conditioning.hidden_units
        ),
        "strength": [0.03, 0.1, 0.3],
        "normalization": ["none", "geometric_mean", "sum"],
        "normalization_power": [0.25, 0.5, 0.75, 1.0],
        "latent_size": _halved_and_doubled(config.model.latent_size),
    }
    if config.model.conditioning.standardize:
        around["kind"].append("spline")
    for name, candidates in around.items():
        own = value_in(config, name)
        if own not in candidates:
            candidates.append(own)
        if not isinstance(own, str):
            candidates.sort()
    return SearchSpace(**{n: tuple(c) for n, c in around.items()})


def _halved_and_doubled(number):
    return sorted({max(1, number // 2), number, 2 * number})
