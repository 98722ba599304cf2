"""Checks a version before it is published, in the session of TF Serving."""

import collections

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from export import warmup
from yoto_tf import verification
from yoto_tf.errors import InputError
from yoto_tf.errors import VerificationError
from yoto_tf.session import Session

_Signature = collections.namedtuple("_Signature", "inputs outputs")
_Spec = collections.namedtuple("_Spec", "dtype shape")


def verify(folder, endpoints, joint=None, invalid_rows="error"):
    """Runs every signature and the warm-up records in the C++ session.

    Args:
        folder: of the version, with its warm-up records.
        endpoints: list of `Endpoint`: all that it may serve.
        joint, invalid_rows: as of `yoto_tf.verification.compare`.

    Returns:
        list of `Difference`, one per output.

    Raises:
        InputError: for an example that is none, or varies too little.
        VerificationError: for a fault of loading or running, a signature that
            is no endpoint's, or a difference from the Keras model.
    """
    try:
        with _loaded(folder) as session:
            differences = verification.compare(
                session, endpoints, joint, invalid_rows
            )
            warmup.replay(folder, session)
    except (tf.errors.OpError, KeyError) as error:
        raise verification.not_run(error) from error
    return differences


def check_view(folder, view, parameters):
    """Compares a view with what was written.

    Args:
        folder: of the version.
        view: `yoto_tf.families.view.View`.
        parameters: names of the loss parameters.

    Raises:
        InputError: if a page could not show the version by it.
    """
    written = (folder / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(written).meta_graphs[0]
    served = {
        name: _Signature(_specs(found.inputs), _specs(found.outputs))
        for name, found in graph.signature_def.items()
        if name != "__saved_model_init_op"
    }
    problem = view.problem(served, parameters)
    if problem:
        raise InputError(f"the family's view does not fit: {problem}")


def _specs(tensors):
    return {
        name: _Spec(
            tf.as_dtype(tensor.dtype).name,
            None
            if tensor.tensor_shape.unknown_rank
            else tuple(
                None if d.size < 0 else d.size for d in tensor.tensor_shape.dim
            ),
        )
        for name, tensor in tensors.items()
    }


def _loaded(folder):
    try:
        return Session(folder)
    except (tf.errors.OpError, OSError, ValueError) as error:
        raise VerificationError(
            f"the C++ loader does not load the exported model: {error}"
        ) from error
