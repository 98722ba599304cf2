"""How a page shows a served model: said, not programmed.

A view names what is served; a page reads it and knows nothing of families.
It says nothing of loss parameters, of which a server tells itself. Imports no
TensorFlow.

What is served is given as a dict, name of a signature -> an object with
`inputs` and `outputs`, dicts from names to objects with `dtype` (`"float32"`)
and `shape` (None where any size will do), as `serving.client.Metadata` has
them.
"""

import dataclasses

from yoto_tf.families.fields import Field

PICTURE, ROW = "picture", "row"
NUMBER, NUMBERS = "number", "numbers"
PARAMETERS = "loss_parameters"
_NUMERIC = ("float", "int", "uint", "bool")


@dataclasses.dataclass(frozen=True)
class Input:
    """What a user chooses.

    Attributes:
        name: of the input.
        kind: `"picture"`, `(batch, height, width, 1 or 3)` of uint8 or in
            [0, 1]; or `"row"` of a table, `(batch, columns)` or `(batch,)`.
        fields: of a row, in the order of its columns: `Field`s, or names of
            numbers; none: they are numbered.
    """

    name: str
    kind: str = PICTURE
    fields: tuple[Field, ...] = ()

    def __post_init__(self):
        fields = tuple(map(Field.of, self.fields))
        object.__setattr__(self, "fields", fields)


@dataclasses.dataclass(frozen=True)
class Output:
    """What is shown of an answer.

    Attributes:
        name: of the output.
        kind: `"number"`, `(batch,)`; `"numbers"`, `(batch, n)`; or
            `"picture"`, `(batch, height, width, 1 or 3)` in [0, 1].
        title: for people; empty: the name.
        form: format of the numbers.
        unit: of the numbers, where they have one.
        labels: of each of several numbers; none: they are numbered.
    """

    name: str
    kind: str = NUMBER
    title: str = ""
    form: str = ".4g"
    unit: str = ""
    labels: tuple[str, ...] = ()

    @property
    def said(self):
        return self.title or self.name.replace("_", " ")


@dataclasses.dataclass(frozen=True)
class Total:
    """A sum of outputs, each times its loss parameter.

    It is shown where the loss parameters of the model are those that it
    names, and no others: a loss with further terms is another one.

    Attributes:
        title, form, unit: as of an `Output`.
        terms: pairs (output, loss parameter); an empty one stands for 1.
    """

    title: str
    terms: tuple[tuple[str, str], ...]
    form: str = ".4g"
    unit: str = ""

    @property
    def parameters(self):
        return {parameter for _, parameter in self.terms if parameter}


@dataclasses.dataclass(frozen=True)
class Prior:
    """A signature that makes pictures of noise, standard normal.

    Attributes:
        signature: its name.
        noise: its input, `(batch, n)`.
        output: its picture.
    """

    signature: str
    noise: str
    output: str


@dataclasses.dataclass(frozen=True)
class View:
    """What a page shows of one example.

    Attributes:
        signature: answers an example.
        inputs: one picture, or one row or more.
        outputs: what is shown, in this order.
        trade_off: names of two numbers, the axes of a curve over the first
            loss parameter; None: the numbers are drawn over the parameter.
        total: a sum to be shown, too.
        curve: a signature that answers an example at many values at once:
            its loss parameters are `(batch, k)`, its outputs have k in the
            second place; None: the example is sent many times.
        prior: see `Prior`.
        noun: what an example is called.
    """

    signature: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    trade_off: tuple[str, str] | None = None
    total: Total | None = None
    curve: str | None = None
    prior: Prior | None = None
    noun: str = "example"

    def to_dict(self):
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        """From what `to_dict` gave, also through JSON.

        Raises:
            TypeError, KeyError, ValueError: for anything else.
        """
        values = dict(values)
        for name, kind in (("inputs", Input), ("outputs", Output)):
            values[name] = tuple(
                kind(**{k: _as_tuple(v) for k, v in one.items()})
                for one in values[name]
            )
        if values.get("total"):
            terms = tuple(map(tuple, values["total"]["terms"]))
            values["total"] = Total(**{**values["total"], "terms": terms})
        if values.get("prior"):
            values["prior"] = Prior(**values["prior"])
        values["trade_off"] = _as_tuple(values.get("trade_off"))
        return cls(**values)

    def problem(self, served, parameters):
        """Why it cannot show what is served, in a sentence; None: it can.

        Args:
            served: see above.
            parameters: names of the loss parameters.
        """
        try:
            self._check(served, set(parameters))
        except _Unfit as unfit:
            return str(unfit)
        return None

    def _check(self, served, parameters):
        pictures = [i for i in self.inputs if i.kind == PICTURE]
        if not self.inputs or len(pictures) not in (0, len(self.inputs), 1):
            raise _Unfit("expected one picture, or rows, as inputs of a view")
        if pictures and len(self.inputs) > 1:
            raise _Unfit(
                "expected one picture, or rows alone, as inputs of a view, "
                f"received: {[i.name for i in self.inputs]}"
            )
        _check_signature(served, self.signature, self.inputs, parameters)
        found = served[self.signature].outputs
        for output in self.outputs:
            _require(self.signature, "output", output, found)
        numbers = {o.name for o in self.outputs if o.kind == NUMBER}
        summed = [o for o, _ in self.total.terms] if self.total else []
        for name in (*(self.trade_off or ()), *summed):
            if name not in numbers:
                raise _Unfit(
                    f"expected {name} among the numbers of a view, which are "
                    f"{sorted(numbers)}"
                )
        if self.curve:
            _check_signature(served, self.curve, self.inputs, parameters)
            missing = {o.name for o in self._on_curve}
            missing -= set(served[self.curve].outputs)
            if missing:
                raise _Unfit(
                    f"expected {self.curve} to answer {sorted(missing)}, too"
                )
        if self.prior:
            noise = Input(self.prior.noise, ROW)
            _check_signature(served, self.prior.signature, [noise], parameters)
            outputs = served[self.prior.signature].outputs
            picture = Output(self.prior.output, PICTURE)
            _require(self.prior.signature, "output", picture, outputs)

    @property
    def _on_curve(self):
        """The outputs of which a curve and its strip are made."""
        numbers = self.trade_off or [
            o.name for o in self.outputs if o.kind in (NUMBER, NUMBERS)
        ]
        return [
            o for o in self.outputs if o.kind == PICTURE or o.name in numbers
        ]


class _Unfit(Exception):
    pass


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


def _kind(spec):
    if _is_picture(spec):
        return PICTURE
    if not _is_numeric(spec):
        return None
    return {1: NUMBER, 2: NUMBERS}.get(len(spec.shape or ()))


def _is_numeric(spec):
    return spec.dtype.startswith(_NUMERIC)


def _is_picture(spec):
    shape = spec.shape or ()
    return (
        len(shape) == 4
        and None not in shape[1:]
        and shape[3] in (1, 3)
        and spec.dtype in ("float32", "uint8")
    )


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
        fits = _is_picture(spec)
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


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value
