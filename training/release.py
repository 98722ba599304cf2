"""Makes a run a released model: `python -m training.release RUN`.

What is kept is what others need: settings, weights without the optimizer's,
curve, how they were made, a few inputs to try, and a card.
"""

import dataclasses
import json
import os
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from training.metrics import table
from yoto_tf import points
from yoto_tf import released
from yoto_tf import strict_config
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.families import get_preset
from yoto_tf.files import written_whole
from yoto_tf.run_directory import RunDirectory

# Of the few inputs that come with a model, before they are compressed.
_EXAMPLE_BYTES = 2e6
_MOST_EXAMPLES = 24
# The card says how: what it is and what it minimises are the preset's.
_MAY_DIFFER = ("data", "training", "optimizer")
_LICENSE = (
    "The weights are licensed as the library is (Apache License 2.0). The data "
    "have licences of their own."
)


@dataclass(frozen=True)
class Arguments:
    """Make a trained and evaluated run the released model of its preset.

    Writes into the checkout: yoto_tf/released/NAME.
    """

    run: tyro.conf.Positional[Path]
    """Run directory of training.train or training.study, of a preset; its
    data and how it was trained may differ."""
    limits: str = ""
    """A sentence for the card: what the model is not good for."""
    credits: Path | None = None
    """A text in Markdown for the card: whose the data are, and their
    licences."""
    to: Path = released.FOLDER
    """Where released models lie."""


def release(run, limits="", to=released.FOLDER, credits=""):
    """Copies what others need of a run, and writes its card.

    Args:
        run: `RunDirectory`, trained and evaluated.
        limits: a sentence for the card.
        to: folder of released models.
        credits: a text for the card, whose the data are.

    Returns:
        Path of the released model's folder.

    Raises:
        InputError: for a run that is not trained and evaluated, or not of a
            preset with the preset's network and loss.
    """
    family = run.family()
    config, facts = run.read_config(), json.loads(run.config_file.read_text())
    run.read_curve()
    evaluation = run.read_evaluation()
    part = evaluation["split"]
    if part != "test":
        raise InputError(
            "expected a run that is scored on the test split, received: "
            f"{run.path}, scored on {part} examples"
        )
    name = facts.get("preset") or ""
    preset = get_preset(name, config.family)
    public = _public(config)
    differing = strict_config.differences(public, preset.config)
    others = [d for d in differing if d.split(".")[0] not in _MAY_DIFFER]
    if others:
        raise InputError(
            f"expected a run with the settings of the preset {name!r} but for "
            f"{', '.join(_MAY_DIFFER)}, received: {run.path}, with other "
            f"{', '.join(others)}"
        )
    data = run.data.read()
    size = np.prod(data["example_shape"], dtype=int)
    num = min(max(int(_EXAMPLE_BYTES // size), 2), _MOST_EXAMPLES)
    inputs = family.example(config, data, num)
    if not isinstance(inputs, dict):
        inputs = {"inputs": inputs}
    model = run.load_model()
    # Without the optimizer's weights, which are twice as many.
    plain = type(model).from_config(model.get_config())
    if len(plain.weights) < len(model.weights):
        # Some are made at the first call.
        plain(next(iter(inputs.values()))[:1])
    plain.set_weights(model.get_weights())
    # What happens once in a run, as KL warm-up, has happened.
    steps = evaluation["steps"]
    plain.note_run_length(steps, done=steps)
    strange = [
        points.label(point)
        for point in (
            {n: row[n] for n in family.parameters} for row in run.read_curve()
        )
        if not plain.loss_parameters.contains(point)
    ]
    if strange:
        raise InputError(
            "expected a run that is scored at trained values alone, received: "
            f"{run.path}, scored at {strange[0]}"
        )
    folder = Path(to) / name
    # Whole, or the one of before: settings and weights belong together.
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as aside:
        target = RunDirectory(Path(aside) / name)
        target.path.mkdir()
        _fill(target, run, plain, inputs, {**facts, "config": public.to_dict()})
        text = card(name, preset, target, differing, limits, credits)
        (target.path / released.CARD).write_text(text)
        for file in target.path.iterdir():
            os.replace(file, folder / file.name)
    return folder


def _fill(target, run, model, inputs, facts):
    """Writes all but the card of a released model into a new folder."""
    config = run.read_config()
    public = facts["config"]["data"]["name"]
    target.write_json(target.config_file, facts)
    target.save_model(model)
    shutil.copyfile(run.curve_file, target.curve_file)
    for file in (run.evaluation_file, run.data.facts_file):
        # A folder's place is nobody's business either.
        content = _without(
            json.loads(file.read_text()), config.data.name, public
        )
        target.write_json(target.path / file.name, content)
    with written_whole(target.examples_file) as aside:
        np.savez_compressed(aside, **inputs)


def _without(content, private, public):
    """JSON's content whose texts say one name for another."""
    if isinstance(content, dict):
        return {k: _without(v, private, public) for k, v in content.items()}
    if isinstance(content, list):
        return [_without(v, private, public) for v in content]
    if isinstance(content, str):
        return content.replace(private, public)
    return content


def _public(config):
    """Settings that do not say where data lie on this machine."""
    name = config.data.name
    if Path(name).is_absolute() or name.startswith((".", "~")):
        name = Path(name).name
    data = dataclasses.replace(config.data, name=name)
    if hasattr(data, "data_dir"):
        data = dataclasses.replace(data, data_dir=None)
    return dataclasses.replace(config, data=data)


def card(name, preset, run, differing, limits, credits):
    """Writes a model card (Mitchell et al., Model Cards, FAT* 2019)."""
    config, family, rows = run.read_config(), run.family(), run.read_curve()
    values = config.to_dict()
    others = []
    for dotted in differing:
        group, _, setting = dotted.partition(".")
        others.append(f"{dotted} = {values[group][setting]}")
    settings = "the preset as it is"
    if others:
        settings = f"the preset with {', '.join(others)}"
    measured = run.read_evaluation()
    made = json.loads(run.config_file.read_text())
    data = run.data.read()
    counts = data["num_examples"]
    packages = made["packages"]
    scored = measured["git_revision"]
    if scored == made["git_revision"]:
        scored = None
    asked = ", ".join(
        f"{n} from {min(r[n] for r in rows):g} to {max(r[n] for r in rows):g}"
        for n in family.parameters
    )
    parts = [
        f"# {name}, trained",
        f"{preset.summary}. One model for {asked}.",
        f"```python\n{family.released_snippet(name)}\n```",
        f"**Data**: {data['version']}, {counts['train']:,} training examples, "
        f"scored on {measured['num_examples']:,} of the test split.",
        credits.strip(),
        f"**Training**: {settings} (`config.json`), seed "
        f"{config.training.seed}, {measured['steps']:,} steps, "
        f"{measured['parameters']:,} parameters; yoto_tf "
        f"{made['yoto_tf']}, commit `{made['git_revision']}`, "
        f"TensorFlow {packages['tensorflow']}, Keras {packages['keras']}"
        + (f", {made['processor']}" if "processor" in made else "")
        + (f"; scored by commit `{scored}`" if scored else "")
        + ".",
        f"```sh\npython -m training.train {name}{_words(differing, values)}\n"
        f"python -m training.evaluate runs/{name}\n"
        f"python -m training.release runs/{name}\n```",
        f"**Curve** ({family.unit or 'scores'}):",
        table(rows, family),
        f"**What it shows.** {preset.expect}",
        "**Limits.** It knows its data set alone, and one seed of it: what it "
        "learned of each value of its loss parameters is one outcome of "
        f"training. {limits}".strip(),
        f"**Licence.** {_LICENSE}",
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def _words(differing, values):
    """The settings on a command line."""
    words = ""
    for dotted in differing:
        group, _, setting = dotted.partition(".")
        name, value = dotted.replace("_", "-"), values[group][setting]
        if isinstance(value, bool):
            start, _, end = name.rpartition(".")
            words += f" --{name}" if value else f" --{start}.no-{end}"
        else:
            parts = value if isinstance(value, list | tuple) else [value]
            words += f" --{name} {shlex.join(map(str, parts))}"
    return words


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    arguments = parsed(Arguments, "python -m training.release", argv)
    with reported_on_the_command_line():
        run = RunDirectory(arguments.run)
        run.read_config()
        import_keras_quietly()
        credits = arguments.credits and arguments.credits.read_text()
        path = release(run, arguments.limits, arguments.to, credits or "")
        size = sum(p.stat().st_size for p in path.iterdir()) / 1e6
        print(f"released: {path}, {size:.1f} MB")


if __name__ == "__main__":
    main()
