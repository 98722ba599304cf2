"""Loss-conditional training: one model for every parameter of its loss."""

import keras
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.layers.seeds import load_seed_state
from yoto_tf.layers.seeds import save_seed_state
from yoto_tf.method import precision
from yoto_tf.method import replicas
from yoto_tf.method.adaptive import adaptive_draws as make_adaptive_draws
from yoto_tf.method.base import to_number
from yoto_tf.method.first_rows import FirstRows
from yoto_tf.method.groups import per_group
from yoto_tf.method.joint import as_joint
from yoto_tf.method.objective import Objective
from yoto_tf.method.objective import check_form
from yoto_tf.method.run_length import RunLength
from yoto_tf.method.served import Served
from yoto_tf.method.steps import Steps
from yoto_tf.method.watching import Trackers
from yoto_tf.seeds import checked_seed
from yoto_tf.seeds import derived


@keras.saving.register_keras_serializable("yoto_tf")
class LossConditionalModel(Served, Steps):
    """Trains one network for a whole distribution of loss parameters.

    The loss of an example is a weighted sum of terms. `train_step` draws loss
    parameters for every example, runs the network under them, weights the
    terms example by example and averages last (Dosovitskiy & Djolonga, ICLR
    2020, section 2). A parameter that is called like a term is its weight; a
    term without one has the weight 1; any other parameter is read by terms.

    A subclass defines `call(x, loss_parameters)`, which runs the network and
    makes it depend on `self.coordinates(loss_parameters)`, and `loss_terms`,
    a pure function of what it is given. Layers may be built on first use.

    Args:
        loss_parameters: dict, name -> `LossParameter`, or a number for one
            that is always the same; or a `Dirichlet` over the terms.
        group_size: so many neighbours in a batch share one draw, for terms of
            several examples (see `per_group`); None: the whole batch. It
            divides the batch.
        normalization, normalization_power, warm_up: see `Objective`.
        adaptive_draws: share of the draws that follow how large a weight's
            term still is, from 0 (none) to below 1; see `AdaptiveDraws`.
        watched: list of dicts, name -> number, that validation scores;
            default: `JointParameters.watched`.
        seed: of the draws, a whole number; None: another one each time.

    Call arguments:
        x: inputs of the network.
        loss_parameters: dict, name -> number or one per example; what is not
            there has its default.

    Raises:
        InputError: for parameters that were not trained.

    Example:
        @keras.saving.register_keras_serializable()
        class Lasso(yoto_tf.LossConditionalModel):
            def __init__(self, features, **kwargs):
                super().__init__(**kwargs)
                self.features = features
                self.net = keras.layers.Dense(features)

            def call(self, x, loss_parameters):
                w = self.net(self.coordinates(loss_parameters))
                return {"y": keras.ops.sum(x * w, -1), "w": w}

            def loss_terms(self, x, y, outputs, loss_parameters):
                error = keras.ops.square(outputs["y"] - y)
                return {
                    "error": error,
                    "l1": keras.ops.sum(abs(outputs["w"]), -1),
                }

            def get_config(self):
                return {**super().get_config(), "features": self.features}

        model = Lasso(8, loss_parameters={
            "l1": yoto_tf.LogUniform(1e-3, 1.0)})
        model.compile("adam")
        model.fit(x, y)
        model.predict(x, loss_parameters={"l1": 0.1})
    """

    # Name of a term -> of the parameter that is its weight, where the two
    # are called differently.
    weight_names = {}

    def __init__(
        self,
        loss_parameters,
        group_size=1,
        normalization="none",
        normalization_power=1.0,
        warm_up=None,
        adaptive_draws=0.0,
        watched=None,
        seed=None,
        **kwargs,
    ):
        if keras.backend.backend() != "tensorflow":
            raise InputError(
                "expected the Keras backend 'tensorflow', received: "
                f"KERAS_BACKEND={keras.backend.backend()!r}"
            )
        check_form(type(self))
        # Loss parameters are not to be rounded to half precision on their
        # way in; layers cast what they are given themselves.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        precision.check_policy(self.dtype_policy)
        self.loss_parameters = as_joint(loss_parameters)
        if group_size is not None:
            number = to_number("group_size", group_size)
            if number < 1 or number % 1:
                raise InputError(
                    "expected group_size as a whole number of 1 or more, or "
                    "None for the whole batch, received: "
                    f"group_size={group_size}"
                )
            group_size = int(number)
        self.group_size = group_size
        self.objective = Objective(
            normalization, normalization_power, warm_up, self.weight_names
        )
        self._adaptive = make_adaptive_draws(
            adaptive_draws, self.loss_parameters, self.weight_names
        )
        self.adaptive_draws = float(adaptive_draws)
        if watched is not None and not (
            isinstance(watched, list | tuple)
            and all(isinstance(values, dict) for values in watched)
        ):
            raise InputError(
                "expected watched as a list of dicts, as [{'beta': 1.0}, "
                f"{{'beta': 4.0}}], received: watched={watched!r}"
            )
        self.watched = [
            self.loss_parameters.numbers(values)
            for values in (watched or self.loss_parameters.watched())
        ]
        labels = [self.loss_parameters.label(w) for w in self.watched]
        if len(set(labels)) < len(labels):
            raise InputError(
                "expected watched values that differ in the parameters that "
                f"vary, received: watched={watched}"
            )
        self.seed = checked_seed(seed)
        # Of its own: a layer of the network with the same seed, a flip or a
        # dropout, would draw the same bits, and be a function of the draws.
        self.draw_seed = keras.random.SeedGenerator(
            None if self.seed is None else derived(self.seed, 0)
        )
        self._trackers = Trackers(labels)
        self._forms = {}  # of the data that a graph was made for, by its name
        self._first_rows = FirstRows()
        self._run_length = RunLength()

    @property
    def loss_dtype(self):
        """The dtype's name of loss parameters, outputs, terms and the loss,
        whatever layers compute in: float32, or float64 of a model of that."""
        return precision.dtype_at_least_float32(self.compute_dtype)

    # What a subclass defines.

    def call(self, x, loss_parameters):
        """Runs the network once.

        Args:
            x: a batch of inputs.
            loss_parameters: dict, name -> `(batch,)` float32, or float64
                of a model of that.

        Returns:
            The outputs, a tensor or a structure of tensors.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define call(x, loss_parameters)"
        )

    def loss_terms(self, x, y, outputs, loss_parameters):
        """Scores outputs, term by term: a pure function of its arguments.

        Args:
            x, y: a batch as given to `fit`; y is None if there is none.
            outputs: of `call`.
            loss_parameters: dict, name -> `(batch,)`.

        Returns:
            dict, name of the term -> `(batch,)`: one number per example, not
            averaged, not weighted.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define "
            "loss_terms(x, y, outputs, loss_parameters)"
        )

    def training_terms(self, terms, outputs, loss_parameters, step):
        """Changes terms for training alone, as free bits do.

        Args:
            terms: of `loss_terms`.
            outputs, loss_parameters: as for `loss_terms`.
            step: number of finished train steps, a scalar tensor.

        Returns:
            The terms whose gradient is followed; what is reported are those
            of `loss_terms`.
        """
        return terms

    # What it can use.

    def note_run_length(self, steps, done=None):
        """Says how many steps a run has of which `fit` trains a part first;
        without effect where a `fit` or this said so before.

        Args:
            steps: of the whole run.
            done: how many are behind a model that got its weights by
                `set_weights`, as one that is released; None: those that it
                trained itself.
        """
        self._run_length.note(steps, done)

    @property
    def first_inputs(self):
        """A few inputs of the first batch of `fit`, as they are served, which
        `export` compares with; None before."""
        return self._first_rows.inputs

    def coordinates(self, loss_parameters):
        """Maps a dict of `(batch,)` values to the network's `(batch, k)`."""
        return self.loss_parameters.coordinates(loss_parameters)

    def per_group(self, function, *tensors):
        """Computes a term of several examples inside each group.

        Under `group_size=g`, g neighbours in the batch share one draw, so
        that a statistic of theirs is one of a single value of the loss
        parameters. A last group that is not full is taken as the last g
        examples.

        Args:
            function: `(groups, g, ...)` tensors -> `(groups,)`.
            *tensors: `(batch, ...)`.

        Returns:
            `(batch,)`: every example has the number of its group.

        Raises:
            InputError: under `group_size=1`, in which there is nothing of
                several examples; under XLA on several replicas, which have to
                exchange examples.
        """
        if self._xla and not self.run_eagerly and replicas.in_replica():
            raise InputError(
                "expected jit_compile=False for terms of several examples on "
                "several replicas, received: jit_compile=True"
            )
        return per_group(function, tensors, self.group_size)

    def sample_loss_parameters(self, num, step=None):
        """Draws a dict, name -> `(num,)`.

        Args:
            num: number of examples.
            step: number of finished train steps; None: long after the
                beginning.
        """
        drawn = replicas.own_rows(lambda n: self._draw(n, step), num)
        return {n: ops.cast(v, self.loss_dtype) for n, v in drawn.items()}

    def _draw(self, num, step):
        warps = self._adaptive and self._adaptive.warps()
        draw = self.loss_parameters.sample
        if self.group_size == 1:
            return draw(num, self.draw_seed, step, warps)
        size = num if self.group_size is None else self.group_size
        few = draw((num + size - 1) // size, self.draw_seed, step, warps)
        group = ops.arange(num) // size
        return {n: ops.take(v, group) for n, v in few.items()}

    # Its state and its configuration.

    def save_own_variables(self, store):
        super().save_own_variables(store)
        save_seed_state(self.draw_seed, store)
        self._run_length.save(store, getattr(self, "optimizer", None))

    def load_own_variables(self, store):
        rest = load_seed_state(self.draw_seed, store)
        super().load_own_variables(self._run_length.load(rest))

    def get_config(self):
        return {
            **super().get_config(),
            "loss_parameters": keras.saving.serialize_keras_object(
                self.loss_parameters
            ),
            "group_size": self.group_size,
            **self.objective.get_config(),
            "adaptive_draws": self.adaptive_draws,
            "watched": self.watched,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["loss_parameters"] = keras.saving.deserialize_keras_object(
            config["loss_parameters"]
        )
        return cls(**config)
