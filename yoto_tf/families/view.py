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


@dataclasses.dataclass(frozen=True)
class Input:
    """What a user chooses.

    Attributes:
        name: of the input.
        kind: `"picture"`, `(batch, height, width, 1 or 3)` of uint8 or in
            [0, 1]; or `"row"` of a table, `(batch, columns)` or `(batch,)`.
        fields: of a row, in the order of its columns: `Field`s, or names of
            numbers; none: they are numbered.
        multiple: of a picture of any size, of what its sides are multiples;
            0: the model has one size.
        most_pixels: of pictures of any size, that a request holds in all.
    """

    name: str
    kind: str = PICTURE
    fields: tuple[Field, ...] = ()
    multiple: int = 0
    most_pixels: int = 0

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
class Traversal:
    """Two signatures, from an example to its code and from codes to pictures:
    each latent is moved by itself, at the values that the prior has.

    Attributes:
        encode: signature; takes the view's inputs.
        mean, stddev: its outputs, `(batch, n)`, of a Gaussian posterior.
        decode: signature.
        latent: its input, `(batch, n)`.
        output: its picture.
    """

    encode: str
    mean: str
    stddev: str
    decode: str
    latent: str
    output: str


@dataclasses.dataclass(frozen=True)
class Percent:
    """A log-uniform loss parameter that people know from 0 to 100, evenly in
    its logarithm.

    Attributes:
        parameter: its name.
        title: what it is called then.
        description: a sentence.
    """

    parameter: str
    title: str
    description: str = ""


@dataclasses.dataclass(frozen=True)
class Files:
    """Answers that are set beside JPEG and WebP files of the same size.

    Attributes:
        picture: output, the picture.
        bits: output, its bits per pixel.
        header: bytes that a file has beside those.
    """

    picture: str
    bits: str
    header: int = 0


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
        traversal: see `Traversal`.
        noun: what an example is called.
        percent: see `Percent`.
        files: see `Files`.
        curve_points: at how many values of the first loss parameter.
    """

    signature: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    trade_off: tuple[str, str] | None = None
    total: Total | None = None
    curve: str | None = None
    prior: Prior | None = None
    traversal: Traversal | None = None
    noun: str = "example"
    percent: Percent | None = None
    files: Files | None = None
    curve_points: int = 33

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
        for name, kind in _PARTS.items():
            if values.get(name):
                values[name] = kind(**values[name])
        values["trade_off"] = _as_tuple(values.get("trade_off"))
        return cls(**values)

    def problem(self, served, parameters):
        """Why it cannot show what is served, in a sentence; None: it can.

        Args:
            served: see above.
            parameters: names of the loss parameters.
        """
        from yoto_tf.families import view_fit

        return view_fit.problem(self, served, set(parameters))

    @property
    def on_curve(self):
        """The outputs of which a curve and its strip are made."""
        numbers = self.trade_off or [
            o.name for o in self.outputs if o.kind in (NUMBER, NUMBERS)
        ]
        return [
            o for o in self.outputs if o.kind == PICTURE or o.name in numbers
        ]


_PARTS = {
    "prior": Prior,
    "traversal": Traversal,
    "percent": Percent,
    "files": Files,
}


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value
