"""Whether a view fits what a server serves, and one for what has none.

Imports no TensorFlow.
"""

from yoto_tf.families.view import NUMBER
from yoto_tf.families.view import NUMBERS
from yoto_tf.families.view import PARAMETERS
from yoto_tf.families.view import PICTURE
from yoto_tf.families.view import ROW
from yoto_tf.families.view import Input
from yoto_tf.families.view import Output
from yoto_tf.families.view import View

_NUMERIC = ("float", "int", "uint", "bool")


def problem(view, served, parameters):
    """See `View.problem`."""
    try:
        _check(view, served, parameters)
    except _Unfit as unfit:
        return str(unfit)
    return None


def derived(served, parameters):
    """A view of what nobody has made one for, by names and shapes.

    Args:
        served: see above.
        parameters: names of the loss parameters.

    Returns:
        `View`; whether it can be shown, `View.problem` says.
    """
    others = [s for s in served if s != PARAMETERS]
    preferred = ("predict", "serving_default", *others, PARAMETERS)
    name = next(s for s in preferred if s in served)
    signature = served[name]
    inputs = tuple(
        Input(n, PICTURE if _is_picture(spec) else ROW)
        for n, spec in signature.inputs.items()
        if n not in parameters
    )
    kinds = {
        # Flags, as in_range, say nothing of their own.
        n: _kind(spec)
        for n, spec in signature.outputs.items()
        if spec.dtype != "bool"
    }
    outputs = tuple(Output(n, kind) for n, kind in kinds.items() if kind)
    return View(name, inputs, outputs)


class _Unfit(Exception):
    pass


def _check(view, served, parameters):
    pictures = [i for i in view.inputs if i.kind == PICTURE]
    if not view.inputs or len(pictures) not in (0, len(view.inputs), 1):
        raise _Unfit("expected one picture, or rows, as inputs of a view")
    if pictures and len(view.inputs) > 1:
        raise _Unfit(
            "expected one picture, or rows alone, as inputs of a view, "
            f"received: {[i.name for i in view.inputs]}"
        )
    _check_signature(served, view.signature, view.inputs, parameters)
    found = served[view.signature].outputs
    for output in view.outputs:
        _require(view.signature, "output", output, found)
    numbers = {o.name for o in view.outputs if o.kind == NUMBER}
    summed = [o for o, _ in view.total.terms] if view.total else []
    for name in (*(view.trade_off or ()), *summed):
        if name not in numbers:
            raise _Unfit(
                f"expected {name} among the numbers of a view, which are "
                f"{sorted(numbers)}"
            )
    if view.percent and view.percent.parameter not in parameters:
        raise _Unfit(
            f"expected a loss parameter {view.percent.parameter}, received: "
            f"{sorted(parameters)}"
        )
    if view.files:
        shown = {(o.name, o.kind) for o in view.outputs}
        wanted = {(view.files.picture, PICTURE), (view.files.bits, NUMBER)}
        if not wanted <= shown:
            raise _Unfit(
                "expected picture and bits of files among the outputs of a "
                f"view, received: {view.files}"
            )
    if view.curve:
        _check_signature(served, view.curve, view.inputs, parameters)
        missing = {o.name for o in view.on_curve}
        missing -= set(served[view.curve].outputs)
        if missing:
            raise _Unfit(
                f"expected {view.curve} to answer {sorted(missing)}, too"
            )
    if view.prior:
        noise = Input(view.prior.noise, ROW)
        _check_signature(served, view.prior.signature, [noise], parameters)
        outputs = served[view.prior.signature].outputs
        picture = Output(view.prior.output, PICTURE)
        _require(view.prior.signature, "output", picture, outputs)
    if view.traversal:
        _check_traversal(view, served, parameters)


def _check_traversal(view, served, parameters):
    moved = view.traversal
    _check_signature(served, moved.encode, view.inputs, parameters)
    for name in (moved.mean, moved.stddev):
        code = Output(name, NUMBERS)
        _require(moved.encode, "output", code, served[moved.encode].outputs)
    latent = Input(moved.latent, ROW)
    _check_signature(served, moved.decode, [latent], parameters)
    picture = Output(moved.output, PICTURE)
    _require(moved.decode, "output", picture, served[moved.decode].outputs)


def _check_signature(served, name, inputs, parameters):
    if name not in served:
        raise _Unfit(f"expected a signature {name}, received: {sorted(served)}")
    found = served[name].inputs
    for one in inputs:
        _require(name, "input", one, found)
    rest = set(found) - {i.name for i in inputs} - parameters
    if rest:
        raise _Unfit(
            f"expected {name} to take {[i.name for i in inputs]} and loss "
            f"parameters, received: further inputs {sorted(rest)}"
        )


def _require(signature, role, wanted, found):
    """Whether an input or output is there and of its kind."""
    if wanted.name not in found:
        raise _Unfit(
            f"expected an {role} {wanted.name} of {signature}, received: "
            f"{sorted(found)}"
        )
    spec = found[wanted.name]
    shape = spec.shape or ()
    if wanted.kind == PICTURE:
        # An answer's sides may follow from those of its question.
        fits = _is_picture(spec, role == "output" or wanted.multiple)
    elif wanted.kind == ROW:
        fits = _is_numeric(spec) and (
            len(shape) == 1 or (len(shape) == 2 and shape[1] is not None)
        )
    else:
        rank = {NUMBER: 1, NUMBERS: 2}.get(wanted.kind)
        fits = _is_numeric(spec) and len(shape) == rank
    named = len(getattr(wanted, "labels", ())) or sum(
        field.num_columns for field in getattr(wanted, "fields", ())
    )
    width = shape[1] if len(shape) == 2 else 1
    if not fits or named not in (0, width):
        many = f" of {named}" if named else ""
        sizes = ", ".join("any" if n is None else str(n) for n in shape)
        raise _Unfit(
            f"expected the {role} {wanted.name} of {signature} as a "
            f"{wanted.kind}{many}, received: {spec.dtype} ({sizes})"
        )


def _kind(spec):
    if _is_picture(spec):
        return PICTURE
    if not _is_numeric(spec):
        return None
    return {1: NUMBER, 2: NUMBERS}.get(len(spec.shape or ()))


def _is_numeric(spec):
    return spec.dtype.startswith(_NUMERIC)


def _is_picture(spec, any_size=False):
    shape = spec.shape or ()
    return (
        len(shape) == 4
        and (any_size or None not in shape[1:3])
        and shape[3] in (1, 3)
        and spec.dtype in ("float32", "uint8")
    )
