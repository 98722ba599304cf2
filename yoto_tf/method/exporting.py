"""A SavedModel of any loss-conditional model, its parameters as inputs."""

import contextlib
import dataclasses
import os
import re

import keras
import numpy as np
import tensorflow as tf

from yoto_tf import verification
from yoto_tf.endpoint import by_signature
from yoto_tf.errors import InputError
from yoto_tf.errors import SaveError
from yoto_tf.errors import VerificationError
from yoto_tf.files import as_path
from yoto_tf.method import precision
from yoto_tf.method.generic_endpoints import generic_endpoints
from yoto_tf.session import Session

# Half the distance from 1 to the next number: what one rounding changes.
_ROUNDING = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
# A session fuses operations, and so leaves out some roundings. A VAE's
# reconstructions differ by up to 8.
_ROUNDINGS = 16
# Endings of what is one file, or of another format.
_OTHERS = """
.h5 .hdf5 .keras .litert .onnx .pb .pt .pt2 .pth .safetensors .tflite .xml
""".split()
_WITH_TABLES = keras.layers.IntegerLookup, keras.layers.StringLookup


def export(model, path, example, kind="tf_saved_model", verbose=None):
    """Writes a version that was compared with the model; see
    `LossConditionalModel.export`."""
    if kind != "tf_saved_model":
        raise InputError(
            "expected format='tf_saved_model', from which others are "
            f"converted, received: format={kind!r}"
        )
    path = as_path("filepath", path)
    if path.suffix.lower() in _OTHERS:
        raise InputError(
            "expected the path of a folder, as models/NAME/2, for a SavedModel "
            f"is one, received: {path}; model.save writes a .keras file, and "
            "other formats are converted from a SavedModel"
        )
    if path.exists():
        raise InputError(
            "expected the path of a new version, as models/NAME/2, received: "
            f"{path}, which is there"
        )
    with _few_bits(model):
        endpoints = generic_endpoints(model, example)
        endpoints[0] = _tolerant(endpoints[0], model)
    # Its locks are Unix', and whoever exports nothing needs none.
    from yoto_tf.contract import unfinished

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.folder_in(path.parent) as aside:
            write(aside, endpoints, model)
            with _few_bits(model), Session(aside) as session:
                differences = verification.compare(
                    session, endpoints, model.loss_parameters
                )
            unfinished.write_through(aside)
            os.rename(aside, path)
            unfinished.sync(path.parent)
    except OSError as error:
        raise SaveError(
            f"could not write {path} ({error.strerror or error})"
        ) from error
    except (
        tf.errors.PermissionDeniedError,
        tf.errors.ResourceExhaustedError,
        tf.errors.UnknownError,
    ) as error:
        # TensorFlow's own file errors, as on a full disk.
        raise SaveError(f"could not write {path} ({error.message})") from error
    except tf.errors.OpError as error:
        raise verification.not_run(error) from error
    if verbose:
        print(f"exported: {path}")
    return differences


def write(path, endpoints, model=None):
    """Writes a SavedModel.

    Args:
        path: of a folder that is not there.
        endpoints: list of `Endpoint`; the first is also the default.
        model: whose layers they use, if any have tables.
    """
    by_signature(endpoints)
    # Not tf.saved_model.save: sessions find no variables in its result.
    archive = keras.export.ExportArchive()
    for layer in model._flatten_layers() if model else ():
        # Their tables are found by it alone; of others it would write the
        # weights twice.
        if isinstance(layer, _WITH_TABLES):
            archive.track(layer.lookup_table)
    for one in endpoints:
        archive.add_endpoint(one.name, one.served, list(one.inputs))
    archive.write_out(path, verbose=False)


def _tolerant(predict, model):
    """The endpoint with tolerances that suit what the model computes in: so
    many roundings of the largest value of an output."""
    dtype = precision.half_of(model)
    if not dtype:
        return predict
    answer = predict.reference(**predict.example(8, 0))
    share = _ROUNDINGS * _ROUNDING[dtype]
    return dataclasses.replace(
        predict,
        tolerances={
            n: share * float(np.max(np.abs(np.asarray(t, "float64"))))
            for n, t in answer.items()
            # Whole numbers are right or wrong.
            if keras.backend.is_float_dtype(t.dtype)
        },
    )


@contextlib.contextmanager
def _few_bits(model):
    """Says what to do where a model of half precision cannot be served."""
    try:
        yield
    except (tf.errors.OpError, VerificationError) as error:
        dtype = precision.half_of(model)
        if not dtype:
            raise
        mend = "one with dtype='float32' that loads the weights can be exported"
        if isinstance(error, VerificationError):
            raise VerificationError(
                f"{error}, both in {dtype}; {mend}"
            ) from error
        missing = re.search(
            r"Could not find device for node: \{\{node \S+\}\} = (\w+)"
            r"|No OpKernel was registered to support Op '(\w+)'",
            str(error),
        )
        if not missing:
            raise
        raise InputError(
            f"expected operations that TensorFlow has on CPU in {dtype}, "
            f"received: {missing[1] or missing[2]}; {mend}"
        ) from error
