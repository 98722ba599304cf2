"""Loss-conditional training: one model for every weighting of a loss."""

import keras
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.joint_weights import Dirichlet
from yoto_tf.joint_weights import Independent
from yoto_tf.layers.seeds import load_seed_state
from yoto_tf.layers.seeds import save_seed_state
from yoto_tf.models import precision
from yoto_tf.models import weighting
from yoto_tf.models.keras_model import StepModel


@keras.saving.register_keras_serializable("yoto_tf")
class LossConditionalModel(StepModel):
    """Trains one network for a whole distribution of loss weights.

    The loss of an example is a weighted sum of terms. `train_step` draws a
    weight vector for every example, gives it to the network, weights the
    terms example by example and averages last (Dosovitskiy & Djolonga, ICLR
    2020, section 2). `test_step` scores fixed weights, so that validation is
    comparable from epoch to epoch.

    A subclass defines `loss_terms`, in which it runs the network, and makes
    the network depend on `self.coordinates(loss_weights)`. Its layers are
    attributes and may build on first use. What it asserts of a batch belongs
    in `check_batch`: under `jit_compile` XLA drops it elsewhere.

    Args:
        loss_weights: dict, name of a term -> `LossWeight` or number, or a
            `Dirichlet` over the terms.
        draw_per: `"example"` (the method) or `"batch"` (for ablations).
        normalization: divide an example's weights by their
            `"geometric_mean"` (authors' `normalize_loss_weights`), by their
            `"sum"`, or not (`"none"`).
        normalization_power: divide by the above to this power, 0 to 1.
        warmup_steps: dict, name of a term -> number of train steps over
            which its weight rises linearly from 0 to what was drawn (KL
            warm-up: Bowman et al., CoNLL 2016; Sonderby et al., NeurIPS
            2016). The network is told the drawn weight from the start.
        watched_weights: list of dicts, name -> weight, that `test_step`
            scores; default: three per varying weight, over the distribution.
        seed: of the drawn weights.

    Example:
        @keras.saving.register_keras_serializable()
        class Lasso(yoto_tf.LossConditionalModel):
            def __init__(self, features, **kwargs):
                super().__init__(**kwargs)
                self.features = features
                self.net = keras.layers.Dense(features)

            def loss_terms(self, x, y, loss_weights, training=False):
                w = self.net(self.coordinates(loss_weights))
                error = keras.ops.square(keras.ops.sum(x * w, -1) - y)
                return {"error": error, "l1": keras.ops.sum(abs(w), -1)}

            def get_config(self):
                return {**super().get_config(), "features": self.features}

        model = Lasso(8, loss_weights={
            "error": 1.0, "l1": yoto_tf.LogUniform(1e-3, 1.0)})
    """

    def __init__(
        self,
        loss_weights,
        draw_per="example",
        normalization="none",
        normalization_power=1.0,
        warmup_steps=None,
        watched_weights=None,
        seed=None,
        **kwargs,
    ):
        if keras.backend.backend() != "tensorflow":
            raise InputError(
                "expected the Keras backend 'tensorflow', received: "
                f"KERAS_BACKEND={keras.backend.backend()!r}"
            )
        super().__init__(**kwargs)
        precision.check_policy(self.dtype_policy)
        weighting.check_choice("draw_per", draw_per, ("example", "batch"))
        weighting.check_choice(
            "normalization", normalization, weighting.NORMALIZATIONS
        )
        if isinstance(loss_weights, dict):
            loss_weights = Independent(loss_weights)
        if not isinstance(loss_weights, Independent | Dirichlet):
            raise InputError(
                "expected loss_weights to be a dict or a Dirichlet, "
                f"received: loss_weights={loss_weights!r}"
            )
        self.weight_distribution = loss_weights
        self.draw_per = draw_per
        self.normalization = normalization
        self.normalization_power = float(normalization_power)
        self.warmup_steps = dict(warmup_steps or {})
        weighting.check_warmup(self.warmup_steps, loss_weights)
        self.watched_weights = watched_weights or loss_weights.grid(3)
        weighting.check_watched(self.watched_weights, loss_weights)
        self.seed = seed
        self.weight_seed = keras.random.SeedGenerator(seed)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.term_trackers = {
            n: keras.metrics.Mean(name=n) for n in loss_weights.names
        }
        self.watch_trackers = {
            label: {
                n: keras.metrics.Mean(name=f"{n}_at_{label}")
                for n in loss_weights.names
            }
            for label in map(loss_weights.label, self.watched_weights)
        }

    # What a subclass defines.

    def loss_terms(self, x, y, loss_weights, training=False):
        """Runs the network and returns its loss, term by term.

        Args:
            x, y: a batch as given to `fit`; y is None if there is none.
            loss_weights: dict, name -> `(batch,)`.
            training: whether the network runs for training.

        Returns:
            dict with the names of the terms, each `(batch,)`: one number per
            example, not averaged, not weighted.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define loss_terms()"
        )

    # What it can use.

    def coordinates(self, loss_weights):
        """Maps a dict of `(batch,)` weights to the network's `(batch, k)`."""
        return self.weight_distribution.coordinates(loss_weights)

    def sample_loss_weights(self, batch_size, step=None):
        """Draws a dict, name -> `(batch_size,)`.

        Args:
            batch_size: number of examples.
            step: see `LossWeight.sample_at`.
        """
        draw = self.weight_distribution.sample
        if self.draw_per == "example":
            return draw(batch_size, self.weight_seed, step)
        one = draw(1, self.weight_seed, step)
        return {n: ops.broadcast_to(w, (batch_size,)) for n, w in one.items()}

    def weighted_loss(self, terms, loss_weights):
        """Weights the terms of every example.

        Args:
            terms, loss_weights: dicts, name -> `(batch,)`.

        Returns:
            `(batch,)`: the normalised weighted sum.

        Raises:
            InputError: if a term is missing, unknown or not per example.
        """
        return weighting.weighted_sum(
            terms, loss_weights, self.normalization, self.normalization_power
        )

    # Keras' hooks.

    @property
    def metrics(self):
        # Only ours: Keras would add a `loss` of its own that stays 0.
        return [
            self.loss_tracker,
            *self.term_trackers.values(),
            *(m for w in self.watch_trackers.values() for m in w.values()),
        ]

    def train_step(self, data):
        data, x, y, sample_weight, batch_size = self._unpacked(data)
        step = tf.convert_to_tensor(self.optimizer.iterations.value)
        loss_weights = self.sample_loss_weights(batch_size, step)
        loss, terms, gradients = self._compiled(self._loss_and_gradients)(
            x, y, sample_weight, loss_weights, step
        )
        self._note_batch(*data)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.loss_tracker.update_state(
            loss, sample_weight=ops.cast(batch_size, "float32")
        )
        for name, term in terms.items():
            self.term_trackers[name].update_state(term)
        return self._results(self.loss_tracker, self.term_trackers)

    def test_step(self, data):
        data, x, y, sample_weight, batch_size = self._unpacked(data)
        score = self._compiled(self._loss_and_terms)
        for fixed in self.watched_weights:
            loss_weights = {
                n: ops.full((batch_size,), v, dtype="float32")
                for n, v in fixed.items()
            }
            loss, terms = score(x, y, sample_weight, loss_weights)
            self.loss_tracker.update_state(loss)
            label = self.weight_distribution.label(fixed)
            for name, term in terms.items():
                self.watch_trackers[label][name].update_state(term)
        self._note_batch(*data)
        return self._results(self.loss_tracker, *self.watch_trackers.values())

    def _unpacked(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        data = x, y
        x, y = self.check_batch(x, y)
        batch_size = ops.shape(tf.nest.flatten(x)[0])[0]
        return data, x, y, sample_weight, batch_size

    def _loss_and_gradients(self, x, y, sample_weight, loss_weights, step):
        with tf.GradientTape() as tape:
            terms = self.checked_terms(x, y, loss_weights, training=True)
            per_example = self.weighted_loss(
                weighting.warmed_up(terms, self.warmup_steps, step),
                loss_weights,
            )
            per_example = weighting.scaled(per_example, sample_weight)
            loss = ops.mean(per_example)
            for further in self.losses:
                loss = loss + ops.cast(further, loss.dtype)
            scaled = self.optimizer.scale_loss(loss)
        weighting.check_splines(self)
        if not self.trainable_variables:
            raise InputError(
                "expected a model with layers to train, as attributes of it, "
                f"received: {type(self).__name__} without trainable weights"
            )
        return loss, terms, tape.gradient(scaled, self.trainable_variables)

    def _loss_and_terms(self, x, y, sample_weight, loss_weights):
        terms = self.checked_terms(x, y, loss_weights, training=False)
        loss = self.weighted_loss(terms, loss_weights)
        return weighting.scaled(loss, sample_weight), terms

    def checked_terms(self, x, y, loss_weights, training=False):
        """Returns `loss_terms`, checked, in float32 or more."""
        # Keras does this in `__call__`: losses that layers added before are
        # tensors of another graph.
        self._clear_losses()
        with precision.dtype_errors(self.dtype_policy):
            terms = self.loss_terms(x, y, loss_weights, training=training)
        weighting.check_terms(terms, self.weight_distribution.names)
        return {n: precision.at_least_float32(t) for n, t in terms.items()}

    @staticmethod
    def _results(loss_tracker, *trackers):
        groups = [loss_tracker, *(m for t in trackers for m in t.values())]
        return {m.name: m.result() for m in groups}

    def save_own_variables(self, store):
        super().save_own_variables(store)
        save_seed_state(self.weight_seed, store)

    def load_own_variables(self, store):
        super().load_own_variables(load_seed_state(self.weight_seed, store))

    def get_config(self):
        return {
            **super().get_config(),
            "loss_weights": keras.saving.serialize_keras_object(
                self.weight_distribution
            ),
            "draw_per": self.draw_per,
            "normalization": self.normalization,
            "normalization_power": self.normalization_power,
            "warmup_steps": self.warmup_steps,
            "watched_weights": self.watched_weights,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["loss_weights"] = keras.saving.deserialize_keras_object(
            config["loss_weights"]
        )
        return cls(**config)
