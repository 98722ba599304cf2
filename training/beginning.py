"""What a run begins with: settings, data, checkpoint.

Several processes that train one model begin with the chief's: it alone reads
and writes the run directory, and loads the data before the others do so all
at once.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yoto_tf import provenance
from yoto_tf import strict_config
from yoto_tf.data_record import fingerprint
from yoto_tf.errors import InputError
from yoto_tf.families import family_for
from yoto_tf.families import get_family
from yoto_tf.run_directory import RunDirectory
from yoto_tf.settings import Settings


@dataclass
class Beginning:
    """What a run begins with.

    Attributes:
        config: its settings.
        run: `RunDirectory`.
        splits: data of the family, loaded.
        epoch: after which it continues.
    """

    config: Settings
    run: RunDirectory
    splits: Any
    epoch: int = 0
    _found: Any = None
    _checkpoint: bytes = b""

    def model(self):
        """The model as of the checkpoint, None if there is none."""
        if self._found is not None or not self._checkpoint:
            return self._found
        from yoto_tf.method import precision
        from yoto_tf.models import load_model

        family_for(self.config).register()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "checkpoint.keras"
            path.write_bytes(self._checkpoint)
            with precision.default_policy(self.config.training.dtype):
                return load_model(path)


def begun(
    distribution,
    stack,
    config,
    run_dir,
    resume,
    preset,
    splits=None,
    log=print,
    check=lambda config, num_examples: None,
):
    """Begins or continues a run; arguments and errors as of `train.train`.

    Args:
        stack: `contextlib.ExitStack` that keeps the run's lock.
        check: called with the settings and the number of training examples
            before files are written; raises for what cannot be trained.

    Returns:
        `Beginning`.
    """
    start = Beginning(config, RunDirectory(run_dir), splits)

    def in_chief():
        _begin(start, distribution, stack, resume, preset, log, check)
        return {
            "config": start.config.to_dict(),
            "data": fingerprint(start.splits.trained_digests),
            "epoch": start.epoch,
        }, start._checkpoint

    told, start._checkpoint = distribution.chief_first(in_chief)
    start.epoch = told["epoch"]
    distribution.agreed(lambda: _follow(start, told))
    return start


def _begin(start, distribution, stack, resume, preset, log, check):
    run = start.run
    if resume:
        stored = run.read_config()
        start.config = start.config or stored
        check_same_config(start.config, stored, run)
    family = family_for(start.config)
    family.check(start.config)
    if not resume:
        run.require_new()  # before minutes of downloading
    start.splits = start.splits or family.load(start.config, parts=("train",))
    splits = start.splits
    log(
        f"{splits.name}: {len(splits.train):,} training and "
        f"{len(splits.validation):,} validation {splits.noun} of "
        f"{' x '.join(map(str, splits.example_shape))}"
    )
    for note in splits.notes:
        log(note)
    check(start.config, len(splits.train))
    if not resume:
        run.create(start.config, preset=preset, **provenance.facts())
    stack.enter_context(run.locked())
    run.data.begin_or_continue(splits, bool(run.checkpoint_epochs()), log)
    if distribution.strategy is None:
        start._found, start.epoch = run.load_checkpoint(warn=log)
        return
    # Which can be read; made again where the strategy is, of the same bytes.
    _, start.epoch = run.load_checkpoint(warn=log)
    if start.epoch:
        start._checkpoint = run.checkpoint_file(start.epoch).read_bytes()


def _follow(start, told):
    """Takes what the chief begins with, and refuses what is not the same."""
    stored = told["config"]
    chiefs = get_family(stored["family"]).read(stored)
    if start.config is not None:
        differing = ["family"]
        if start.config.family == chiefs.family:
            differing = strict_config.differences(start.config, chiefs)
        # Each may have its data in another place.
        differing = [name for name in differing if name != "data.data_dir"]
        if differing:
            raise InputError(
                "expected the settings of the chief, received: other values "
                f"of {', '.join(differing)}"
            )
        chiefs = start.config
    start.config = chiefs
    family = family_for(chiefs)
    start.splits = start.splits or family.load(chiefs, parts=("train",))
    own = fingerprint(start.splits.trained_digests)
    if own != told["data"]:
        raise InputError(
            f"expected the chief's {start.splits.noun} (fingerprint "
            f"{told['data']}), received: others, or in another order ({own})"
        )


def check_same_config(given, stored, run):
    """Raises InputError, naming the settings, if the two differ."""
    if given.family != stored.family:
        raise InputError(
            f"expected family={stored.family!r} as in {run.config_file} to "
            f"resume it, received: family={given.family!r}"
        )
    differing = strict_config.differences(given, stored)
    # The record of the data tells whether they are the same.
    differing = [name for name in differing if name != "data.data_dir"]
    if differing:
        raise InputError(
            f"expected the settings of {run.config_file} to resume it, "
            f"received: other values of {', '.join(differing)}"
        )
