"""What a step measures: means of the terms, and metrics of the outputs."""

import inspect
import re
import types

import keras
import tensorflow as tf
from keras import ops
from keras.src.trainers import compile_utils

from yoto_tf.errors import InputError
from yoto_tf.method import replicas


class Trackers:
    """Running means by name, made when the first step is traced.

    Not a part of the model's state: they start anew with every epoch.

    Args:
        labels: of the watched values; what stands behind the names of their
            terms and metrics.
    """

    def __init__(self, labels):
        # TensorFlow lets a step make variables when it is first traced, and
        # not when it is traced again for data of another kind: all labels at
        # once, and "" for values that a user asks for.
        self._labels = ["", *labels]
        self._means = {}
        self._scores = {}
        self._compiled = {}
        self._output_names = None

    def compile(self, output_names=None, **metrics):
        """Notes the `metrics` and `weighted_metrics` of `Model.compile`.

        Args:
            output_names: of several outputs, by which a dict of metrics
                calls them; None: they have none.
            **metrics: as `compile` takes them.

        Raises:
            InputError: for a metric that cannot be made anew.
        """
        for given in metrics.values():
            _copies(given)
        self._compiled = {k: v for k, v in metrics.items() if v}
        self._scores = {}
        self._output_names = output_names

    @property
    def all(self):
        """Every Keras metric, and what tells callbacks which way is better."""
        return [*self._own(), _Directions(self._directions())]

    @property
    def names(self):
        """Of the metrics, before they have measured anything."""
        return [metric.name for metric in self._own()]

    def _own(self):
        scores = [m for c in self._scores.values() for m in c.metrics]
        return [*self._means.values(), *scores]

    def _directions(self):
        """dict, name in the logs -> `"up"` or `"down"`, where it is known."""
        found = dict.fromkeys(self._means, "down")  # costs
        for label, scores in self._scores.items():
            for name, metric in _by_names(scores):
                if hasattr(metric, "_direction"):
                    found[_named(name, label)] = metric._direction
        return found

    @property
    def has_scores(self):
        """Whether metrics were compiled."""
        return bool(self._compiled)

    def prepare(self, terms):
        """Makes the means of terms of these names, if there are none yet."""
        if self._means:
            return
        names = ["loss"]
        names += [_named(n, at) for at in self._labels for n in terms]
        self._means = {
            # TensorFlow's names have no "=".
            n: keras.metrics.Mean(name=re.sub(r"[^\w.]", "_", n))
            for n in names
        }

    def means(self, label, loss, terms):
        """Adds a batch to the means of one label.

        Args:
            label: `""`, or what stands behind the name of each term.
            loss: `(batch,)`; its mean is over all labels.
            terms: dict, name -> `(batch,)`.

        Returns:
            dict, name -> the mean so far.
        """
        self.prepare(terms)
        values = {"loss": loss}
        values |= {_named(n, label): t for n, t in terms.items()}
        unknown = sorted(set(values) - set(self._means))
        if unknown:
            raise InputError(
                "expected loss_terms() to return the same terms in every "
                f"step, received: {unknown[0]!r} as a new one"
            )
        for name, value in values.items():
            self._means[name].update_state(*replicas.global_mean(value))
        return {n: self._means[n].result() for n in values}

    def prepare_scores(self, y, outputs):
        """Makes the compiled metrics for targets and outputs like these, if
        there are none yet."""
        if self._scores or not self._compiled:
            return
        y, outputs = keras.tree.map_structure(
            lambda t: keras.KerasTensor(t.shape, t.dtype),
            _paired(y, outputs),
        )
        # Outside of the graph: a copy on a second replica begins as the first
        # one, which a graph cannot say.
        with tf.init_scope():
            self._scores = {at: self._new_scores() for at in self._labels}
            for scores in self._scores.values():
                scores.build(y, outputs)
                replicas.build_metrics(scores, y, outputs)

    def scores(self, label, y, outputs, sample_weight=None):
        """Adds a batch to the compiled metrics of one label.

        Args:
            label: as for `means`.
            y, outputs, sample_weight: of the batch.

        Returns:
            dict, name -> result.
        """
        if not self._compiled:
            return {}
        if y is None:
            raise InputError(
                "expected targets y for compile(metrics=...), received: none"
            )
        self.prepare_scores(y, outputs)
        scores = self._scores[label]
        y, outputs = _paired(y, outputs)
        scores.update_state(y, outputs, sample_weight)
        found = {_named(n, label): v for n, v in scores.result().items()}
        twice = sorted(set(found) & set(self._means))
        if twice:
            raise InputError(
                "expected metrics that are called otherwise than the terms, as "
                "by name=..., received: a metric and a term "
                f"{twice[0].removesuffix(_named('', label))!r}"
            )
        return found

    def _new_scores(self):
        return compile_utils.CompileMetrics(
            _copies(self._compiled.get("metrics")),
            _copies(self._compiled.get("weighted_metrics")),
            output_names=self._output_names,
        )


def _by_names(scores):
    """The metrics of `CompileMetrics`, by the names of its results, which
    have the name of an output in front."""
    for metric in scores.metrics:
        yield metric.name, metric
        for output in scores.output_names or ():
            yield f"{output}_{metric.name}", metric


class _Directions(compile_utils.MetricsList):
    """What Keras' callbacks look through for the direction of `monitor=`:
    metrics by the names of the logs, which those of ours cannot have."""

    def __init__(self, directions):
        super().__init__(
            [
                types.SimpleNamespace(name=name, _direction=direction)
                for name, direction in directions.items()
            ],
            name="directions",
        )

    def reset_state(self):
        """Nothing to do: it measures nothing."""

    def result(self):
        return {}


def _paired(y, outputs):
    """A target for each of the outputs: Keras would score as many of these as
    there are targets, and say nothing of metrics of the others."""
    nested = keras.tree.is_nested
    if not nested(outputs):
        return (y, outputs) if nested(y) else _as_columns(y, outputs)
    if not nested(y):
        y = keras.tree.map_structure(lambda _: y, outputs)
    if isinstance(y, dict) and isinstance(outputs, dict):
        missing = sorted(set(outputs) - set(y))
        if missing:
            raise InputError(
                "expected targets of every output, or one tensor for all, for "
                f"compile(metrics=...), received: none of {missing[0]!r}"
            )
        y = {name: y[name] for name in outputs}
    targets, scored = keras.tree.flatten(y), keras.tree.flatten(outputs)
    if len(targets) == len(scored):
        pairs = [_as_columns(*p) for p in zip(targets, scored, strict=True)]
        y = keras.tree.pack_sequence_as(y, [p[0] for p in pairs])
        outputs = keras.tree.pack_sequence_as(outputs, [p[1] for p in pairs])
    return y, outputs


def _as_columns(y, outputs):
    """One number per example as `(batch, 1)`: Keras' metrics average over the
    last axis, and would count every batch alike, whatever its size."""
    if getattr(outputs, "shape", None) is None or len(outputs.shape) != 1:
        return y, outputs
    if len(y.shape) == 1:
        y = ops.expand_dims(y, -1)
    return y, ops.expand_dims(outputs, -1)


def _named(name, label):
    return f"{name}_at_{label}" if label else name


def _copies(metrics):
    """New metrics of the same configurations, in the same structure."""
    if metrics is None:
        return None
    return keras.tree.map_structure(
        lambda m: _copy(m) if isinstance(m, keras.metrics.Metric) else m,
        metrics,
    )


def _copy(metric):
    config = metric.get_config()
    if type(metric).__module__.startswith("keras."):
        # What those of a function leave out of it stands there; others leave
        # out what is not given (thresholds of an AUC).
        function = getattr(metric, "_fn_kwargs", {})
        known = inspect.signature(type(metric)).parameters
        config |= {k: v for k, v in function.items() if k in known}
        return type(metric).from_config(config)
    kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    for name, parameter in inspect.signature(type(metric)).parameters.items():
        if parameter.kind not in kinds and name not in {*config, "dtype"}:
            raise InputError(
                "expected metrics whose get_config() has all arguments of "
                "their class, as one is made for each value that is watched, "
                f"received: {type(metric).__name__} without {name!r}"
            )
    return type(metric).from_config(config)
