"""Where in a Keras model the conditioning sits."""

import re

import keras

from yoto_tf.errors import InputError
from yoto_tf.method import graph

_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
)
# Keras' names of what makes probabilities: of functions, layers, operations.
_SQUASHING = {
    "hard_sigmoid",
    "log_sigmoid",
    "log_softmax",
    "sigmoid",
    "softmax",
    "sparse_sigmoid",
    "sparsemax",
}
# Of what keeps a sign or a range that an output may rely on.
_BOUNDED = {
    "exp",
    "exponential",
    "hard_tanh",
    "relu",
    "relu6",
    "softplus",
    "softsign",
    "squareplus",
    "tanh",
}


def _kinds(names):
    return {n.title().replace("_", "").lower() for n in names}


_SUBCLASS = (
    "a subclass of yoto_tf.LossConditionalModel with call(x, loss_parameters) "
    "conditions any other network"
)


def check_net(net):
    """Raises `InputError` for what cannot be conditioned."""
    if not isinstance(net, keras.Model):
        raise InputError(
            "expected a functional or Sequential keras.Model, received: "
            f"{type(net).__name__}"
        )
    if graph.graph_of(net) is None:
        if type(net) is keras.Sequential:
            raise InputError(
                "expected a Sequential model that knows its inputs, as one "
                "that begins with keras.Input(shape), received: "
                f"{net.name!r}, which is not built"
            )
        raise InputError(
            f"expected a functional or Sequential model ({_SUBCLASS}), "
            f"received: {type(net).__name__} with a call() of its own"
        )


def choose(net, sites=None):
    """Chooses the places that are conditioned; see `yoto_tf.condition`.

    Args:
        net: a functional or Sequential model.
        sites: list of names, a predicate of a layer, or None.

    Returns:
        `(chosen, names)`: dict, name of the site -> `graph.Place` that is
        conditioned, in the order of the calls; as `sites`, these names mean
        the same places, whatever else there is. And the names of all places.

    Raises:
        InputError: for a network or a site that cannot be conditioned.
    """
    check_net(net)
    places = graph.places(net)
    for place in places:
        _check_operation(place)
    squashed = _squashed(places)
    good = [p for p in places if not _fault(p, squashed)]
    if sites is None:
        chosen = _default(places, squashed)
    elif callable(sites):
        chosen = [
            p for p in good if not _ends_bounded(p) and sites(p.operation)
        ]
    else:
        chosen = _named(places, good, sites)
    if not chosen:
        raise InputError(
            "expected one or more layers to condition (behind a layer whose "
            "activation is a sigmoid or softmax is none, nor behind an "
            "output's that keeps it in a range, as softplus; split it into "
            "activation=None and keras.layers.Activation), received: none "
            f"among {[p.name for p in places]}"
        )
    for place in chosen:
        fault = _fault(place, squashed)
        if fault:
            raise InputError(
                f"expected sites={fault}, received: {place.name!r} with "
                f"output={place.output}; sites=[...] leaves it out"
            )
    rest = [p.name for p in places if not any(p is c for c in chosen)]
    return (
        {_exact(p.name, rest): p for p in places if p.name not in rest},
        [p.name for p in places],
    )


def renamed(sites, names, net):
    """The sites of a network in one that was made anew, whose layers may be
    called otherwise: those that a class makes are numbered by Keras.

    Args:
        sites: names, as `choose` returned them.
        names: of all places, as `choose` returned them; None: not known.
        net: the network that was made anew.

    Raises:
        InputError: for a network of other calls than the first.
    """
    now = [p.name for p in graph.places(net)]
    if names is None or names == now:
        return sites
    if len(names) != len(now):
        raise InputError(
            f"expected a network that is made anew with the {len(names)} "
            f"calls of layers that it had, received: {net.name!r} with "
            f"{len(now)}"
        )
    places = dict(zip(names, now, strict=True))
    return [_of_one_call(places[place_of(site)]) for site in sites]


def place_of(site):
    """The name of the place, as of `graph.walk`, that a site means exactly."""
    return re.sub(r":1(?=/|$)", "", site)


def _exact(name, others):
    """The name of a place that as a site means none of the others."""
    if not any(_is_meant(name, other) for other in others):
        return name
    return _of_one_call(name)


def _of_one_call(name):
    return "/".join(p if ":" in p else f"{p}:1" for p in name.split("/"))


def _is_meant(site, name):
    """Whether a site means a place: without a number behind it, the name of a
    layer or of a nested model is that of all its calls."""
    asked, there = site.split("/"), name.split("/")
    return len(asked) == len(there) and all(
        a in (b, b.split(":")[0], b if ":" in b else f"{b}:1")
        for a, b in zip(asked, there, strict=True)
    )


def _default(places, squashed):
    chosen = []
    for place in places:
        if not _has_kernel(place.operation) or squashed[place.name]:
            continue
        if not place.is_read:
            continue  # nested, of an output that is left aside
        if place.output is None:
            continue  # of a layer of one's own that returns a dict
        site = _behind_normalization(place)
        if not _ends_bounded(site):
            chosen.append(site)
    return chosen


def _behind_normalization(place):
    # The statistics would take a scale and a shift away again.
    if len(place.children) == 1 and not place.is_output:
        child = place.children[0]
        if isinstance(child.operation, _NORMALIZATIONS):
            return _behind_normalization(child)
    return place


def _named(places, good, names):
    if not isinstance(names, list | tuple | set) or not all(
        isinstance(name, str) for name in names
    ):
        raise InputError(
            "expected sites as a list of names or a predicate, received: "
            f"sites={names!r}"
        )
    chosen = []
    for name in names:
        found = [p for p in places if _is_meant(name, p.name)]
        if not found:
            raise InputError(
                f"expected sites among {[p.name for p in good]}, received: "
                f"{name!r}"
            )
        chosen += found
    return chosen


def _check_operation(place):
    inner = getattr(place.operation, "layer", None)
    for operation in filter(None, (place.operation, inner)):
        if getattr(operation, "data_format", None) == "channels_first":
            raise InputError(
                "expected layers with data_format='channels_last', received: "
                f"{place.name!r} with 'channels_first'"
            )
        if getattr(operation, "stateful", False) is True:
            raise InputError(
                "expected recurrent layers with stateful=False (a state that "
                "is kept would be of other loss parameters), received: "
                f"{place.name!r} with stateful=True"
            )


def _fault(place, squashed):
    """What is expected where a place cannot be conditioned, or None."""
    output = place.output
    if not place.is_read:
        return "[...] of layers that the outputs depend on"
    if squashed[place.name]:
        return (
            "[...] of layers that are not behind a sigmoid or softmax, whose "
            "outputs would be no probabilities any more"
        )
    if output is None or not keras.backend.is_float_dtype(output.dtype):
        return "[...] of layers with outputs of floating point"
    if not place.has_batch_first:
        return "[...] of layers whose outputs have the examples on axis 0"
    if len(output.shape) < 2 or output.shape[-1] is None:
        return "[...] of layers with outputs (batch, ..., channels)"
    return None


def _squashed(places):
    """dict, name -> whether a value is one of a sigmoid or softmax: from that
    up to the next layer with weights, where nothing else comes in."""
    result = {}
    for place in places:
        inherited = (
            bool(place.parents)
            and not getattr(place.operation, "weights", None)
            and all(p is not None and result[p.name] for p in place.parents)
        )
        result[place.name] = inherited or _squashes(place.operation)
    return result


def _squashes(operation):
    inner = getattr(operation, "layer", None)
    if isinstance(inner, keras.layers.Layer) and _squashes(inner):
        return True
    if graph.graph_of(operation) is not None:
        # A model that a layer as TimeDistributed wraps, of which this is no
        # place of its own.
        places = graph.places(operation)
        squashed = _squashed(places)
        return any(squashed[p.name] for p in places if p.is_output)
    return _is_one_of(operation, _SQUASHING)


def _ends_bounded(place):
    """Whether a value in a range, as that of a softplus, goes on to an output
    of the model as it is: conditioned, it would leave the range."""
    inner = getattr(place.operation, "layer", None)
    return any(
        _is_one_of(operation, _BOUNDED)
        # A state of -1 to 1 is no range that is asked for.
        and not isinstance(operation, keras.layers.RNN)
        for operation in (place.operation, inner)
    ) and _reaches_output(place)


def _reaches_output(place):
    waiting, seen = [place], {place.name}
    while waiting:
        place = waiting.pop()
        if place.is_output:
            return True
        for child in place.children:
            # Once each: of two ways through a graph a third comes of both.
            if child.name not in seen and not getattr(
                child.operation, "weights", None
            ):
                seen.add(child.name)
                waiting.append(child)
    return False


def _is_one_of(operation, names):
    """Whether it, or its activation, which may be a layer, is a function of
    one of these names."""
    kind = type(operation).__name__.lower()
    if _is_keras(operation) and kind in _kinds(names):
        return True
    activation = getattr(operation, "activation", None)
    if isinstance(activation, keras.layers.Layer):
        return _is_one_of(activation, names)
    # TensorFlow's own: softmax_v2.
    name = re.sub(r"_v\d+$", "", getattr(activation, "__name__", None) or "")
    return name in names


def _is_keras(operation):
    return type(operation).__module__.split(".")[0] == "keras"


def _has_kernel(operation):
    """Whether a layer has a matrix of weights, itself or inside of it."""
    if not isinstance(operation, keras.layers.Layer):
        return False
    if isinstance(operation, (*_NORMALIZATIONS, keras.layers.PReLU)):
        return False
    return any(len(w.shape) >= 2 for w in operation.weights)
