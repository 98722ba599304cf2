"""What any loss-conditional model can answer."""

import numpy as np
import tensorflow as tf

from yoto_tf import endpoint
from yoto_tf.command_line import held_back_stderr
from yoto_tf.errors import InputError
from yoto_tf.method import precision
from yoto_tf.method.constant_endpoints import loss_parameters_endpoint
from yoto_tf.method.served_rows import arrays_of
from yoto_tf.method.served_rows import judge
from yoto_tf.method.served_rows import named
from yoto_tf.method.served_rows import required_rows
from yoto_tf.method.served_rows import telling_rows
from yoto_tf.rows import RowPolicy

# Of texts and pictures of any length and size: as many as 1024 pictures of 64
# pixels a side have.
_MAX_ENTRIES = 2**22


def generic_endpoints(model, example, invalid_rows="error"):
    """What any loss-conditional model can answer.

    Args:
        model: `LossConditionalModel`.
        example: a few inputs, `(n, ...)` or a structure of such, of rows that
            differ; None is refused with a sentence.
        invalid_rows: see `rows.RowPolicy`; NaN in inputs is judged, too,
            except of inputs whose example has some.

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
    _check_own_predict(model)
    arrays = arrays_of(example)
    asked = model.loss_parameters.asked
    shapes = model.served_shapes(arrays)
    specs = [
        tf.TensorSpec(shapes[n], a.dtype, n) for n, a in arrays.items()
    ] + [tf.TensorSpec((None,), tf.float32, n) for n in asked]

    def given(values):
        if isinstance(example, dict):
            return {n: values[n] for n in example}
        if isinstance(example, list | tuple):
            return type(example)(values[n] for n in arrays)
        return values["inputs"]

    usable_rows = judge(model, arrays, given)
    arrays = telling_rows(arrays, usable_rows(arrays))
    _check_taken(model, arrays, given)
    _check_handed_on(model, given({n: a[:1] for n, a in arrays.items()}))

    def answered(values, asked_for):
        outputs = model.served_outputs(given(values), asked_for)
        outputs = named(outputs, "outputs")
        for name, value in outputs.items():
            if not hasattr(value, "shape"):
                raise InputError(
                    "expected outputs of the model as a tensor, a list or a "
                    f"dict of tensors, received: {name} of type "
                    f"{type(value).__name__}"
                )
        return outputs

    def reference(**values):
        asked_for = {n: values.pop(n) for n in asked}
        outputs = answered(values, asked_for)
        if rows_policy.flags:
            num = len(next(iter(asked_for.values())))
            outputs["in_range"] = np.ones(num, bool)
        return outputs

    def function(*tensors):
        # The same in a graph, in the order of the inputs.
        names = [s.name for s in specs]
        values = dict(zip(names, tensors, strict=True))
        asked_for = {n: values.pop(n) for n in asked}
        usable = usable_rows(values)
        if not rows_policy.flags:
            with tf.control_dependencies(required_rows(usable)):
                asked_for = {n: tf.identity(v) for n, v in asked_for.items()}
            return answered(values, asked_for)
        complete, _, valid = rows_policy.admit(asked_for)
        if usable is not None:
            valid &= usable
        outputs = answered(values, {n: complete[n] for n in asked})
        _check_flagged(outputs)
        outputs = {n: rows_policy.blank(t, valid) for n, t in outputs.items()}
        return {**outputs, "in_range": valid}

    points = _points(model.loss_parameters)

    def made(rows, seed):
        index = np.arange(rows) + (seed or 0)
        if seed is None:
            index[:] = 0
        inputs = {n: a[index % len(a)] for n, a in arrays.items()}
        # Several rows begin with those that tell parameters apart.
        plain = rows == 1 or seed is None
        asked_at = index if plain else np.arange(rows)
        for n in asked:
            values = [points[i % len(points)][n] for i in asked_at]
            inputs[n] = np.array(values, "float32")
        return inputs

    return endpoint.Endpoint(
        name="predict",
        inputs=specs,
        function=function,
        reference=reference,
        example=made,
        max_entries=_MAX_ENTRIES,
    )


def _points(joint):
    """The watched ones. Of several parameters before them all at an end, so
    that a few rows vary each and tell each pair apart: at the lowest, at the
    highest, and by the binary digits of their numbers."""
    middle, *others = joint.watched()
    facts = [joint.facts(n) for n in middle]
    num = len(facts)
    codes = [0] + [1 << bit for bit in range(num.bit_length())] + [~0]
    ends = [
        {
            n: f["high" if code & (i + 1) else "low"]
            for i, (n, f) in enumerate(zip(middle, facts, strict=True))
        }
        for code in codes
    ]
    try:
        joint.check({n: np.array([e[n] for e in ends]) for n in middle})
    except InputError:
        # Shares, that sum to 1.
        ends = []
    return [middle, *ends, *others]


def _check_own_predict(model):
    """What `predict` gives to users is served, or nothing is."""
    for kind in type(model).__mro__:
        if "served_outputs" in vars(kind):
            return
        own = [n for n in ("predict", "predict_step") if n in vars(kind)]
        if own:
            raise InputError(
                "expected served_outputs() to give what is served of a model "
                f"with a {own[0]}() of its own, received: {kind.__name__} "
                "without"
            )


def _check_taken(model, arrays, given):
    """Inputs that the model cannot take, as `(x, y)` in place of `x`."""
    joint = model.loss_parameters
    num = min(len(a) for a in arrays.values())
    x = given({n: a[:num] for n, a in arrays.items()})
    asked = {n: np.full(num, joint.defaults[n], "float32") for n in joint.asked}
    try:
        model.served_outputs(x, asked)
    except InputError:
        raise
    except (ValueError, TypeError, tf.errors.OpError) as error:
        if precision.half_of(model) or "float16" in str(error):
            # Of few bits the caller knows more.
            raise
        shapes = ", ".join(f"{n}.shape={a.shape}" for n, a in arrays.items())
        # Keras begins with whose call it was.
        said = [line for line in str(error).splitlines() if line.strip()]
        reason = next((s for s in said if not s.startswith("Exception ")), "")
        raise InputError(
            "expected an example of inputs as fit() takes them for x, "
            f"received: {shapes}, which the model does not take ({reason})"
        ) from error


def _check_handed_on(model, x):
    """What is compared is `served_outputs`: one that forgets a parameter
    would be found to be right."""
    joint = model.loss_parameters
    asked = {n: np.float32([joint.defaults[n]]) for n in joint.asked}
    for name in asked:
        found = _answer_to_nan(model, x, asked, name)
        if found is None:
            continue
        expected = named(model.served_outputs(x, asked), "outputs")
        if all(np.array_equal(found[n], expected[n]) for n in expected):
            raise InputError(
                "expected served_outputs() to hand on all loss parameters, as "
                f"self(x, loss_parameters), received: {type(model).__name__}, "
                f"whose outputs take no notice of {name}"
            )


def _answer_to_nan(model, x, asked, name):
    with held_back_stderr():
        try:
            found = model.served_outputs(
                x, {**asked, name: np.float32([np.nan])}
            )
        except Exception:
            # Whatever it says of it, it has taken notice.
            return None
    return named(found, "outputs")


def _check_flagged(outputs):
    for name, value in outputs.items():
        rank = value.shape.rank
        if rank == 0 or (rank and value.shape[0] is not None):
            raise InputError(
                "expected outputs with a row for each of the inputs, of which "
                "some may be flagged, received: "
                f"{name}.shape={tuple(value.shape)}"
            )
    if "in_range" in outputs:
        raise InputError(
            "expected outputs that leave the name in_range free, which says "
            f"of flagged rows that they are, received: {sorted(outputs)}"
        )
