"""The runs that a study takes. Imports no TensorFlow."""

from dataclasses import dataclass
from pathlib import Path

from yoto_tf.errors import InputError
from yoto_tf.families import family_for
from yoto_tf.settings import Settings
from yoto_tf.strict_config import differences
from yoto_tf.strict_config import with_settings

# What of the data changes training alone.
_OF_TRAINING = ("data.train_examples", "data.augmentation", "data.data_dir")
# Settings that decide what a loss is of.
MEANING = ("model.likelihood", "model.distortion")


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """One run of a study.

    Attributes:
        method: its key in the study.
        width, seed: of the model.
        points: dicts at which it is scored; of a fixed run its own alone.
        fixed: whether it is trained for that point alone.
        metrics: what is measured beside the scores.
        scored: the part of the data, `"test"` or `"validation"`.
        config: its settings.
    """

    method: str
    width: int
    seed: int
    points: list[dict]
    fixed: bool
    config: Settings
    metrics: tuple[str, ...] = ()
    scored: str = "test"

    @property
    def name(self):
        """Where it lies under the runs of its study."""
        name = f"{self.method}/width{self.width}-seed{self.seed}"
        if self.fixed:
            name += "".join(f"-{n}{v:g}" for n, v in self.points[0].items())
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
            points = spec.points(method)
            for width in method.widths or spec.widths:
                for group in (
                    [[p] for p in points] if method.fixed else [points]
                ):
                    config = _config(spec, name, method, width, seed, group)
                    runs.append(
                        PlannedRun(
                            name,
                            width,
                            seed,
                            group,
                            method.fixed,
                            config,
                            spec.metrics,
                            spec.scored,
                        )
                    )
    _check_comparable(spec, runs)
    return runs


def _check_comparable(spec, runs):
    """Raises InputError where methods would be scored on other examples, or
    by other losses."""
    first = runs[0].config
    for one in runs:
        for name in differences(one.config, first):
            if name in MEANING:
                by = "by the same loss"
            elif name.startswith("data.") and name not in _OF_TRAINING:
                by = "on the same examples"
            else:
                continue
            raise InputError(
                f"expected methods of {spec.name} that are scored {by}, "
                f"received: {one.method} with another {name} than "
                f"{runs[0].method}"
            )


def _config(spec, name, method, width, seed, points):
    family, config = spec.model_family, spec.settings
    settings = {
        **spec.overrides,
        **method.overrides,
        "training.seed": seed,
    }
    if family.width:
        settings[family.width] = width
    try:
        config = with_settings(config, settings)
        if method.fixed:
            config = with_settings(config, family.fixed(config, points[0]))
        if spec.scored == "validation":
            family_for(config).check_validation(config)
        return config
    except InputError as error:
        raise InputError(f"{spec.name}, method {name}: {error}") from error


def default_folder(spec):
    """Where a study's runs lie if nobody says otherwise."""
    return Path("runs/studies") / spec.name


def num_steps(config, num_examples):
    """Train steps per epoch and epochs of a configuration."""
    batch_size = min(config.training.batch_size, num_examples)
    per_epoch = num_examples // batch_size
    return per_epoch, config.training.num_epochs(per_epoch)


def differing_data(runs):
    """One run for each of the distinct data settings, in order."""
    return list({(r.config.family, r.config.data): r for r in runs}.values())
