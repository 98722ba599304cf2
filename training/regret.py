"""What a model loses: to itself, asked for another value, and to a model that
was trained for one value alone."""

import math

from yoto_tf import points
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory
from yoto_tf.strict_config import with_settings


def envelope(rows, family):
    """The check that needs no second model: on the trade-off of a model that
    heeds its parameters, none is better served by asking for another value.

    It does not see a model that is worse than others everywhere.

    Args:
        rows: of `Family.score`, two or more.
        family: `Family`.

    Returns:
        dict: `mean_gain` over the points, `largest_gain`, the point `at`
        which that is and the one to ask for there, `by_asking` (None where
        nothing is gained); empty for a family whose scores do not tell, or
        for a single point.
    """
    asked = [{n: row[n] for n in family.parameters} for row in rows]
    own = [
        family.judged(row, point)
        for row, point in zip(rows, asked, strict=True)
    ]
    if len(rows) < 2 or any(
        loss is None or not math.isclose(loss, row["full_loss"], rel_tol=1e-5)
        for loss, row in zip(own, rows, strict=True)
    ):
        return {}
    gains = []
    for loss, point in zip(own, asked, strict=True):
        losses = [family.judged(row, point) for row in rows]
        best = min(losses)
        gains.append((loss - best, point, asked[losses.index(best)]))
    gain, at, by_asking = max(gains, key=lambda g: g[0])
    return {
        "mean_gain": sum(g[0] for g in gains) / len(gains),
        "largest_gain": gain,
        "at": at,
        "by_asking": by_asking if gain > 0 else None,
    }


def envelope_sentence(found, family):
    """What `envelope` found, for a reader."""
    unit = f" {family.objective.unit or family.unit}"
    if found["by_asking"] is None:
        return "envelope check: no point is served better by another value"
    return (
        "envelope check: asking for another value gains "
        f"{found['mean_gain']:.2g}{unit} on average, at most "
        f"{found['largest_gain']:.2g} at "
        f"{points.label(found['at'])}, by asking for "
        f"{points.label(found['by_asking'])}"
    )


def parsed(texts, run):
    """The point that a command line gives.

    Raises:
        InputError: for other than one trained value of every parameter.
    """
    config, family = run.read_config(), run.family()
    asked = family.grid_of(texts, config)
    if len(asked) != 1:
        raise InputError(
            "expected one value of every loss parameter for regret-at, "
            f"received: {' '.join(texts)}"
        )
    with_settings(config, family.fixed(config, asked[0]))
    return asked[0]


def check_epochs(epochs):
    """Refuses epochs below 1 of the separate model, by an `InputError`."""
    if not epochs >= 1:
        raise InputError(
            f"expected epochs of 1 or more, received: regret_epochs={epochs}"
        )


def regret_at(run, model, point, scored, epochs=None, verbose=0, log=print):
    """Trains a model for one point alone, briefly, and compares.

    Its run directory lies in the run's; where it is, nothing is trained
    again, and one that was cut off is continued.

    Args:
        run: `RunDirectory` of a trained run.
        model: of the run.
        point: dict, name -> value, of all parameters.
        scored: called with a model, returns its loss at the point.
        epochs: of the separate model; None: a tenth of the run's, at least 1.
        verbose, log: of `training.train.train`.

    Returns:
        dict: `point`, `epochs` of the separate model and of the run,
        `fixed_loss` and `loss`, and `regret`, the run's loss less the other:
        above 0, one model for that value alone was better.

    Raises:
        InputError: for epochs below 1, or a value that no model can have.
    """
    from training.beginning import check_same_config
    from training.train import train

    config, family = run.read_config(), run.family()
    known = len(run.read_log())
    if epochs is None:
        epochs = max(1, known // 10)
    check_epochs(epochs)
    settings = {**family.fixed(config, point), "training.epochs": epochs}
    if config.training.steps is not None:
        settings["training.steps"] = "unset"
    fixed_config = with_settings(config, settings)
    name = "_".join(f"{n}{v:g}" for n, v in point.items())
    fixed = RunDirectory(run.path / "fixed" / f"{name}-epochs{epochs}")
    if fixed.config_file.exists():
        check_same_config(fixed_config, fixed.read_config(), fixed)
    if fixed.model_file.exists():
        alone = fixed.load_model()
    else:
        log(
            f"training a model for {points.label(point)} alone, {epochs} of "
            f"the run's {known} epochs: {fixed.path}"
        )
        alone, _ = train(
            fixed_config,
            fixed.path,
            resume=fixed.config_file.exists(),
            verbose=verbose,
            tensorboard=False,
            log=log,
        )
    loss, fixed_loss = scored(model), scored(alone)
    return {
        "point": point,
        "epochs": epochs,
        "epochs_of_run": known,
        "loss": loss,
        "fixed_loss": fixed_loss,
        "regret": loss - fixed_loss,
    }


def among(regrets, found):
    """Those of before and a new one, which replaces what it was made as."""

    def made_as(one):
        return one["point"], one["epochs"]

    return [one for one in regrets if made_as(one) != made_as(found)] + [found]


def regret_sentence(found, family):
    """What `regret_at` found, for a reader."""
    loss = family.objective
    form = loss.form if loss.form.startswith("+") else f"+{loss.form}"
    unit = f" {loss.unit or family.unit}".rstrip()
    return (
        f"regret at {points.label(found['point'])}: "
        f"{found['regret']:{form}}{unit} ({loss.title} "
        f"{found['loss']:{loss.form}}; {found['fixed_loss']:{loss.form}} of a "
        f"model for that value alone, after {found['epochs']} epochs where "
        f"this had {found['epochs_of_run']})"
    )
