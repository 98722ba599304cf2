"""Checks a version before it is published, in the session of TF Serving."""

import tensorflow as tf

from export import warmup
from yoto_tf import endpoint
from yoto_tf.endpoint import VerificationError
from yoto_tf.session import Session


def verify(folder, endpoints):
    """Runs every signature and the warm-up records in the C++ session.

    Args:
        folder: of the version, with its warm-up records.
        endpoints: list of `Endpoint`: all that it may serve.

    Returns:
        list of `Difference`, one per output.

    Raises:
        VerificationError: for a fault of loading or running, a signature that
            is no endpoint's, or a difference from the Keras model.
    """
    try:
        with _loaded(folder) as session:
            differences = endpoint.compare(session, endpoints)
            warmup.replay(folder, session)
    except (tf.errors.OpError, KeyError) as error:
        reason = getattr(error, "message", str(error))
        raise VerificationError(
            f"the C++ session does not run the exported model: {reason}"
        ) from error
    return differences


def _loaded(folder):
    try:
        return Session(folder)
    except (tf.errors.OpError, OSError, ValueError) as error:
        raise VerificationError(
            f"the C++ loader does not load the exported model: {error}"
        ) from error
