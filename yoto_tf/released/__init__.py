"""Trained models that come with the library.

Each is a folder beside this file, a run directory without its checkpoints:
settings, model, curve, and a card for people (README.md).
`training.release` writes them. Imports no TensorFlow.
"""

from pathlib import Path

from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory

FOLDER = Path(__file__).parent
CARD = "README.md"


def names():
    """Returns what there is."""
    return sorted(p.parent.name for p in FOLDER.glob("*/model.keras"))


def run(name):
    """Returns the `RunDirectory` of a released model.

    Raises:
        InputError: if there is none of that name.

    Example:
        from yoto_tf import released

        model = released.run("rendered_shapes3d").load_model()
    """
    if name not in names():
        raise InputError(
            f"expected a preset with trained weights, one of {names()}, "
            f"received: {name!r}"
        )
    return RunDirectory(FOLDER / name)


def as_class(model_class, name, seed, weights, overrides):
    """Builds a class of models with released weights; see its `from_preset`.

    Raises:
        InputError: for weights that there are not, or overrides beside them.
    """
    if weights != "trained" or overrides:
        raise InputError(
            "expected weights=None, or weights='trained' without other "
            f"settings of the model, received: weights={weights!r}, "
            f"{overrides}"
        )
    found = run(name)
    trained = found.load_model()
    if not issubclass(model_class, type(trained)):
        raise InputError(
            f"expected a preset of {model_class.__name__}, received: {name!r}, "
            f"weights of a {type(trained).__name__}"
        )
    # As a new one, it has the policy of `keras.config.set_dtype_policy`.
    config = {**trained.get_config(), "seed": seed}
    del config["dtype"]
    model = model_class.from_config(config)
    model.set_weights(trained.get_weights())
    # What happens once in a run, as KL warm-up, has happened.
    evaluation = found.read_evaluation()
    steps = evaluation["steps"]
    model.note_run_length(steps, done=steps)
    return model
