"""Whether what an endpoint is compared with can tell a wrong answer."""

import numpy as np

from yoto_tf.errors import InputError


class ExamplesCheck:
    """Looks at the examples of one endpoint, request after request.

    Args:
        endpoint: `Endpoint`.
        varying: names of the loss parameters that vary.
    """

    def __init__(self, endpoint, varying):
        self._endpoint = endpoint
        names = {spec.name for spec in endpoint.inputs}
        self._asked = [n for n in varying if n in names]
        # Names of which rows of one request differ, or, where there is but
        # one row, requests; pairs of which a row does; (name, None) where
        # values of a row do.
        self._told_apart = set()
        self._first = {}

    def look(self, inputs):
        """Takes notice of a request, a dict of arrays.

        Raises:
            InputError: if all its rows are equal.
        """
        for i, name in enumerate(self._asked):
            values = inputs[name]
            first = self._first.setdefault(name, values)[:1]
            before = first if self._endpoint.max_rows == 1 else values[:1]
            if before.shape[1:] != values.shape[1:] or (values != before).any():
                self._told_apart.add(name)
            is_one = values.ndim == 1 or values.shape[1] == 1
            if is_one or (values != values[:, :1]).any():
                self._told_apart.add((name, None))
            for other in self._asked[:i]:
                if not np.array_equal(values, inputs[other]):
                    self._told_apart.add((name, other))
        # A row of its loss parameters alone has nothing else to differ in.
        others = [v for n, v in inputs.items() if n not in self._asked]
        others = others or list(inputs.values())
        rows = len(others[0])
        if rows > 1 and all((v == v[:1]).all() for v in others):
            raise InputError(
                f"expected the example of {self._endpoint.name} to be of rows "
                "that differ, so that it is noticed if one changes the answer "
                f"to another, received: {rows} equal rows"
            )

    def end(self):
        """Refuses examples that do not tell loss parameters apart: a
        signature that takes no notice of one, takes one for another, or that
        of the first row or column for all, would be found to be right.

        Raises:
            InputError: saying which.
        """
        said = f"expected {self._endpoint.name} to have an example "
        at_once = self._endpoint.max_rows > 1
        for i, name in enumerate(self._asked):
            if name not in self._told_apart:
                raise InputError(
                    f"{said}that asks for several values of {name}"
                    f"{' at once' * at_once}, received: the same in every "
                    + ("row" if at_once else "request")
                )
            if (name, None) not in self._told_apart:
                raise InputError(
                    f"{said}that asks for several values of {name} in one "
                    "row, received: the same in every column"
                )
            for other in self._asked[:i]:
                if (name, other) not in self._told_apart:
                    raise InputError(
                        f"{said}whose rows ask for another value of {name} "
                        f"than of {other}, received: the same of both"
                    )
