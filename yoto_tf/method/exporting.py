"""A SavedModel of any loss-conditional model, its parameters as inputs."""

import contextlib
import dataclasses
import os
import re
import shutil
import uuid
import zlib
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from yoto_tf import endpoint
from yoto_tf.errors import InputError
from yoto_tf.errors import SaveError
from yoto_tf.rows import RowPolicy
from yoto_tf.session import Session

# Half the distance from 1 to the next number: what one rounding changes.
_ROUNDING = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
# A session fuses operations, and so leaves out some roundings. A VAE's
# reconstructions differ by up to 8.
_ROUNDINGS = 16

_TEXTS = ("name", "trained", "scale", "description")


def export(model, path, example):
    """Writes a version that was compared with the model; see
    `LossConditionalModel.export`."""
    path = Path(path)
    if path.exists():
        raise InputError(
            "expected the path of a new version, as models/NAME/2, received: "
            f"{path}, which is there"
        )
    with _few_bits(model):
        endpoints = generic_endpoints(model, example)
        endpoints[0] = _tolerant(endpoints[0], model)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A server takes every folder whose name is a number for a version.
    aside = path.with_name(f".unfinished-{uuid.uuid4().hex}")
    try:
        archive = keras.export.ExportArchive()
        for name, one in endpoint.by_signature(endpoints).items():
            archive.add_endpoint(name, one.served, list(one.inputs))
        archive.write_out(aside, verbose=False)
        with _few_bits(model), Session(aside) as session:
            differences = endpoint.compare(session, endpoints)
        os.rename(aside, path)
    except OSError as error:
        raise SaveError(
            f"could not write {path} ({error.strerror or error})"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return differences


def _tolerant(predict, model):
    """The endpoint with tolerances that suit what the model computes in: so
    many roundings of the largest value of an output."""
    if model.compute_dtype not in _ROUNDING:
        return predict
    answer = predict.reference(**predict.example(8, 0))
    share = _ROUNDINGS * _ROUNDING[model.compute_dtype]
    return dataclasses.replace(
        predict,
        tolerances={
            n: share * float(np.max(np.abs(np.asarray(t, "float64"))))
            for n, t in answer.items()
        },
    )


@contextlib.contextmanager
def _few_bits(model):
    """Says what to do where a model of half precision cannot be served."""
    try:
        yield
    except (tf.errors.OpError, endpoint.VerificationError) as error:
        dtype = model.compute_dtype
        if dtype not in _ROUNDING:
            raise
        mend = "one with dtype='float32' that loads the weights can be exported"
        if isinstance(error, endpoint.VerificationError):
            raise endpoint.VerificationError(
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


def generic_endpoints(model, example, invalid_rows="error"):
    """What any loss-conditional model can answer.

    Args:
        model: `LossConditionalModel`.
        example: a few inputs, `(n, ...)` or a structure of such, of rows that
            differ; None is refused with a sentence.
        invalid_rows: see `rows.RowPolicy`; only loss parameters are judged.

    Returns:
        list of `Endpoint`: `predict` and `loss_parameters`.

    Raises:
        InputError: for another example or other `invalid_rows`.
    """
    return [
        predict_endpoint(model, example, invalid_rows),
        loss_parameters_endpoint(model),
    ]


def predict_endpoint(model, example, invalid_rows="error"):
    """The network's outputs; inputs by their names, `inputs`, or of a list
    `inputs_0` and so on. With `invalid_rows="flag"` also `in_range`, whether a
    row was answered."""
    rows_policy = RowPolicy(model.loss_parameters, invalid_rows)
    arrays = _named(_required(example), "inputs")
    for name, value in arrays.items():
        if np.ndim(value) < 1 or not len(value):
            raise InputError(
                "expected an example with one row or more, received: "
                f"{name}.shape={np.shape(value)}"
            )
    arrays = {n: _as_fitted(a) for n, a in arrays.items()}
    _check_rows_differ(arrays)
    asked = model.loss_parameters.asked
    specs = [
        tf.TensorSpec((None, *a.shape[1:]), a.dtype, n)
        for n, a in arrays.items()
    ] + [tf.TensorSpec((None,), tf.float32, n) for n in asked]

    def answered(values, asked_for):
        inputs = values["inputs"] if "inputs" in values else None
        if isinstance(example, dict):
            inputs = {n: values[n] for n in example}
        elif isinstance(example, list | tuple):
            inputs = type(example)(values[n] for n in arrays)
        outputs = model.served_outputs(inputs, asked_for)
        return _named(outputs, "outputs")

    def reference(**values):
        asked_for = {n: values.pop(n) for n in asked}
        outputs = answered(values, asked_for)
        if rows_policy.flags:
            _check_free(outputs)
            num = len(next(iter(asked_for.values())))
            outputs["in_range"] = np.ones(num, bool)
        return outputs

    def function(*tensors):
        # The same in a graph, in the order of the inputs.
        names = [s.name for s in specs]
        values = dict(zip(names, tensors, strict=True))
        asked_for = {n: values.pop(n) for n in asked}
        if not rows_policy.flags:
            return answered(values, asked_for)
        complete, _, valid = rows_policy.admit(asked_for)
        outputs = answered(values, {n: complete[n] for n in asked})
        _check_free(outputs)
        outputs = {n: rows_policy.blank(t, valid) for n, t in outputs.items()}
        return {**outputs, "in_range": valid}

    points = model.loss_parameters.watched()

    def made(rows, seed):
        index = np.arange(rows) + (seed or 0)
        if seed is None:
            index[:] = 0
        inputs = {n: a[index % len(a)] for n, a in arrays.items()}
        for n in asked:
            values = [points[i % len(points)][n] for i in index]
            inputs[n] = np.array(values, "float32")
        return inputs

    return endpoint.Endpoint(
        name="predict",
        inputs=specs,
        function=function,
        reference=reference,
        example=made,
    )


def loss_parameters_endpoint(model):
    """What may be asked for; a client needs nothing else.

    For each of `rows` the same: for every loss parameter, in the order of
    `JointParameters.asked`, what `JointParameters.facts` says. `ranges`,
    `(rows, parameters, n, 2)`, are the trained values as closed intervals,
    of which a parameter with fewer than the others repeats its last.
    """
    joint = model.loss_parameters
    facts = [joint.facts(n) for n in joint.asked]
    texts = {n: [f[n] for f in facts] for n in _TEXTS}
    numbers = {n: [f[n] for f in facts] for n in ("low", "high", "default")}
    most = max(len(f["ranges"]) for f in facts)
    numbers["ranges"] = [
        [*f["ranges"], *[f["ranges"][-1]] * (most - len(f["ranges"]))]
        for f in facts
    ]

    def function(rows):
        found = {n: tf.constant(v, tf.string) for n, v in texts.items()}
        found |= {n: tf.constant(v, tf.float32) for n, v in numbers.items()}
        num = tf.shape(rows)[0]
        return {n: _repeated(tf.tile, t, num) for n, t in found.items()}

    def reference(rows):
        found = {n: _as_numbers(v) for n, v in texts.items()}
        found |= {n: np.array(v, "float32") for n, v in numbers.items()}
        return {n: _repeated(np.tile, v, len(rows)) for n, v in found.items()}

    return endpoint.Endpoint(
        name="loss_parameters",
        inputs=[tf.TensorSpec((None,), tf.int32, "rows")],
        function=function,
        reference=reference,
        example=lambda rows, seed: {"rows": np.zeros(rows, "int32")},
        as_numbers=dict.fromkeys(_TEXTS, _as_numbers),
    )


def _repeated(tile, values, num):
    return tile(values[None], [num, *[1] * len(values.shape)])


def _required(example):
    if example is None:
        raise InputError(
            "expected a few inputs to compare the exported model with, "
            "as model.export(path, example=x[:8]), or fit() before, whose "
            "first batch gives them, received: example=None"
        )
    return example


def _as_fitted(values):
    """An array of the dtype in which Keras' `fit` hands it to a model: a server
    that took float64 would refuse what the model was trained on."""
    values = np.asarray(values)
    is_float = np.issubdtype(values.dtype, np.floating)
    return values.astype(keras.config.floatx()) if is_float else values


def _check_rows_differ(arrays):
    """Of equal rows nothing can be told apart: a model that subtracts the
    batch's mean would answer them as it answers each alone. One input that
    differs is enough: columns that are nearly always 0 are no fault."""
    if all((rows == rows[:1]).all() for rows in arrays.values()):
        name, rows = next(iter(arrays.items()))
        raise InputError(
            "expected an example of rows that differ, as x[:8], so that it "
            "is noticed if one changes the answer to another, received: "
            f"equal rows, {name}.shape={rows.shape}"
        )


def _check_free(outputs):
    if "in_range" in outputs:
        raise InputError(
            "expected outputs that leave the name in_range free, which says "
            f"of flagged rows that they are, received: {sorted(outputs)}"
        )


def _as_numbers(texts):
    """Texts as numbers that differ where they do."""
    return np.vectorize(
        lambda t: zlib.crc32(t if isinstance(t, bytes) else t.encode()),
        otypes=["int64"],
    )(np.asarray(texts, object))


def _named(tensors, single):
    if isinstance(tensors, dict):
        return dict(tensors)
    if isinstance(tensors, list | tuple):
        return {f"{single}_{i}": t for i, t in enumerate(tensors)}
    return {single: tensors}
