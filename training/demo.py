"""Trains, evaluates and draws the default model: `python -m training.demo`.

Run again, it continues what was cut off and leaves what is finished.
"""

from dataclasses import dataclass
from pathlib import Path

from training.beginning import check_same_config
from training.train import train
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.families import DEFAULT
from yoto_tf.families import get_preset
from yoto_tf.run_directory import RunDirectory


@dataclass(frozen=True)
class Arguments:
    """Train one model for a range of its loss parameters, score and draw it."""

    preset: str = DEFAULT
    """A preset whose data need no download, or are prepared."""
    run_dir: Path = Path("runs/demo")
    """Where the run is written; continued if it exists."""


def main(argv=None):
    arguments = parsed(Arguments, "python -m training.demo", argv)
    with reported_on_the_command_line():
        preset = get_preset(arguments.preset)
        import_keras_quietly()
        from training.evaluate import evaluate
        from training.metrics import table
        from training.plots import plot

        run = RunDirectory(arguments.run_dir)
        if run.config_file.exists():
            check_same_config(preset.config, run.read_config(), run)
        print(f"{preset.summary}. {preset.expect}\n")
        if not run.model_file.exists():
            train(
                preset.config,
                run.path,
                resume=run.config_file.exists(),
                preset=arguments.preset,
                verbose=2,
            )
        family = run.family()
        print(f"\nScoring the test split, {family.unit or 'every value'}:\n")
        print(table(evaluate(run), family))
        print(
            f"\nOne model, {len(run.read_curve())} trade-offs. The pictures "
            "and what they show:\n"
        )
        plot([run], log=lambda sentence: print(f"  {sentence}"))
        print(f"\nThe model: {run.model_file}; its curve: {run.curve_file}")


if __name__ == "__main__":
    main()
