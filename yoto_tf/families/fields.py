"""What a user fills in of a row of a table. Imports no TensorFlow."""

import dataclasses

from yoto_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Field:
    """A number, or one of several texts.

    A number has one column of the row. Texts have one each, 1 for the chosen
    one and else 0; two texts have one in all, 1 for the second.

    Attributes:
        title: for people.
        texts: to choose from; none: it is a number.
        low, high: of the number in the data that the model was trained on,
            as a hint; None: not known.

    Example:
        Field("student", texts=("No", "Yes"))
        Field("income", low=772.0, high=73554.0)
    """

    title: str
    texts: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "texts", tuple(self.texts))
        if len(self.texts) == 1:
            raise InputError(
                "expected two texts or more to choose from, or none, "
                f"received: texts={self.texts}"
            )

    @classmethod
    def of(cls, given):
        """A `Field`, from one, its dict, or a title alone."""
        if isinstance(given, cls):
            return given
        return cls(**given) if isinstance(given, dict) else cls(given)

    @property
    def num_columns(self):
        return len(self.texts) if len(self.texts) > 2 else 1

    @property
    def names(self):
        """Of its columns."""
        if not self.texts:
            return [self.title]
        shown = self.texts[1:] if len(self.texts) == 2 else self.texts
        return [f"{self.title}={text}" for text in shown]

    def value(self, columns):
        """What its columns hold: the number, or the place of the text."""
        if not self.texts:
            return float(columns[0])
        if len(self.texts) == 2:
            return int(columns[0] >= 0.5)
        return max(range(len(columns)), key=lambda i: columns[i])

    def columns(self, value):
        """Back from `value` to a list of `num_columns` numbers.

        Raises:
            ValueError: for the place of a text that there is not.
        """
        if not self.texts:
            return [float(value)]
        if value not in range(len(self.texts)):
            raise ValueError(f"no text {value} of {self.texts}")
        if len(self.texts) == 2:
            return [float(value)]
        return [float(value == i) for i in range(len(self.texts))]

    @property
    def first(self):
        """A value to begin with: the middle of what is known, or 0."""
        if self.texts or self.low is None or self.high is None:
            return 0
        return float(f"{(self.low + self.high) / 2:.3g}")
