"""What Keras finds when it loads a model of this library."""

import re

# Refuses another backend, before Keras is imported.
import yoto_tf.keras_backend  # noqa: F401

# isort: split
import keras

from yoto_tf.errors import InputError
from yoto_tf.families import register_models
from yoto_tf.method.condition import ConditionedModel  # noqa: F401
from yoto_tf.method.dirichlet import Dirichlet  # noqa: F401
from yoto_tf.method.mixture import Mixture  # noqa: F401
from yoto_tf.method.model import LossConditionalModel

# So that Keras finds it when it loads a model that was trained with it.
from yoto_tf.optimizers import FusedAdam  # noqa: F401

register_models()


def load_model(path, **kwargs):
    """Loads a model of this library from its `.keras` file.

    Args:
        path: of the file that `model.save` wrote.
        **kwargs: `custom_objects`, `compile` and `safe_mode` of
            `keras.models.load_model`.

    Raises:
        InputError: if the file is missing, damaged or of another kind.

    Example:
        model.save("model.keras")
        model = yoto_tf.load_model("model.keras")
    """
    try:
        model = keras.models.load_model(path, **kwargs)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        # Keras raises what the zip, JSON and HDF5 readers happen to raise,
        # and puts a sentence of ours among its own.
        sentence = re.search(r"^expected .* received: .*", str(error), re.M)
        if sentence:
            raise InputError(f"{sentence[0]} ({path})") from error
        reason = str(error).strip().split("\n")[0][:200]
        raise InputError(
            f"expected a .keras file of this library, received: {path}, "
            f"which cannot be read ({type(error).__name__}: {reason})"
        ) from error
    if not isinstance(model, LossConditionalModel):
        raise InputError(
            "expected a loss-conditional model, received: "
            f"{path} with a {type(model).__name__}"
        )
    return model
