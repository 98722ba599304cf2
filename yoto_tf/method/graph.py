"""The walk through the graph of a Keras model.

What is private to Keras stands here and nowhere else: Keras has no public way
to run a functional model with something put between its layers.
`clone_model(call_function=...)` can add no input, takes no Sequential model
and leaves nested ones as they are.
"""

import collections
import dataclasses

import keras
from keras.src.backend import get_keras_mask
from keras.src.backend import set_keras_mask
from keras.src.models.functional import Functional
from keras.src.models.functional import operation_fn
from keras.src.models.functional import unpack_singleton

# A number of examples that no other axis of a network has.
_BATCH = 1009


def graph_of(layer):
    """The functional graph of a model.

    Args:
        layer: a layer or an operation.

    Returns:
        None for what has no graph: other layers, models with a `call` of
        their own, a Sequential model that does not know its inputs.
    """
    if isinstance(layer, keras.Sequential):
        if type(layer).call is keras.Sequential.call:
            return layer._functional
    elif isinstance(layer, Functional) and type(layer).call is Functional.call:
        return layer
    return None


def walk(model, inputs, visit, training=None):
    """Runs a model layer by layer, nested models too, as its call would.

    Args:
        model: a model with a graph.
        inputs: as its call takes them.
        visit: `(name, run, operation, args, kwargs)` -> outputs. `run` is the
            operation as the model would call it. `name` is that of the layer,
            after those of the models that it is nested in (`encoder/dense`);
            `:2` stands behind that of its second call.
        training: as for a call.

    Returns:
        The outputs, in the structure of the model's.
    """
    graph = graph_of(model)
    inputs = graph._standardize_inputs(inputs)
    return _walk(graph, inputs, visit, training, "")


def _walk(graph, inputs, visit, training, prefix):
    calls = collections.Counter()

    def around(operation):
        def run(*args, **kwargs):
            calls[operation.name] += 1
            count = calls[operation.name]
            name = prefix + operation.name + (f":{count}" if count > 1 else "")
            inner = graph_of(operation)
            keras_run = operation_fn(operation, training=training)
            if inner is None:
                return visit(name, keras_run, operation, args, kwargs)
            given = args[0] if args else kwargs["inputs"]
            mask = kwargs.get("mask")
            if not isinstance(keras.tree.flatten(given)[0], keras.KerasTensor):
                given = inner._standardize_inputs(given)
            if mask is not None:
                for tensor, its_mask in zip(
                    keras.tree.flatten(given),
                    keras.tree.flatten(mask),
                    strict=True,
                ):
                    set_keras_mask(tensor, its_mask)
            inner_training = training
            if inner_training is None:
                inner_training = kwargs.get("training")
            return _walk(inner, given, visit, inner_training, name + "/")

        return run

    return unpack_singleton(graph._run_through_graph(inputs, around))


@dataclasses.dataclass
class Place:
    """One call of a layer or operation in the graph of a model.

    Attributes:
        name: see `walk`.
        operation: the layer or operation.
        parents: places whose outputs it takes; None stands for an input of
            the model.
        children: places that take its outputs.
        is_output: whether one of its outputs is one of the model.
        is_read: whether the model's outputs depend on one of its own.
        index: which of its outputs, of their flat list, is the first that
            they depend on.
        output: `KerasTensor`, that output; None: one of a dict.
        has_batch_first: whether axis 0 of the output is that of examples.
    """

    name: str
    operation: object
    parents: list
    children: list = dataclasses.field(default_factory=list)
    is_output: bool = False
    is_read: bool = False
    index: int = 0
    output: object = None
    has_batch_first: bool = False


def places(model):
    """All places of a model with a graph, in the order of their calls."""
    # By the id of a tensor: the place it comes from, and as which output. The
    # tensors are kept too: the id of one that is gone is another's.
    origins, found, given = {}, [], {}

    def visit(name, run, operation, args, kwargs):
        outputs = operation.compute_output_spec(*args, **kwargs)
        taken = [origins.get(id(t)) for t in _tensors((args, kwargs))]
        place = Place(name, operation, [t and t[0] for t in taken])
        given[name] = [t for t in taken if t]
        for parent in filter(None, place.parents):
            parent.children.append(place)
        leaves = keras.tree.flatten(outputs)
        for index, tensor in enumerate(leaves):
            if isinstance(tensor, keras.KerasTensor):
                origins[id(tensor)] = (place, index)
        found.append((place, leaves, isinstance(outputs, dict)))
        return outputs

    graph = graph_of(model)
    batch = graph.inputs[0].shape[0] or _BATCH
    symbols = [
        keras.KerasTensor((batch, *t.shape[1:]), t.dtype, sparse=t.sparse)
        for t in graph.inputs
    ]
    ends = _tensors(_walk(graph, symbols, visit, None, ""))
    waiting = [origins[id(t)] for t in ends if id(t) in origins]
    for place, _ in waiting:
        place.is_output = True
    read = collections.defaultdict(set)
    while waiting:
        place, index = waiting.pop()
        if not place.is_read:
            waiting += given[place.name]
        place.is_read = True
        read[place.name].add(index)
    for place, leaves, is_dict in found:
        place.index = min(read[place.name], default=0)
        output = leaves[place.index] if leaves else None
        # Of a dict none is the first.
        if isinstance(output, keras.KerasTensor) and not is_dict:
            place.output = output
            place.has_batch_first = tuple(output.shape[:1]) == (batch,)
    return [place for place, *_ in found]


def _tensors(structure):
    leaves = keras.tree.flatten(structure)
    return [t for t in leaves if isinstance(t, keras.KerasTensor)]


def mask_of(tensor):
    """The mask that Keras' layers put on a tensor, or None."""
    return get_keras_mask(tensor)


def set_mask(tensor, mask):
    """Puts a mask on a tensor, where there is one."""
    if mask is not None:
        set_keras_mask(tensor, mask)


def with_mask_of(tensor, other):
    """Returns the tensor with the mask of another one, if that has one."""
    if tensor is not other:
        set_mask(tensor, mask_of(other))
    return tensor
