"""The model behind the page, as the client sees it."""

import dataclasses

import numpy as np

from serving.client import InvalidRequest
from serving.client.metadata import LossParameter
from serving.page import knobs
from serving.page import percent
from yoto_tf.families import named_families
from yoto_tf.families import view as views
from yoto_tf.families import view_fit
from yoto_tf.families.view import View

TRAVERSED = 6
"""Latents that are shown at most."""
TRAVERSAL = np.linspace(-2.4, 2.4, 7).astype("float32")
"""Where they are put, in deviations of the prior."""

# Of a request: what serving/tf_serving/batching.config takes as one batch.
_MOST_ROWS = 32


class CannotShow(InvalidRequest):
    """The server does not serve what the page needs."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the server says of the model.

    Attributes:
        name: of the model.
        version: number of the served version.
        view: how it is shown.
        knobs: its loss parameters, those that the view's signature takes.
        shapes: pairs (name of an input, its shape without the batch); None
            for sides of any size.
        noise_size: numbers per sample of the prior, None without one.
    """

    name: str
    version: int
    view: View
    knobs: tuple[LossParameter, ...]
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    noise_size: int | None

    @property
    def is_pictures(self):
        return self.view.inputs[0].kind == views.PICTURE

    @property
    def files(self):
        """Whether files of other kinds are set beside an answer."""
        return self.view.files

    @property
    def total(self):
        """The view's `Total`, if it is this model's."""
        names = {k.name for k in self.knobs}
        total = self.view.total
        return total if total and total.parameters == names else None


@dataclasses.dataclass(frozen=True)
class Points:
    """One example over the range of the first knob.

    Attributes:
        values: `(k,)`, ascending.
        outputs: dict, name -> `(k, ...)`.
    """

    values: np.ndarray
    outputs: dict[str, np.ndarray]

    def agree(self, outputs, value):
        """Whether outputs at a value may be of the model that gave these: at
        one of these values they have to be the same."""
        if set(outputs) != set(self.outputs):
            return False
        (places,) = np.nonzero(np.isclose(self.values, value, rtol=1e-6))
        return all(
            np.allclose(known[i], outputs[name], rtol=0.01, atol=1e-3)
            for i in places
            for name, known in self.outputs.items()
            if known.ndim == 1 and known.dtype.kind in "fiu"
        )


@dataclasses.dataclass(frozen=True)
class Traversals:
    """An example's latents, each moved by itself; those that tell most first.

    Attributes:
        latents: list of pairs (number of the latent, its rate in nats).
        values: `(k,)`, where each is put.
        images: `(len(latents), k, height, width, channels)`.
    """

    latents: list[tuple[int, float]]
    values: np.ndarray
    images: np.ndarray


class Model:
    """Asks a server for one example at a time, for many threads.

    Every method raises `serving.client.ServingError` where the server gives
    no answer, or serves what cannot be shown.

    Args:
        client: `serving.client.Client`.
        name: of the model.
        address: of the server, for people to read.
        view: `View` that it is shown by; None: by the first that fits.
        likely: views that are tried before those of the known families.
    """

    def __init__(self, client, name, address, view=None, likely=()):
        self._client = client
        self._view = view
        self._likely = tuple(v for v in likely if v)
        self.name = name
        self.address = address

    def facts(self, fresh=False):
        """Returns `Facts`, asked for now or at most a second old."""
        metadata = self._client.metadata(fresh)
        parameters = metadata.loss_parameters
        if not parameters:
            raise CannotShow(
                f"expected a model that tells of its loss parameters, by a "
                f"signature {views.PARAMETERS}, received: one with "
                f"{sorted(metadata.signatures)}"
            )
        view = self._fitting(metadata.signatures, parameters)
        inputs = metadata.signatures[view.signature].inputs
        noise_size = None
        if view.prior:
            taken = metadata.signatures[view.prior.signature].inputs
            noise_size = taken[view.prior.noise].shape[1]
        return Facts(
            self.name,
            metadata.version,
            view,
            tuple(
                percent.shown(view, p)
                for n, p in parameters.items()
                if n in inputs
            ),
            tuple((i.name, inputs[i.name].shape[1:]) for i in view.inputs),
            noise_size,
        )

    def _fitting(self, served, parameters):
        if self._view is not None:
            candidates = [self._view]
        else:
            known = [f.view for f in named_families() if f.view]
            derived = view_fit.derived(served, parameters)
            candidates = [*self._likely, *known, derived]
        for view in candidates:
            problem = view.problem(served, parameters)
            if not problem and any(
                n in served[view.signature].inputs for n in parameters
            ):
                return view
        problem = problem or "it takes no loss parameter"
        raise CannotShow(f"no view of the model fits: {problem}")

    def answer(self, example, point):
        """Returns dict, name of an output -> its row for one example.

        Args:
            example: dict, name of an input -> array, without a batch.
            point: dict, name of a knob -> number.
        """
        view = self.facts().view
        batch = {n: np.asarray(v)[None] for n, v in example.items()}
        found = self._predict(view.signature, batch, point)
        return {o.name: found[o.name][0] for o in view.outputs}

    def curve(self, example, point):
        """Returns `Points` of one example, in one request, or in as few as
        the view allows."""
        facts = self.facts()
        view, first = facts.view, facts.knobs[0]
        values = knobs.grid(first, view.curve_points)
        along = knobs.moved(facts.knobs, point, first.name, values)
        along = {n: np.broadcast_to(v, len(values)) for n, v in along.items()}
        batch = {n: np.asarray(v)[None] for n, v in example.items()}
        if view.curve:
            found = self._predict(view.curve, batch, along)
            outputs = {n: array[0] for n, array in found.items()}
        else:
            found = []
            for part in _parts(view, batch, len(values)):
                some = {n: v[part] for n, v in along.items()}
                many = {
                    n: v.repeat(len(values[part]), 0) for n, v in batch.items()
                }
                found.append(self._predict(view.signature, many, some))
            outputs = {
                n: np.concatenate([f[n] for f in found]) for n in found[0]
            }
        return Points(values, outputs)

    def sample(self, noise, point):
        """Returns one picture per row of `noise`, `(n, noise_size)`."""
        prior = self.facts().view.prior
        found = self._predict(prior.signature, {prior.noise: noise}, point)
        return found[prior.output]

    def traverse(self, example, point):
        """Returns `Traversals` of an example, in two requests; None for a
        model whose view has none, or whose code tells nothing there."""
        moved = self.facts().view.traversal
        if moved is None:
            return None
        batch = {n: np.asarray(v)[None] for n, v in example.items()}
        code = self._predict(moved.encode, batch, point)
        mean, stddev = code[moved.mean][0], code[moved.stddev][0]
        # Of a diagonal Gaussian against N(0, 1).
        rates = (mean**2 + stddev**2 - 1) / 2 - np.log(stddev)
        order = np.argsort(-rates, kind="stable")[:TRAVERSED]
        chosen = [(int(j), float(rates[j])) for j in order if rates[j] > 0.01]
        if not chosen:
            return None
        latents = np.tile(mean, (len(chosen), len(TRAVERSAL), 1))
        for row, (j, _) in enumerate(chosen):
            latents[row, :, j] = TRAVERSAL
        flat = latents.reshape(-1, len(mean))
        parts = np.split(flat, range(_MOST_ROWS, len(flat), _MOST_ROWS))
        made = [
            self._predict(moved.decode, {moved.latent: part}, point)
            for part in parts
        ]
        images = np.concatenate([some[moved.output] for some in made])
        shape = *latents.shape[:2], *images.shape[1:]
        return Traversals(chosen, TRAVERSAL, images.reshape(shape))

    def _predict(self, signature, inputs, point):
        metadata = self._client.metadata(False)
        taken = metadata.signature(signature).inputs
        view = self._fitting(metadata.signatures, metadata.loss_parameters)
        point = percent.asked(view, metadata.loss_parameters, point)
        return self._client.predict(
            signature,
            {n: _as_sent(v, taken[n]) for n, v in inputs.items()},
            {n: v for n, v in point.items() if n in taken},
        )


def _parts(view, batch, num):
    """Slices of `num` rows, as few as a request can hold."""
    at_once = min(num, _MOST_ROWS)
    for given in view.inputs:
        if given.most_pixels:
            pixels = np.prod(batch[given.name].shape[1:3], dtype=int)
            at_once = max(min(at_once, given.most_pixels // pixels), 1)
    return [slice(i, i + at_once) for i in range(0, num, at_once)]


def _as_sent(values, spec):
    """Pictures are bytes on the page, and what the model takes at the
    server's door."""
    if values.dtype == np.uint8 and spec.dtype == "float32":
        return values * np.float32(1 / 255)
    sent = values.astype(spec.numpy_dtype)
    if sent.dtype.kind in "iu" and not (sent == values).all():
        raise InvalidRequest(
            f"expected whole numbers for {spec}, received: "
            f"{values[sent != values].ravel()[0]:g}"
        )
    return sent
