"""What the scripts know of a model: everything else is the same for all.

A family says how its data are loaded, its model is made and scored, and what
there is to see. `training`, `export` and `serving` ask it, and contain no
word about any of them. Imports no TensorFlow, so that a command line answers
at once.
"""

from yoto_tf import points
from yoto_tf.errors import InputError
from yoto_tf.families.parts import Column
from yoto_tf.families.parts import Dimension
from yoto_tf.families.parts import LineFigure
from yoto_tf.families.parts import Metric
from yoto_tf.families.parts import Preset
from yoto_tf.families.view import View
from yoto_tf.settings import Settings


class Family:
    """A kind of model that the scripts train, score, draw, export and serve.

    Subclass it and name an instance as `--family module:name`, or by an entry
    point of the group `yoto_tf.families`.

    Attributes:
        name: how it is named; set when it is looked up.
        settings: the class of its settings, a `yoto_tf.settings.Settings`.
        presets: dict, name -> `Preset`.
        parameters: names of the loss parameters that users choose.
        columns: list of `Column`: of the printed table, in its order.
        trade_off: two `Column`s, costs: the axes of the trade-off's figure,
            whose hypervolume is measured where `reference` says up to where.
        objective: the `Column` that a search minimises, averaged over the
            grid, and studies compare; the loss under the asked parameters.
        unit: of the terms, as `"nats per image"`.
        width: dotted name of the setting that scales the network, if any.
        dimensions: list of `Dimension`s that `training.tune` may vary.
        lines: list of `LineFigure`s that `training.plots` and studies draw.
        metrics: dict, name -> `Metric`: what `training.evaluate --metrics`
            can measure beside the scores.
        view: `yoto_tf.families.view.View`, how a page shows it; None: by the
            shapes of what is served.
    """

    name = ""
    settings: type[Settings]
    presets: dict[str, Preset] = {}
    parameters: tuple[str, ...] = ()
    columns: list[Column] = []
    trade_off: tuple[Column, Column]
    objective = Column("full_loss", "full loss")
    unit = ""
    width: str | None = None
    dimensions: list[Dimension] = []
    lines: list[LineFigure] = []
    metrics: dict[str, Metric] = {}
    view: View | None = None

    def for_settings(self, settings):
        """The family as it is for some settings, where these say which loss
        parameters and scores there are; see `families.family_for`."""
        return self

    # Data.

    def load(self, settings, parts=("train", "test"), known=None):
        """Loads and splits the data.

        Args:
            settings: of the run; only its `data` may count, by which a study
                tells whether two runs have the same.
            parts: what is needed, of `train` and `test`; the others may come
                back empty.
            known: what the run's `data.json` says of the data that it was
                begun with; None: nothing is begun.

        Returns:
            `yoto_tf.data.Splits`.

        Raises:
            InputError: for data that cannot be used.
        """
        raise NotImplementedError

    def check(self, settings):
        """Refuses settings, before data are loaded for them."""

    def is_here(self, settings):
        """Whether `load` needs no downloading or rendering."""
        return True

    def training_batches(self, settings, splits, batch_size, first_epoch):
        """Endless batches of `splits.train`, from the start of an epoch.

        The order must follow from the seed and the epoch alone, so that a
        run that continues sees what it would have seen.

        Returns:
            `tf.data.Dataset` of what `fit` takes.
        """
        from yoto_tf.data import pipeline

        return pipeline.training_batches(
            splits.train, batch_size, settings.training.seed, first_epoch
        )[0]

    def random_examples(self, preset, num):
        """Examples of a preset's shapes, for benchmarks without its data."""
        raise NotImplementedError

    def input_variants(self, settings):
        """dict, what to call it -> settings whose input is measured."""
        return {"input pipeline": settings}

    # The model.

    def model(self, settings, splits):
        """Makes the model of a run, not compiled.

        Returns:
            `yoto_tf.LossConditionalModel`.
        """
        raise NotImplementedError

    def register(self):
        """Imports what Keras needs to load the models of this family."""
        import yoto_tf.models  # noqa: F401

    def fixed(self, settings, point):
        """The settings of a separate model for one point: the baseline.

        Args:
            settings: of the family.
            point: dict, name -> value, of all `parameters`.

        Returns:
            dict, dotted name of a setting -> value.
        """
        raise NotImplementedError

    def unconditioned(self, settings):
        """dict, dotted name -> value, that leaves the network untold, to
        measure what conditioning costs; None where that cannot be."""
        return None

    # Scores.

    def grid(self, settings):
        """Points at which a run is scored: list of dicts."""
        raise NotImplementedError

    def score(self, model, examples, grid, batch_size=500, seed=0, done=None):
        """Scores a model at every point of a grid.

        Args:
            model: of `model`, trained.
            examples: a part of `load`'s splits.
            grid: list of dicts, name -> value.
            batch_size: examples at a time.
            seed: of what is drawn in scoring.
            done: called with the number of finished points.

        Returns:
            list of dicts, a row of `curve.csv` per point: the parameters,
            `full_loss` and `full_loss_se`, and what else there is.
        """
        from yoto_tf.evaluation.sweep import sweep

        return sweep(model, examples, grid, batch_size, done)

    def check_validation(self, settings):
        """Refuses settings whose scores on the validation examples would say
        nothing, as of something that is chosen on them.

        Raises:
            InputError: in a sentence.
        """

    def judged(self, row, point):
        """The full loss that a row of `score` has under the values of another
        point, where losses are sums of terms times their weights; None: the
        scores do not tell."""
        return None

    def factors(self, settings):
        """What the test examples are known to differ by, for the `metrics`
        that need it: dict, name -> `(n,)` labels, in the order of `load`;
        None: the data tell of nothing."""
        return None

    def measurer(self, model, examples, factors=None, seed=0):
        """Measures what is in `metrics`.

        Args:
            model: of `model`, trained.
            examples: a part of `load`'s splits.
            factors: of these examples, or None.
            seed: of what is drawn.

        Returns:
            `measure(name, point, size=None)`: dict, column -> number; with an
            attribute `facts`, a dict for `evaluation.json`.
        """
        raise NotImplementedError

    def reference(self, model, example_shape):
        """Costs up to which the hypervolume counts, in the order of
        `trade_off`; None: it is not measured."""
        return None

    def per_value(self, example_shape):
        """`(factor, unit)`: what turns a loss into one that can be compared
        over data sets, as bits per dimension; None: nothing does."""
        return None

    def scale(self, example_shape):
        """`per_value`, or 1 and the unit of the objective."""
        return self.per_value(example_shape) or (1.0, self.objective.unit)

    # Pictures, of families that have some.

    def input_pictures(self, examples):
        """`(n, height, width, channels)` in [0, 1]; None: there are none."""
        return None

    def output_pictures(self, model, examples, point):
        """What the model makes of them at a point, of the same shape."""
        raise NotImplementedError

    def further_pictures(self, model, examples, grid, seed):
        """Yields a `PictureGrid` for whatever else there is to see."""
        return ()

    def shown_points(self, model, settings):
        """The few points that are shown while training."""
        return model.loss_parameters.watched()

    # Serving.

    def owns(self, model):
        """Whether a model that was trained in Python is one of these."""
        return False

    def endpoints(self, model, invalid_rows="error", example=lambda: None):
        """What a server answers.

        Args:
            model: of `model`, trained.
            invalid_rows: see `yoto_tf.rows.RowPolicy`.
            example: returns a few inputs, as `model.export` takes them; they
                are loaded when it is called.

        Returns:
            list of `yoto_tf.endpoint.Endpoint`: `loss_parameters` and others,
            of which the first is the default.
        """
        from yoto_tf.method.generic_endpoints import generic_endpoints

        return generic_endpoints(model, example(), invalid_rows)

    def example(self, settings, known=None, num=24):
        """A few inputs of the test data, evenly spread over them.

        Args:
            settings, known: as for `load`.
            num: how many at most.

        Returns:
            `(n, ...)` array, or a dict of such by the names of the inputs.
        """
        examples = self.load(settings, ("test",), known).test
        last = len(examples) - 1
        step = last / max(min(num, len(examples)) - 1, 1)
        some = examples[[round(i * step) for i in range(min(num, last + 1))]]
        return getattr(some, "x", some)

    def view_of(self, model):
        """`view`, of one model: where the names of columns depend on it."""
        return self.view

    def facts(self, model):
        """dict for the export's manifest, of what is the family's own."""
        return {}

    def released_snippet(self, name):
        """Python for the card of a released model: how it is loaded."""
        return (
            "from yoto_tf import released\n\n"
            f'model = released.run("{name}").load_model()'
        )

    # Searches.

    def searched(self, settings, chosen):
        """Puts in order what a search chose, where the value of one dimension
        leaves another setting without effect.

        Args:
            settings: that the search started from.
            chosen: dict, dotted name of a setting -> value.

        Returns:
            The same dict, or one with more or fewer settings.
        """
        return chosen

    # What follows from the above.

    def read(self, values):
        """Settings from what `to_dict` of them gave."""
        return self.settings.from_dict(values)

    def grid_of(self, texts, settings):
        """The grid that a command line asks for, or that of the settings."""
        if not texts:
            return self.grid(settings)
        given = points.parsed(texts, self.parameters)
        missing = [n for n in self.parameters if n not in given]
        if missing:
            raise InputError(
                f"expected values for {', '.join(self.parameters)}, "
                f"received: none for {', '.join(missing)}"
            )
        return points.product({n: given[n] for n in self.parameters})
