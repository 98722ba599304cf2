"""Scores a run over a grid: `python -m training.evaluate RUN`."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from training import earlier
from training import metrics as further
from training import regret
from training.extrapolation import extrapolated
from training.extrapolation import not_trained
from yoto_tf import provenance
from yoto_tf.command_line import command
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory
from yoto_tf.seeds import checked_seed


@dataclass(frozen=True)
class Arguments:
    """Score a trained run on its whole test split, over a grid of its loss
    parameters.

    Writes curve.csv and evaluation.json into the run directory.
    """

    run: tyro.conf.Positional[Path]
    """Run directory of training.train."""
    grid: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME=V1,V2,... ...")
    ] = ()
    """Other values than those of the run's configuration, as beta=1,16,256;
    of several parameters all combinations."""
    batch_size: Annotated[int, tyro.conf.arg(help="Examples at a time.")] = 500
    seed: int = 0
    """Of what is drawn in scoring, as the noise of a posterior."""
    metrics: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME[=SIZE] ...")
    ] = ()
    """What else to measure, which takes minutes: all, or some of a family's.
    Of the VAE: nll (nll=1000 for 1000 samples of the posterior per image),
    mutual_information, and where the data have factors disentanglement (MIG,
    SAP, modularity, FactorVAE score) and dci, this at four points at most."""
    regret_at: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")
    ] = ()
    """Also train a model for one point alone, briefly, and say how much better
    it is: a value of every loss parameter, as beta=4."""
    regret_epochs: int | None = None
    """How long; unset: a tenth of the run's epochs."""


def evaluate(
    run,
    grid=None,
    batch_size=500,
    seed=0,
    verbose=0,
    splits=None,
    model=None,
    log=print,
    metrics=(),
    regret_at=None,
    regret_epochs=None,
    part="test",
):
    """Scores a run and writes `curve.csv` and `evaluation.json`, in which
    what was measured before stays, where it is of the same points.

    Test examples that the run was trained on are left out; see
    `training.test_split`.

    Args:
        run: `RunDirectory` of a trained run.
        grid: list of dicts, name -> value; None: that of the run's settings.
        batch_size: examples at a time.
        seed: of what is drawn in scoring.
        verbose: 1 for a progress bar.
        splits, model: the run's `Splits` and its trained model, where the
            caller has them already.
        log: called with a sentence if the data are not what they were, a
            loss parameter changes no answer, or a point was not trained; with
            progress and time left of the metrics.
        metrics: names of what else to measure, as `("nll=1000", "dci")` or
            `("all",)`; see `Family.metrics`.
        regret_at: dict, name -> value: also compare there with a model for
            that point alone; see `training.regret.regret_at`.
        regret_epochs: of that model; None: a tenth of the run's.
        part: `"test"`; or `"validation"`, of `splits`, for what is still to
            be chosen.

    Returns:
        list of dicts, the rows of `curve.csv`.

    Raises:
        InputError: for data that cannot be used, values that a loss
            parameter cannot have, or metrics that there are not, or not for
            these data.
    """
    import keras

    from training.test_split import held_out
    from training.test_split import load_test_split
    from training.test_split import unseen
    from yoto_tf.evaluation import pareto_front
    from yoto_tf.evaluation.turning import without_effect

    config, family = run.read_config(), run.family()
    named = asked = further.parsed(metrics, family)
    # Before what takes minutes.
    factors = None
    if any(family.metrics[name].factors for name in asked):
        # Of the test examples; of others they are not known.
        factors = family.factors(config) if part == "test" else None
        asked = further.with_factors(asked, metrics, family, factors, log)
    if factors is not None and not splits:
        splits = family.load(config, parts=("test",), known=run.data.read())
    if not batch_size >= 1:
        raise InputError(
            "expected batch_size of 1 or more, received: "
            f"batch_size={batch_size}"
        )
    if regret_epochs is not None:
        regret.check_epochs(regret_epochs)
    model = model or run.load_model()
    grid = grid or family.grid(config)
    asked_at = [*grid, *filter(None, [regret_at])]
    strange = not_trained(model, asked_at)
    if part == "validation":
        examples, facts = held_out(splits)
    elif splits:
        examples, facts = unseen(run, splits, log)
    else:
        examples, facts = load_test_split(run, log)
    measure = None
    if asked:
        if facts["num_left_out"] and factors is not None:
            kept = ~run.data.seen(splits.test)
            factors = {n: labels[kept] for n, labels in factors.items()}
        asked, measure = further.measurer(
            asked, metrics, family, model, examples, factors, seed, log
        )
    started = time.monotonic()
    bar = keras.utils.Progbar(len(grid), verbose=verbose, unit_name="point")
    rows = family.score(model, examples, grid, batch_size, seed, bar.update)
    if left_out := sorted(set(named) - set(asked)):
        facts["metrics_left_out"] = left_out
    seconds = time.monotonic() - started
    # What the model gives is what it can be asked for.
    given = [
        row
        for row in rows
        if {n: row[n] for n in family.parameters} not in strange
    ]
    if found := regret.envelope(given, family):
        facts["envelope"] = found
    if strange:
        log(extrapolated(strange, model, run))
    idle = without_effect(model, examples)
    for name, low, high in idle:
        log(
            f"turning {name} from {low:g} to {high:g} changes no answer of "
            f"{run.path}: the network is not told, or did not learn to heed it"
        )
    shape = list(examples.shape[1:])
    front = pareto_front(_costs(rows, family))
    facts = {
        "split": part,
        "num_examples": len(examples),
        "example_shape": shape,
        **facts,
        "training_seed": config.training.seed,
        "scoring_seed": seed,
        "units": family.unit,
        "parameters": model.count_params(),
        "steps": int(model.optimizer.iterations),
        "parameters_without_effect": [name for name, *_ in idle],
        "not_trained": strange,
        **hypervolume_facts(family, model, shape, _costs(given, family)),
        "seconds": round(seconds, 1),
        **provenance.facts(),
    }

    def written(rows, facts, log):
        rows, facts = earlier.kept(run, rows, facts, family, log)
        flags = [{"on_pareto_front": int(f)} for f in front]
        lines = [a | b for a, b in zip(rows, flags, strict=True)]
        run.write_csv(
            run.curve_file, [[*lines[0]], *([*r.values()] for r in lines)]
        )
        run.write_json(run.evaluation_file, facts)
        return rows, facts

    if not asked:
        rows, facts = written(rows, facts, log)
    else:
        # Before what takes minutes.
        written(rows, facts, lambda text: None)
        shown = family.shown_points(model, config)

        def with_metrics(columns, measured):
            found = {n: {**of, "seed": seed} for n, of in measured.items()}
            told = {"metrics": {**found, **measure.facts}}
            told["seconds"] = round(time.monotonic() - started, 1)
            both = [a | b for a, b in zip(rows, columns, strict=True)]
            return written(both, facts | told, log)

        told = asked, family, measure, grid, shown, log
        rows, facts = with_metrics(*further.measured(*told, with_metrics))
    if regret_at:
        # When all that was measured is written: it trains a model.
        def scored(judged):
            row = family.score(judged, examples, [regret_at], batch_size, seed)
            return row[0][family.objective.name]

        found = regret.regret_at(
            run, model, regret_at, scored, regret_epochs, verbose, log
        )
        found["scoring_seed"] = seed
        regrets = regret.among(facts.get("regrets", []), found)
        run.write_json(run.evaluation_file, {**facts, "regrets": regrets})
    return rows


def _costs(rows, family):
    names = [c.name for c in family.trade_off]
    return np.array([[r[n] for n in names] for r in rows]).reshape(-1, 2)


def hypervolume_facts(family, model, example_shape, costs):
    """The hypervolume of points, and up to where it is measured.

    Args:
        family: `Family`.
        model: of it.
        example_shape: of the data.
        costs: `(n, 2)`, of the family's trade-off.

    Returns:
        dict: `hypervolume`, and `hypervolume_reference`, a dict by the names
        of the costs; empty for a family that has no reference.
    """
    from yoto_tf.evaluation import hypervolume

    reference = family.reference(model, example_shape)
    if reference is None:
        return {}
    names = [c.name for c in family.trade_off]
    return {
        "hypervolume": hypervolume(costs, reference) if len(costs) else 0.0,
        "hypervolume_reference": dict(zip(names, reference, strict=True)),
    }


def main(argv=None):
    arguments = parsed(Arguments, "python -m training.evaluate", argv)
    with reported_on_the_command_line():
        checked_seed(arguments.seed)
        run = RunDirectory(arguments.run)
        family = run.family()
        grid = family.grid_of(arguments.grid, run.read_config())
        further.parsed(arguments.metrics, family)
        regret_at = None
        if arguments.regret_at:
            regret_at = regret.parsed(arguments.regret_at, run)
        elif arguments.regret_epochs is not None:
            raise InputError(
                "expected regret-epochs beside regret-at alone, received: "
                f"regret_epochs={arguments.regret_epochs}"
            )
        import_keras_quietly()
        rows = evaluate(
            run,
            grid,
            arguments.batch_size,
            arguments.seed,
            verbose=1,
            metrics=arguments.metrics,
            regret_at=regret_at,
            regret_epochs=arguments.regret_epochs,
        )
        print(further.table(rows, family))
        if columns := further.columns_of(rows, family):
            print(f"\n{further.table(rows, family, columns)}")
        print(f"{family.unit or 'scores'}, written to {run.curve_file}")
        summary = run.read_evaluation()
        if "hypervolume" in summary:
            reference = summary["hypervolume_reference"]
            ends = " and ".join(f"{n} {v:,.0f}" for n, v in reference.items())
            print(f"hypervolume {summary['hypervolume']:,.0f}, up to {ends}")
        if "envelope" in summary:
            print(regret.envelope_sentence(summary["envelope"], family))
        for found in summary.get("regrets", []):
            said = regret.regret_sentence(found, family)
            if found.get("scoring_seed", arguments.seed) != arguments.seed:
                said += f", with scoring seed {found['scoring_seed']}"
            print(said)
        print(f"next: {command('training.plots', run.path)}")


if __name__ == "__main__":
    main()
