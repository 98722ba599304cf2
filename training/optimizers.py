"""Adam with the learning-rate schedule of an `OptimizerConfig`."""

import keras

from yoto_tf.optimizers import FusedAdam
from yoto_tf.optimizers import WarmupStableDecay


def make_optimizer(config, total_steps):
    """Builds the optimizer.

    Args:
        config: `yoto_tf.settings.OptimizerConfig`.
        total_steps: of the whole run; where `cosine` and `wsd` reach 0.
    """
    return FusedAdam(
        learning_rate=_schedule(config, total_steps),
        beta_2=config.beta_2,
        epsilon=config.epsilon,
        # Keras decays by weight_decay * learning rate; None switches it off.
        weight_decay=config.weight_decay or None,
        global_clipnorm=config.clip_norm,
        clip_ratio=config.clip_ratio,
    )


def _schedule(config, total_steps):
    rate = config.learning_rate
    match config.schedule:
        case "constant":
            return rate
        case "halving":
            values = [rate / 2**k for k in range(len(config.halve_at) + 1)]
            return keras.optimizers.schedules.PiecewiseConstantDecay(
                list(config.halve_at), values
            )
        case "cosine":
            warmup = min(config.warmup_steps, total_steps - 1)
            if not warmup:
                return keras.optimizers.schedules.CosineDecay(rate, total_steps)
            return keras.optimizers.schedules.CosineDecay(
                0.0,
                total_steps - warmup,
                warmup_target=rate,
                warmup_steps=warmup,
            )
        case "wsd":
            return WarmupStableDecay(
                rate,
                total_steps,
                min(config.warmup_steps, total_steps // 2),
                round(config.decay_share * total_steps),
            )
