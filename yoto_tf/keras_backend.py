"""Refuses, at import, what Keras may be set to and this library cannot use.

Keras takes its backend from KERAS_BACKEND or from ~/.keras/keras.json, and
fails at import, in words of its own, where that is not installed.
"""

import os

from yoto_tf import matplotlib_backend
from yoto_tf.errors import InputError


def _import_keras():
    given = os.environ.get("KERAS_BACKEND")
    received = f"KERAS_BACKEND={given!r}" if given else "that of its keras.json"
    try:
        with matplotlib_backend.set_aside():
            import keras
    except (ImportError, ValueError) as error:
        raise InputError(
            f"expected Keras with the TensorFlow backend, received: {received} "
            f"({error}); set KERAS_BACKEND=tensorflow"
        ) from error
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            "expected Keras with the TensorFlow backend, received: "
            f"{keras.backend.backend()!r}; set KERAS_BACKEND=tensorflow before "
            "Keras is imported"
        )
    if keras.config.image_data_format() != "channels_last":
        raise InputError(
            "expected image_data_format 'channels_last' in Keras' keras.json, "
            f"received: {keras.config.image_data_format()!r}"
        )
    return keras


keras = _import_keras()
