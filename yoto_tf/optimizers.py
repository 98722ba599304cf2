"""Adam with its update in one operation per variable, clipped gradients that
know no scale, and a schedule."""

import keras
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError


@keras.saving.register_keras_serializable("yoto_tf")
class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, the same update, in TensorFlow's fused kernel.

    Keras writes the update as about a dozen operations per variable. The
    nets here have 60 to 120 small variables, so that starting operations
    costs more than computing them: without it the `cifar10` step took 5 %
    longer, the larger `rendered_shapes3d` step about as long. Takes the
    arguments of Adam, `amsgrad` excepted.

    Args:
        clip_ratio: scales all gradients of a step down, by one factor, so
            that none has more than so many times its variable's root mean
            square norm up to now, which is the root of the sum of Adam's
            second moments (AdaGC: Wang et al., arXiv 2502.11034, has a
            factor for each variable; here the outlier of one is an outlier
            of the batch); None: does not. With Adam's defaults one outlier
            moves a weight by up to 31 learning rates in one direction, the
            sum of its momentum over the root of its second moment; then by
            up to `clip_ratio`. There is no scale of a loss to tune it to.
    """

    def __init__(self, *args, clip_ratio=None, **kwargs):
        super().__init__(*args, **kwargs)
        if clip_ratio is not None and not clip_ratio > 1:
            raise InputError(
                f"expected clip_ratio above 1 or None, received: {clip_ratio=}"
            )
        self.clip_ratio = clip_ratio
        if self.amsgrad:
            raise InputError(
                "expected amsgrad=False, received: amsgrad=True; "
                "keras.optimizers.Adam has it"
            )

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        # What is the same for all variables, once a step and not once a
        # variable.
        step = tf.cast(self.iterations + 1, "float32")
        self._powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        # Of several replicas the sum is clipped, not what one adds to it.
        grads_and_vars = super()._all_reduce_sum_gradients(grads_and_vars)
        if self.clip_ratio is None:
            return grads_and_vars
        grads, variables = zip(*grads_and_vars, strict=True)
        grads = self._clipped(grads, variables)
        return list(zip(grads, variables, strict=True))

    def _clipped(self, grads, trainable_variables):
        moments = [
            self._velocities[self._get_variable_index(v)]
            for v in trainable_variables
        ]
        # Variables may differ in their dtypes.
        squares = tf.stack(
            [tf.cast(2 * tf.nn.l2_loss(g), "float32") for g in grads]
        )
        before = tf.stack(
            [tf.cast(tf.reduce_sum(m), "float32") for m in moments]
        )
        # The mean of the steps before this one, without its bias to 0.
        passed = tf.cast(self.iterations, "float32")
        before /= tf.maximum(1 - tf.pow(self.beta_2, passed), 1e-12)
        # Where nothing came yet, as in a first step or behind weights that
        # begin at 0, there is nothing to compare with.
        compared = (before > 0) & (squares > 0)
        shares = tf.where(compared, before / squares, 1.0)
        factor = self.clip_ratio * tf.sqrt(tf.reduce_min(shares))
        factor = tf.minimum(factor, 1.0)
        return [g * tf.cast(factor, g.dtype) for g in grads]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)

        def cast(value):
            return tf.cast(value, variable.dtype)

        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=cast(self._powers[0]),
            beta2_power=cast(self._powers[1]),
            lr=cast(learning_rate),
            beta1=cast(self.beta_1),
            beta2=cast(self.beta_2),
            epsilon=cast(self.epsilon),
            grad=gradient,
        )

    def _apply_weight_decay(self, variables):
        if self.weight_decay is None or tf.distribute.has_strategy():
            super()._apply_weight_decay(variables)
            return
        # Keras works the schedule out again for every variable.
        rate = self.weight_decay * self.learning_rate
        for variable in variables:
            if self._use_weight_decay(variable):
                variable.assign_sub(variable * tf.cast(rate, variable.dtype))

    def get_config(self):
        return {**super().get_config(), "clip_ratio": self.clip_ratio}


@keras.saving.register_keras_serializable("yoto_tf")
class WarmupStableDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear rise, a constant rate, linear fall to 0 (Hu et al., MiniCPM,
    COLM 2024).

    Under a distribution of loss weights only some of a batch's examples
    teach what one weight needs, so that more steps at the full rate pay
    longer than in training for that weight alone.

    Args:
        learning_rate: of the constant part.
        total_steps: after so many steps the rate is 0.
        warmup_steps: of the rise.
        decay_steps: of the fall.
    """

    def __init__(self, learning_rate, total_steps, warmup_steps, decay_steps):
        super().__init__()
        self.learning_rate = float(learning_rate)
        self.total_steps = int(total_steps)
        self.warmup_steps = int(warmup_steps)
        self.decay_steps = int(decay_steps)

    def __call__(self, step):
        step = ops.cast(step, "float32")
        risen = step / self.warmup_steps if self.warmup_steps else 1.0
        left = (self.total_steps - step) / max(self.decay_steps, 1)
        share = ops.minimum(ops.minimum(risen, left), 1.0)
        return self.learning_rate * ops.maximum(share, 0.0)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "decay_steps": self.decay_steps,
        }
