"""What is searched, for what, and for how long. Imports no TensorFlow."""

from dataclasses import dataclass
from dataclasses import field
from typing import Annotated
from typing import Literal

import tyro

from training.search.space import SearchSpace
from yoto_tf.config import ExperimentConfig
from yoto_tf.errors import InputError
from yoto_tf.strict_config import Config

# The score of a trial that an objective means, its direction and its name
# with a unit.
OBJECTIVES = {
    "regret": ("mean_full_loss_bpd", "min", "mean full loss (bits/dim)"),
    "hypervolume": ("hypervolume", "max", "hypervolume (nats$^2$)"),
}


@dataclass(frozen=True, kw_only=True)
class Search(Config):
    """Everything that decides the outcome of a search."""

    config: Annotated[ExperimentConfig, tyro.conf.arg(name="")] = field(
        default_factory=ExperimentConfig
    )
    space: SearchSpace = field(default_factory=SearchSpace)
    objective: Literal["regret", "hypervolume"] = "regret"
    """`regret`: the lowest full loss, averaged over the grid of betas, in
    bits per dimension. Mean regret is this minus the mean full loss of the
    fixed-weight models it is measured against, which is the same for all
    trials: both rank them alike. `hypervolume`: the largest area that the
    rate-distortion curve dominates, up to the reference of
    training.evaluate."""
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
        self._not_negative("seed")
        if not any(self.space.to_dict().values()):
            raise InputError(
                "expected candidates for one dimension or more, received: "
                "none for any of them"
            )

    @property
    def num_trials(self):
        """Most trials, or None for hyperband's own number."""
        if self.trials is None and self.oracle != "hyperband":
            return 20
        return self.trials
