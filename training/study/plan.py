"""The runs that a study takes. Imports no TensorFlow."""

from dataclasses import dataclass
from pathlib import Path

from yoto_tf.config import ExperimentConfig
from yoto_tf.errors import InputError
from yoto_tf.presets import get_preset

UNSET = "unset"


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        method: its key in the study.
        width, seed: of the model.
        betas: at which it is scored; of a fixed-weight run its own alone.
        config: `ExperimentConfig`.
    """

    method: str
    width: int
    seed: int
    betas: tuple[float, ...]
    config: ExperimentConfig

    @property
    def name(self):
        """Where it lies under the runs of its study."""
        name = f"{self.method}/width{self.width}-seed{self.seed}"
        if self.config.beta.distribution == "constant":
            name += f"-beta{self.betas[0]:g}"
        return name

    @property
    def kind(self):
        """Runs of one kind cost about the same."""
        return self.method, self.width


def planned_runs(spec):
    """Lists the runs of a study, seed after seed, so that a study that is cut
    short has compared all methods on its first seeds.

    Raises:
        InputError: if a setting is unknown or cannot be used.
    """
    runs = []
    seeds = {s for m in spec.methods.values() for s in m.seeds or spec.seeds}
    for seed in sorted(seeds):
        for name, method in spec.methods.items():
            if seed not in (method.seeds or spec.seeds):
                continue
            betas = tuple(float(b) for b in method.betas or spec.betas)
            for width in method.widths or spec.widths:
                for group in [(b,) for b in betas] if method.fixed else [betas]:
                    config = _config(spec, name, method, width, seed, group)
                    runs.append(PlannedRun(name, width, seed, group, config))
    return runs


def _config(spec, name, method, width, seed, betas):
    settings = {
        **spec.overrides,
        **method.overrides,
        "model.width": width,
        "training.seed": seed,
    }
    if method.fixed:
        settings |= {
            "beta.distribution": "constant",
            "beta.values": betas,
            "beta.parts": (),
        }
    try:
        return with_settings(get_preset(spec.preset).config, settings)
    except InputError as error:
        raise InputError(f"{spec.name}, method {name}: {error}") from error


def with_settings(config, settings):
    """Replaces settings of an `ExperimentConfig`.

    Args:
        config: `ExperimentConfig`.
        settings: dict, dotted name as `"model.conditioning.kind"` -> value;
            `"unset"` stands for None, which TOML does not have.

    Raises:
        InputError: for an unknown name or a value that cannot be used.
    """
    values = config.to_dict()
    for dotted, value in settings.items():
        *groups, last = dotted.split(".")
        place = values
        for group in groups:
            place = place.get(group)
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or last not in place:
            raise InputError(
                "expected a setting of training.train, as "
                f"training.epochs, received: {dotted!r}"
            )
        if isinstance(place[last], dict):
            raise InputError(
                f"expected a setting below {dotted}, received: {dotted!r}"
            )
        place[last] = None if value == UNSET else value
    return ExperimentConfig.from_dict(values)


def default_folder(spec):
    """Where a study's runs lie if nobody says otherwise."""
    return Path("runs/studies") / spec.name


def num_steps(config, num_images):
    """Train steps per epoch and epochs of a configuration."""
    batch_size = min(config.training.batch_size, num_images)
    per_epoch = num_images // batch_size
    epochs = config.training.epochs
    if config.training.steps:
        epochs = -(-config.training.steps // per_epoch)
    return per_epoch, epochs


def differing_data(runs):
    """The distinct `DataConfig`s of runs, in order."""
    return list(dict.fromkeys(run.config.data for run in runs))
