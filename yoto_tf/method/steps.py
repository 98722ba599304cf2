"""The steps of training, evaluation and prediction."""

import keras
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method import asking
from yoto_tf.method import batch_parts
from yoto_tf.method import first_rows
from yoto_tf.method import given_data
from yoto_tf.method import graph
from yoto_tf.method import precision
from yoto_tf.method import replicas
from yoto_tf.method import several_workers
from yoto_tf.method import told
from yoto_tf.method.assertions import after
from yoto_tf.method.assertions import checked
from yoto_tf.method.assertions import checked_number
from yoto_tf.method.assertions import hold
from yoto_tf.method.data_model import DataModel
from yoto_tf.method.objective import Reads
from yoto_tf.method.objective import check_terms


class Steps(DataModel):
    """The steps of a `LossConditionalModel`, whose attributes they use."""

    _untold = ""  # what `told` warned of

    def train_step(self, data):
        given, x, y, sample_weight, asked = self._unpacked(data)
        if asked is not None:
            raise InputError(
                "expected data without loss_parameters, which training "
                "draws, received: {'inputs': ..., 'loss_parameters': ...}"
            )
        several = replicas.in_replica()
        num = asking.batch_size(x)
        place = replicas.place(num)
        whole = self._whole_groups(place.total)
        first = first_rows.finished_steps(self.optimizer)
        step = self._run_length.done(self.optimizer)
        # What is refused must change nothing: no step is counted, no weight
        # decays, no layer keeps statistics or draws numbers.
        everything = [*self.variables, *self.optimizer.variables]
        hold(everything, x, y, whole)
        with replicas.known(place):
            drawn = self.sample_loss_parameters(num, step)
            (per_example, terms), gradients = self._gradients(
                (x, y, sample_weight, drawn), step, num
            )
        good = self._finite_at_first(terms, first, sample_weight)
        self._note_batch(*given)
        with after(x, y, per_example, good):
            self._first_rows.note(self.served_inputs(given[0]), self.optimizer)
        gradients = replicas.summed(gradients, self.optimizer)
        everything = [*self.variables, *self.optimizer.variables]
        # Another replica may have refused: its share of the sum is missing.
        hold(everything, x, y, per_example, good, several and gradients)
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_variables, strict=True)
        )
        self._follow(drawn, terms)
        means = self._trackers.means("", per_example, terms)
        return several_workers.logs(means)

    def _follow(self, drawn, terms):
        """Draws follow what a batch has shown of them."""
        if self._adaptive is None:
            return
        at = self.loss_parameters.position
        self._adaptive.update(
            {n: at(n, drawn[n]) for n in self._adaptive.terms}, terms
        )

    def _gradients(self, batch, step, num):
        """The loss and the terms `(batch,)` of `(x, y, sample_weight, drawn)`,
        and gradients of what this replica adds to the loss."""
        if self.batch_parts > 1:
            return batch_parts.computed(
                lambda rows, total: self._loss_and_gradients(
                    *rows, step, total
                ),
                batch,
                num,
                self.batch_parts,
                self.group_size,
            )
        total = replicas.place(num).total if replicas.in_replica() else None
        return self._compiled(self._loss_and_gradients)(*batch, step, total)

    def _loss_and_gradients(self, x, y, sample_weight, drawn, step, total):
        with tf.GradientTape() as tape:
            outputs = self.run(x, drawn, training=True)
            told.warn_of_untold(self, outputs, drawn)
            terms = self.checked_terms(x, y, outputs, drawn)
            followed = self.training_terms(terms, outputs, drawn, step)
            if set(followed) != set(terms):
                raise InputError(
                    "expected training_terms() to return the terms "
                    f"{sorted(terms)}, received: {sorted(followed)}"
                )
            warmed = self.objective.warmed(followed, step, self._run_length())
            per_example = _weighted(
                self.objective(warmed, drawn), sample_weight
            )
            # Of layers that add some: regularizers.
            further = ops.cast(sum(self.losses, 0.0), per_example.dtype)
            mean = _shared_mean(per_example, further, total)
            scaled = self.optimizer.scale_loss(mean)
        told.check_splines(self)
        if not self.trainable_variables:
            raise InputError(
                "expected a model with layers to train, as attributes of it, "
                f"received: {type(self).__name__} without trainable weights"
            )
        gradients = tape.gradient(scaled, self.trainable_variables)
        # An embedding's is slices, of which Keras' optimizers square each,
        # not their sum: another step for another number of parts.
        gradients = [
            g if g is None else tf.convert_to_tensor(g) for g in gradients
        ]
        return (per_example + further, terms), gradients

    def test_step(self, data):
        given, x, y, sample_weight, asked = self._unpacked(data)
        if asked is not None:
            points = {"": asking.values_for(x, self.loss_parameters, asked)}
        else:
            points = {
                self.loss_parameters.label(w): asking.filled(w, x)
                for w in self.watched
            }
        score = self._compiled(self._scored)
        place = replicas.place(asking.batch_size(x))
        results = {}
        for label, values in points.items():
            with replicas.known(place):
                outputs, masks, loss, terms = score(x, y, sample_weight, values)
            results |= self._trackers.means(label, loss, terms)
            results |= self._trackers.scores(
                label, *self._for_metrics(y, outputs, masks, sample_weight)
            )
        self._note_batch(*given)
        return several_workers.logs(results)

    def _for_metrics(self, y, outputs, masks, sample_weight):
        """What the compiled metrics see: what a replica reads of a metric is
        its own part, so that each has to see the global batch."""
        if self._trackers.has_scores:
            y, outputs, masks, sample_weight = replicas.gathered(
                (y, outputs, masks, sample_weight)
            )
        flat = zip(
            tf.nest.flatten(outputs), tf.nest.flatten(masks), strict=True
        )
        for output, mask in flat:
            graph.set_mask(output, mask)
        return y, outputs, sample_weight

    def _scored(self, x, y, sample_weight, values):
        values = precision.widened(values, self.loss_dtype)
        outputs = self.run(x, values, training=False)
        terms = self.checked_terms(x, y, outputs, values)
        loss = _weighted(self.objective(terms, values), sample_weight)
        # Of layers that add some, as in training: regularizers.
        loss += ops.cast(sum(self.losses, 0.0), loss.dtype)
        # Compiled functions hand on tensors without their masks.
        masks = keras.tree.map_structure(graph.mask_of, outputs)
        return outputs, masks, loss, terms

    def predict_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self(_with_examples(x), training=False)

    def _unpacked(self, data):
        """The batch as it was given and as it was checked, and the loss
        parameters that it brings, or None."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x, asked = asking.unwrapped(x)
        checked_x, checked_y = self.check_batch(x, y)
        given = x, y
        return given, _with_examples(checked_x), checked_y, sample_weight, asked

    def checked_terms(self, x, y, outputs, loss_parameters):
        """Returns `loss_terms`, checked, in float32 or more.

        Args:
            x, y: a batch, as `check_batch` returns it.
            outputs: of `run`.
            loss_parameters: dict, name -> `(batch,)`.

        Raises:
            InputError: for terms of another shape, and for a parameter that
                is neither the weight of a term nor read by one.
        """
        seen = Reads(loss_parameters)
        with (
            precision.dtype_errors(self.dtype_policy),
            given_data.target_errors(y),
        ):
            terms = self.loss_terms(
                *precision.widened((x, y, outputs), self.loss_dtype), seen
            )
        check_terms(terms, tf.nest.flatten(x)[0].shape[0])
        self._check_weights(terms)
        used = seen.read | {self.weight_names.get(n, n) for n in terms}
        idle = sorted(set(loss_parameters) - used)
        if idle:
            raise InputError(
                "expected every loss parameter to be the weight of a term "
                f"among {sorted(terms)} or to be read by loss_terms(), "
                f"received: {idle[0]!r}, which is neither"
            )
        return {n: precision.at_least_float32(t) for n, t in terms.items()}

    def _check_weights(self, terms):
        if self.objective.normalization == "none":
            return
        for name in (self.weight_names.get(n, n) for n in terms):
            if not self.loss_parameters.is_positive(name):
                raise InputError(
                    f"expected weights above 0 for normalization="
                    f"{self.objective.normalization!r}, received: {name} "
                    f"{self.loss_parameters.describe(name)}"
                )

    def _finite_at_first(self, terms, step, sample_weight):
        """Refuses terms and sample weights that are not finite before the
        first update: it is a formula or data that are wrong."""
        if self.compute_dtype == "float16":
            # What overflows is left to the scaling of the loss.
            return terms
        found = {}
        if sample_weight is not None:
            weights = ops.cast(sample_weight, "float32")
            terms = {**terms, "sample_weight": weights}
        for name, term in terms.items():
            finite = ops.isfinite(term)
            found[name] = checked(
                term,
                ops.any(step > 0) | ops.all(finite),
                "expected terms and sample weights that are finite before "
                f"training, received: {name}=",
                ops.sum(ops.where(finite, ops.zeros_like(term), term)),
            )
        return found

    def _whole_groups(self, num):
        """The number of examples, if it is a multiple of `group_size`."""
        size = self.group_size or 1
        sentence = (
            f"expected batches of a multiple of group_size={size} examples, "
            "drop_remainder=True drops a last one that is not full, received:"
        )
        return checked_number(num, num % size == 0, sentence)


def _with_examples(x):
    """Refuses a batch of no examples, whose mean is NaN, and all weights after
    a step of it. One of several replicas may have none."""
    first = tf.nest.flatten(x)[0]
    rank = tf.TensorShape(getattr(first, "shape", None)).rank
    if replicas.in_replica() or not rank:
        return x
    num = asking.batch_size(x)
    if isinstance(num, int) and num:
        return x
    sentence = "expected one or more examples in every batch, received: none"
    if isinstance(num, int):
        raise InputError(sentence)
    return tf.nest.map_structure(lambda t: checked(t, num > 0, sentence), x)


def _shared_mean(per_example, further, total):
    """The mean and layers' own losses; of one part of several, what it adds
    to those of the global batch of `total` examples."""
    if total is None:
        return ops.mean(per_example) + further
    total = ops.cast(total, per_example.dtype)
    rows = ops.cast(ops.shape(per_example)[0], per_example.dtype)
    return ops.sum(per_example) / total + further * rows / total


def _weighted(per_example, sample_weight):
    if sample_weight is None:
        return per_example
    shape = getattr(sample_weight, "shape", None)
    if shape is None or len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
        received = (
            type(sample_weight).__name__
            if shape is None
            else f"sample_weight.shape={tuple(shape)}"
        )
        raise InputError(
            "expected sample_weight with one number per example, (batch,), "
            f"received: {received}"
        )
    # Keras hands on `(batch, 1)` as it comes, which would broadcast.
    return per_example * ops.cast(
        ops.reshape(sample_weight, ops.shape(per_example)), per_example.dtype
    )
