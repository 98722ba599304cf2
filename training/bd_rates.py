"""BD-rates of a study of compression, from bits of real files:
`python -m training.bd_rates runs/studies/STUDY`.

Each method's models are a codec, seed by seed: separate models the settings
of one, a model of all lambdas at the lambdas that the separate ones have.
"""

import dataclasses
import math
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from training import codecs
from training.compared_codecs import bd_rates
from training.compared_codecs import read_table
from yoto_tf import extras
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.files import written_whole
from yoto_tf.run_directory import RunDirectory

_TITLES = {"psnr": "PSNR", "ms_ssim_db": "MS-SSIM"}


@dataclass(frozen=True)
class Arguments:
    """Write pictures by all models of a study, and compare its methods.

    Writes bd_rates_files.csv, bd_rates.csv and bd_rates.md.
    """

    study: tyro.conf.Positional[Path]
    """Folder of a study of the family compression."""
    against: str = "separate"
    """The method with whose files those of the others are compared."""
    pictures: Path | None = None
    """A folder of pictures; unset: six of scikit-image and scikit-learn."""
    to: Path | None = None
    """Where to write; unset: into the study's folder."""


def found_runs(study, log=print):
    """The finished runs of a study, of methods and seeds that have all of
    theirs.

    Args:
        study: its folder.
        log: called with a sentence for one that is left out.

    Returns:
        dict, (method, seed) -> list of `RunDirectory`.

    Raises:
        InputError: if there are none, or of another family.
    """
    found = {}
    for file in sorted(Path(study).glob("runs/*/*/model.keras")):
        run = RunDirectory(file.parent)
        config = run.read_config()
        # One of a user's own may be its like, too.
        if not hasattr(config, "parameter"):
            raise InputError(
                "expected a study of the family compression, received: "
                f"{run.path} of {config.family}"
            )
        key = file.parent.parent.name, config.training.seed
        found.setdefault(key, []).append(run)
    for file in sorted(Path(study).glob("runs/*/*/config.json")):
        if (file.parent / "model.keras").is_file():
            continue
        config = RunDirectory(file.parent).read_config()
        method, seed = file.parent.parent.name, config.training.seed
        log(
            f"{method}, seed {seed}, is left out: {file.parent} is not finished"
        )
        found.pop((method, seed), None)
    _leave_out_incomplete(found, log)
    if not found:
        raise InputError(
            "expected a study's folder with finished runs, received: "
            f"{study}, without"
        )
    return found


def _leave_out_incomplete(found, log):
    """Of separate models a seed has to have those of all lambdas: between
    fewer its curve is another."""
    lambdas = {
        key: [v for run in group for v in run.read_config().parameter.values]
        for key, group in found.items()
    }
    for (method, seed), values in lambdas.items():
        if len(set(values)) < len(values):
            raise InputError(
                "expected one model per lambda, received: several of "
                f"{method}, seed {seed}, as of studies of several widths"
            )
        of_method = {v for k in lambdas if k[0] == method for v in lambdas[k]}
        if missing := sorted(of_method - set(values)):
            said = ", ".join(f"{value:g}" for value in missing)
            log(f"{method}, seed {seed}, is left out: no model of {said}")
            del found[method, seed]


def compare(runs, against, pictures, log=print):
    """Writes and reads every picture by every method and seed.

    Args:
        runs: of `found_runs`.
        against: the method that the others are compared with.
        pictures: dict, name -> pixels.
        log: called with a sentence per model and picture.

    Returns:
        `(files, rates)`: dict, (method, seed) -> list of `Comparison`, and
        list of dicts `method`, `seed`, `picture`, `measure`, `percent`.

    Raises:
        InputError: where the method is not there.
    """
    methods = {method for method, _ in runs}
    if against not in methods or len(methods) < 2:
        raise InputError(
            f"expected runs of {against!r} and of another method, received: "
            f"those of {sorted(methods)}"
        )
    lambdas = sorted(
        {
            value
            for (method, _), group in runs.items()
            if method == against
            for run in group
            for value in run.read_config().parameter.values
        }
    )
    if not lambdas:
        raise InputError(
            "expected against as a method of separate models, at whose "
            f"lambdas the others write, received: {against!r}, models of all"
        )
    files = {
        key: codecs.by_models(
            [run.path for run in group], pictures, log, lambdas
        )
        for key, group in runs.items()
    }
    rates = []
    for (method, seed), rows in files.items():
        if method == against or (against, seed) not in files:
            continue
        others = [
            dataclasses.replace(row, codec=against)
            for row in files[against, seed]
        ]
        with warnings.catch_warnings():
            # Curves that overlap by little are said in the table.
            warnings.simplefilter("ignore")
            found = bd_rates([*rows, *others])
        for (_, measure), percents in found.items():
            for picture, percent in zip(pictures, percents, strict=True):
                rates.append(
                    {
                        "method": method,
                        "seed": seed,
                        "picture": picture,
                        "measure": measure,
                        "percent": percent,
                    }
                )
    return files, rates


def table(rates, runs, against):
    """Markdown: per method the mean over seeds of the mean over pictures, its
    standard deviation over seeds, and what training took."""
    seeds = sorted({row["seed"] for row in rates})
    pictures = {row["picture"] for row in rates}
    lines = [
        f"BD-rate against {against.replace('_', ' ')}, from bytes of whole "
        f"files of {len(pictures)} pictures; mean over {len(seeds)} seeds ± "
        "standard deviation over them; below 0 a method's files are smaller.",
        "",
        "| method | PSNR | MS-SSIM | models | hours of a processor |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for method in dict.fromkeys(method for method, _ in runs):
        groups = [group for (name, _), group in runs.items() if name == method]
        cells = [
            "0" if method == against else _spread(rates, method, measure)
            for measure in _TITLES
        ]
        hours = np.mean([sum(map(_hours, group)) for group in groups])
        lines.append(
            f"| {method.replace('_', ' ')} | {' | '.join(cells)} | "
            f"{len(groups[0])} | {hours:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _spread(rates, method, measure):
    by_seed, lost = {}, 0
    for row in rates:
        if (row["method"], row["measure"]) != (method, measure):
            continue
        if math.isfinite(row["percent"]):
            by_seed.setdefault(row["seed"], []).append(row["percent"])
        else:
            lost += 1
    if not by_seed:
        return "no quality in common"
    means = np.array([np.mean(values) for values in by_seed.values()])
    text = f"{means.mean():+.1f} %"
    if len(means) > 1:
        text += f" ± {means.std(ddof=1):.1f}"
    if lost:
        text += f" ({lost} pictures left out)"
    return text


def _hours(run):
    return sum(row["cpu_seconds"] for row in run.read_log()) / 3600


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    arguments = parsed(Arguments, "python -m training.bd_rates", argv)
    with reported_on_the_command_line():
        runs = found_runs(arguments.study)
        try:
            extras.require("compression", "constriction", "bjontegaard")
            pictures = codecs.chosen_pictures(arguments.pictures)
        except ModuleNotFoundError as error:
            raise InputError(str(error)) from error
        import_keras_quietly()
        to = arguments.to or arguments.study
        # Before minutes of work.
        to.mkdir(parents=True, exist_ok=True)
        files, rates = compare(runs, arguments.against, pictures)
        _write(arguments, runs, files, rates, to)


def _write(arguments, runs, files, rates, to):
    import pandas as pd

    text = table(rates, runs, arguments.against)
    written = pd.concat(
        read_table(rows).assign(codec=method, seed=seed)
        for (method, seed), rows in files.items()
    )
    for name, content in (
        ("bd_rates_files.csv", written),
        ("bd_rates.csv", pd.DataFrame(rates)),
    ):
        with written_whole(to / name) as aside:
            content.to_csv(aside, index=False, lineterminator="\n")
    with written_whole(to / "bd_rates.md") as aside:
        aside.write_text(text)
    print(text)
    print(f"written to {to}")


if __name__ == "__main__":
    main()
