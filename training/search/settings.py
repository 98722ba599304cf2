"""What is searched, for what, and for how long. Imports no TensorFlow."""

import dataclasses
import functools
from dataclasses import dataclass
from dataclasses import field
from typing import Annotated
from typing import Literal

import tyro

from training.search.space import SearchSpace
from training.search.space import space_class
from yoto_tf.errors import InputError
from yoto_tf.families import Family
from yoto_tf.families import family_for
from yoto_tf.families import get_family
from yoto_tf.settings import Settings
from yoto_tf.strict_config import Config

# The score of a trial that an objective means, and its direction.
OBJECTIVES = {
    "regret": ("mean_loss", "min"),
    "hypervolume": ("hypervolume", "max"),
}


@dataclass(frozen=True, kw_only=True)
class Search(Config):
    """Everything that decides the outcome of a search."""

    config: Annotated[Settings, tyro.conf.arg(name="")] = field(
        default_factory=Settings
    )
    space: SearchSpace = field(default_factory=SearchSpace)
    objective: Literal["regret", "hypervolume"] = "regret"
    """`regret`: the lowest full loss, averaged over the grid. Mean regret is
    this minus the mean full loss of the separate models it is measured
    against, which is the same for all trials: both rank them alike.
    `hypervolume`: the largest area that the trade-off's curve dominates, up
    to the reference of training.evaluate."""
    oracle: Literal["random", "bayesian", "hyperband"] = "bayesian"
    """Who chooses the values of the next trial. `hyperband` begins many
    short trials and continues the best."""
    epochs: int = 5
    """Epochs per trial (hyperband: of the longest), in place of
    --training.epochs and --training.steps, which the best configuration
    keeps."""
    trials: int | None = None
    """Most trials; unset: 20, and for hyperband one pass of its own."""
    time_limit: float | None = None
    """Begin no trial after so many minutes of training and scoring, summed
    over trials and workers; unset: no limit."""
    seed: int = 0
    """Of the oracle. All trials train with --training.seed."""

    def _check(self):
        self._positive("epochs", "trials", "time_limit")
        self._seeds("seed")
        family = self.family
        family.check_validation(self.config)
        if self.objective == "hypervolume" and (
            type(family).reference is Family.reference
        ):
            raise InputError(
                "expected objective='regret' for a family without a reference "
                "of the hypervolume, received: objective='hypervolume'"
            )
        if not any(self.space.to_dict().values()):
            raise InputError(
                "expected candidates for one dimension or more, received: "
                "none for any of them"
            )

    @property
    def family(self):
        """The `Family` of the settings."""
        return family_for(self.config)

    @property
    def num_trials(self):
        """Most trials, or None for hyperband's own number."""
        if self.trials is None and self.oracle != "hyperband":
            return 20
        return self.trials


@functools.cache
def search_class(family):
    """`Search` with the settings and the space of a family.

    Args:
        family: its name.
    """
    config = Annotated[get_family(family).settings, tyro.conf.arg(name="")]
    return dataclasses.make_dataclass(
        "Search",
        [("config", config), ("space", space_class(family))],
        bases=(Search,),
        frozen=True,
        kw_only=True,
    )


def label(objective, family, unit):
    """An objective for people, with the unit.

    Args:
        objective: of `OBJECTIVES`.
        family: `Family`.
        unit: of the mean loss.
    """
    if objective == "hypervolume":
        return "hypervolume"
    return f"mean {family.objective.title}" + (f" ({unit})" if unit else "")
