"""Gives a functional or Sequential Keras model knobs."""

import json
import tempfile

import keras
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.method import asking
from yoto_tf.method import first_batch
from yoto_tf.method import graph
from yoto_tf.method import net_inputs
from yoto_tf.method import replicas
from yoto_tf.method import site_layers
from yoto_tf.method import sites as choosing
from yoto_tf.method.model import LossConditionalModel
from yoto_tf.method.terms import Terms


def condition(
    net,
    terms,
    loss_parameters,
    *,
    sites=None,
    conditioning=None,
    copy=False,
    **kwargs,
):
    """Makes a loss-conditional model of any functional or Sequential model.

    Between its layers stand conditioning layers, which begin as the identity:
    at the start the model answers exactly as the network, trained or not, for
    every value of the loss parameters.

    **Sites.** By default behind each layer with a matrix of weights (dense,
    convolution, recurrent, attention, embedding, a layer of one's own), or
    behind the normalisation that follows it; once per call where a layer is
    shared; in nested models, too. An activation that is a layer of its own
    comes after the conditioning; one inside of a layer (`Dense(64, "relu")`)
    comes before it, for the layer is left as it is. Nothing is conditioned
    behind a sigmoid or softmax, up to the next layer with weights, so that a
    probability stays one: `Dense(1, "sigmoid")` has no site, `Dense(1)` before
    `Activation("sigmoid")` has one. Of several outputs of a layer the first
    that the network goes on with is conditioned (the sequence of an LSTM, or
    its state where only that is used).

    Args:
        net: a functional or Sequential `keras.Model` that knows its inputs.
            Its layers, weights and `trainable` flags are the model's: what
            one learns the other knows.
        terms: dict, name -> `f(x, y, outputs, loss_parameters)` that returns
            `(batch,)`, or a Keras loss or its name (`"mse"`), taken per
            example with every other axis averaged. A function or class of
            one's own is saved by the name under which it is registered with
            Keras.
        loss_parameters: dict, name -> `LossParameter` or a number, or a
            `Dirichlet`; see `LossConditionalModel`. One or more must vary.
        sites: names of layers or operations, exactly behind which to
            condition (`"dense"`; in a nested model `"encoder/dense"`; the
            second call of a layer alone is `"dense:2"`), or a predicate that
            is called with each layer and operation.
        conditioning: a conditioning layer's class, a function that makes
            one, or one (or its Keras config) that is copied for each site;
            default: `SplineFiLM` over the range of the loss parameters. It
            has to begin as the identity, which `Gate`, `SigmoidFiLM` and
            `Concatenation` do not.
        copy: whether the network is copied with its weights first.
        **kwargs: of `LossConditionalModel`.

    Returns:
        A `ConditionedModel`.

    Raises:
        InputError: for a network with a `call` of its own, layers of
            `channels_first` or with a state, axes without the examples in
            front at a site, unknown sites, terms that are none.

    References:
        Dosovitskiy & Djolonga, ICLR 2020, section 2.1.

    Example:
        def miss(x, y, outputs, loss_parameters):
            return y * keras.ops.softplus(-outputs[:, 0])

        def false_alarm(x, y, outputs, loss_parameters):
            return (1 - y) * keras.ops.softplus(outputs[:, 0])

        net = keras.Sequential([
            keras.Input((8,)),
            keras.layers.Dense(64, "relu"),
            keras.layers.Dense(1),
        ])
        model = yoto_tf.condition(
            net,
            terms={"miss": miss, "false_alarm": false_alarm},
            loss_parameters={"miss": yoto_tf.LogUniform(0.1, 10.0)},
        )
        model.compile("adam")
        model.fit(x, y)
        model.predict(x, loss_parameters={"miss": 4.0})
    """
    if copy:
        choosing.check_net(net)
        made = _copy_of(net)
        if isinstance(sites, list | tuple | set):
            chosen, names = choosing.choose(net, sites)
            sites = choosing.renamed(list(chosen), names, made)
        net = made
    return ConditionedModel(
        net, terms, loss_parameters, sites, conditioning, **kwargs
    )


def _copy_of(net):
    """A copy with its weights, and with what layers that were adapted
    (`Normalization`, `StringLookup`) keep beside them."""
    made = keras.models.clone_model(net)
    made.set_weights(net.get_weights())
    for old, new in zip(
        first_batch.all_layers(net), first_batch.all_layers(made), strict=True
    ):
        if not hasattr(old, "adapt"):
            continue
        store = {}
        old.save_own_variables(store)
        new.load_own_variables(store)
        if hasattr(old, "save_assets"):
            with tempfile.TemporaryDirectory() as folder:
                old.save_assets(folder)
                new.load_assets(folder)
    return made


@keras.saving.register_keras_serializable("yoto_tf")
class ConditionedModel(LossConditionalModel):
    """What `condition` makes, whose arguments it takes.

    Attributes:
        net: the network without conditioning, a Keras model.
        sites: names of the places that are conditioned.
        conditioning_layers: one layer for each.

    Example:
        net = keras.Sequential([
            keras.Input((8,)),
            keras.layers.Dense(64, "relu"),
            keras.layers.Dense(1),
        ])
        model = yoto_tf.condition(
            net,
            terms={"mse": "mse", "mae": "mae"},
            loss_parameters={"mae": yoto_tf.LogUniform(0.1, 10.0)},
        )
        assert isinstance(model, yoto_tf.ConditionedModel)
        print(model.sites, model.conditioning_cost())
    """

    def __init__(
        self,
        net,
        terms,
        loss_parameters,
        sites=None,
        conditioning=None,
        **kwargs,
    ):
        choosing.check_net(net)
        kwargs.setdefault("dtype", net.dtype_policy)
        super().__init__(loss_parameters, **kwargs)
        if not self.loss_parameters.varying:
            raise InputError(
                "expected one or more loss parameters with a range, as "
                "yoto_tf.LogUniform(0.1, 10.0), received: "
                f"loss_parameters={loss_parameters}"
            )
        if replicas.has_several(self) and not all(
            self.distribute_strategy.extended.variable_created_in_scope(w.value)
            for w in net.weights
        ):
            raise InputError(
                "expected a network that was made in the strategy's scope (or "
                "copied there, by copy=True), received: "
                f"net={net.name!r}, which was made outside"
            )
        taken = {t.name for t in net.inputs}
        lower = {t.lower() for t in taken}
        both = [n for n in self.loss_parameters.names if n.lower() in lower]
        if both:
            raise InputError(
                "expected loss parameters that are called otherwise than the "
                f"inputs of the network, {sorted(taken)}, received: {both[0]!r}"
            )
        self._terms = Terms(terms)
        chosen, self._place_names = choosing.choose(net, sites)
        template = site_layers.template(
            conditioning, self.loss_parameters.coordinate_ends
        )
        self.net = net
        self.sites = list(chosen)
        self._outputs = [place.index for place in chosen.values()]
        self.conditioning_layers = [
            site_layers.copied(template, name, place.output.dtype)
            for name, place in chosen.items()
        ]
        self._template = keras.saving.serialize_keras_object(template)
        for name in ("name", "dtype"):
            # Each site has its own.
            self._template["config"].pop(name, None)
        coordinates = (None, self.loss_parameters.num_coordinates)
        for layer, place in zip(
            self.conditioning_layers, chosen.values(), strict=True
        ):
            layer.build((None, *place.output.shape[1:]), coordinates)
        self.built = True

    def build(self, *_):
        """All weights exist from birth."""

    def check_inputs(self, x):
        net_inputs.check(self.net, x)
        return x

    def check_shapes(self, x):
        if isinstance(x, tf.data.Dataset):
            x, _, _ = keras.utils.unpack_x_y_sample_weight(x.element_spec)
        x, _ = asking.unwrapped(x)
        leaves = keras.tree.flatten(x)
        if all(hasattr(leaf, "shape") for leaf in leaves):
            net_inputs.check(self.net, x)

    def call(self, x, loss_parameters, training=None):
        told = self.coordinates(loss_parameters)
        layers = {
            choosing.place_of(site): conditioned
            for site, *conditioned in zip(
                self.sites,
                self.conditioning_layers,
                self._outputs,
                strict=True,
            )
        }

        def visit(name, run, operation, args, kwargs):
            outputs = run(*args, **kwargs)
            if name not in layers:
                return outputs
            return site_layers.conditioned(outputs, *layers[name], told)

        return graph.walk(self.net, x, visit, training)

    def served_shapes(self, arrays):
        return net_inputs.shapes(self.net, arrays)

    @property
    def output_names(self):
        """Of the network, by which `compile` takes metrics of each."""
        return graph.graph_of(self.net).output_names

    def loss_terms(self, x, y, outputs, loss_parameters):
        return self._terms(x, y, outputs, loss_parameters)

    def conditioning_cost(self):
        """What the conditioning adds to the network.

        Returns:
            dict: `sites`, the number of its layers; `parameters`, of them all;
            `net_parameters`, of the network; `share`, of the first in the
            second.
        """
        added = sum(layer.count_params() for layer in self.conditioning_layers)
        before = self.net.count_params()
        return {
            "sites": len(self.sites),
            "parameters": added,
            "net_parameters": before,
            "share": added / before,
        }

    def get_build_config(self):
        return None

    def get_config(self):
        net = keras.saving.serialize_keras_object(self.net)
        # How the network itself was trained is of no matter here.
        net.pop("compile_config", None)
        # As a file has it: Keras leaves tuples among its lists.
        net = json.loads(json.dumps(net))
        return {
            **super().get_config(),
            "net": net,
            "terms": self._terms.get_config(),
            "sites": list(self.sites),
            # By which a site is found where layers have other names.
            "places": list(self._place_names),
            "conditioning": self._template,
            "frozen": [
                site
                for site, layer in zip(
                    self.sites, self.conditioning_layers, strict=True
                )
                if not layer.trainable
            ],
        }

    @classmethod
    def from_config(cls, config):
        load, config = keras.saving.deserialize_keras_object, dict(config)
        net = load(config["net"])
        frozen = config.pop("frozen", [])
        is_frozen = [site in frozen for site in config["sites"]]
        names = config.pop("places", None)  # not in older files
        made = super().from_config(
            {
                **config,
                "net": net,
                "sites": choosing.renamed(config["sites"], names, net),
                "terms": Terms.from_config(config["terms"]).given,
            }
        )
        for layer, stays in zip(
            made.conditioning_layers, is_frozen, strict=True
        ):
            layer.trainable = not stays
        return made
