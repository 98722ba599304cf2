"""Distributions of a loss weight over an interval."""

import math

import keras
import numpy as np
from keras import ops

from yoto_tf.beta_config import check_shares
from yoto_tf.errors import InputError
from yoto_tf.loss_weights import LossWeight
from yoto_tf.loss_weights import check_told_apart


class _Interval(LossWeight):
    """A weight between `low` and `high`.

    Args:
        low, high: ends of the interval, `0 < low < high`.
        standardize: give the network the coordinate with mean 0 and
            deviation 1 under the distribution (Multi-Rate VAE, section 4);
            off, the coordinate as it is (the paper).
    """

    def __init__(self, low, high, standardize=True):
        if not (math.isfinite(high) and 0 < low < high):
            raise InputError(
                f"expected 0 < low < high, received: low={low}, high={high}"
            )
        check_told_apart([low, high])
        self.low = float(low)
        self.high = float(high)
        self.standardize = bool(standardize)

    # The coordinate in which the distribution is uniform.
    _forward = staticmethod(lambda x: x)
    _backward = staticmethod(lambda x: x)
    _tensor_forward = staticmethod(lambda x: x)
    _tensor_backward = staticmethod(lambda x: x)

    def _ends(self):
        return float(self._forward(self.low)), float(self._forward(self.high))

    def sample(self, batch_size, seed):
        low, high = self._ends()
        uniform = keras.random.uniform((batch_size,), low, high, seed=seed)
        return self._tensor_backward(uniform)

    def grid(self, num):
        if num == 1:
            return self._backward(np.mean(self._ends(), keepdims=True))
        values = self._backward(np.linspace(*self._ends(), num))
        # The ends exactly, not through exp(log(x)).
        values[0], values[-1] = self.low, self.high
        return values

    def _ranges(self):
        return [(self.low, self.high)]

    def coordinate(self, weights):
        x = self._tensor_forward(weights)
        if self.standardize:
            low, high = self._ends()
            # Deviation of a uniform variable: its length / sqrt(12).
            x = (x - (low + high) / 2) * (math.sqrt(12) / (high - low))
        return ops.expand_dims(x, -1)

    @property
    def coordinate_ends(self):
        if self.standardize:
            return -math.sqrt(3), math.sqrt(3)
        return self._ends()

    def describe(self):
        return f"between {self.low:g} and {self.high:g}"

    def get_config(self):
        return {
            "low": self.low,
            "high": self.high,
            "standardize": self.standardize,
        }


@keras.saving.register_keras_serializable("yoto_tf")
class LogUniform(_Interval):
    """log(weight) uniform in [log low, log high]; the paper's choice.

    The network's coordinate is the natural logarithm, standardised or not.
    A weight that needs more training than the others, or is asked for more
    often, can be given a share of the draws. Training can begin with one
    weight alone, from which the draws spread over the others.

    Args:
        low, high, standardize: as in the other intervals; a focus or a lead
            leaves the coordinate as it is.
        focus: weight in [low, high] that is drawn more often; None: none.
        focus_share: of all draws, so many are log-uniform within a factor of
            sqrt(2) of `focus`, and the others over the whole range; between
            0 and 1.
        lead: weight in [low, high] that is drawn first; None: none.
        lead_steps: so many train steps draw log-uniformly within a factor of
            sqrt(2) of `lead` alone.
        lead_share: right afterwards, so many of all draws are log-uniform
            within a factor of 4 of `lead`; 0 to 1. The others are drawn as
            if there were no lead.
        lead_fade_steps: within so many steps that share changes linearly ...
        lead_last_share: ... to this one, which stays; 0 to 1.
    """

    _forward = staticmethod(np.log)
    _backward = staticmethod(np.exp)
    _tensor_forward = staticmethod(ops.log)
    _tensor_backward = staticmethod(ops.exp)

    def __init__(
        self,
        low,
        high,
        standardize=True,
        focus=None,
        focus_share=0.6,
        lead=None,
        lead_steps=150,
        lead_share=0.6,
        lead_fade_steps=1350,
        lead_last_share=0.1,
    ):
        super().__init__(low, high, standardize)
        check_shares(
            self.low,
            self.high,
            focus,
            focus_share,
            lead,
            lead_share,
            lead_last_share,
        )
        for name, steps in (
            ("lead_steps", lead_steps),
            ("lead_fade_steps", lead_fade_steps),
        ):
            if not steps >= 0:
                raise InputError(
                    f"expected {name} of 0 or more, received: {name}={steps}"
                )
        self.focus = None if focus is None else float(focus)
        self.focus_share = float(focus_share)
        self.lead = None if lead is None else float(lead)
        self.lead_steps = int(lead_steps)
        self.lead_share = float(lead_share)
        self.lead_fade_steps = int(lead_fade_steps)
        self.lead_last_share = float(lead_last_share)

    def sample(self, batch_size, seed):
        return self.sample_at(batch_size, seed)

    def sample_at(self, batch_size, seed, step=None):
        if self.focus is None and self.lead is None:
            return super().sample(batch_size, seed)
        # One draw says both in which share it lies and where there.
        uniform = keras.random.uniform((batch_size,), seed=seed)
        if self.lead is None:
            return ops.exp(self._focused(uniform))
        return ops.exp(self._led(uniform, step))

    def _led(self, uniform, step):
        """Logarithms as they are drawn at `step`; None: at the end."""
        alone, share = False, self.lead_last_share
        if step is not None:
            step = ops.cast(step, "float32")
            alone = step < self.lead_steps
            share = ops.where(alone, 1.0, self._fading(step))
        low, high = (
            ops.where(alone, near, wide)
            for near, wide in zip(
                self._near(self.lead, octaves=1),
                self._near(self.lead, octaves=4),
                strict=True,
            )
        )
        # Where a share is 0, what is made of it is not taken.
        led = low + uniform / ops.maximum(share, 1e-6) * (high - low)
        others = (uniform - share) / ops.maximum(1 - share, 1e-6)
        return ops.where(uniform < share, led, self._focused(others))

    def _fading(self, step):
        """The share of the lead at a `step` after it was alone."""
        if not self.lead_fade_steps:
            return self.lead_last_share
        passed = (step - self.lead_steps) / self.lead_fade_steps
        change = self.lead_last_share - self.lead_share
        return self.lead_share + change * ops.minimum(passed, 1.0)

    def _focused(self, uniform):
        """Logarithms as they are drawn without the lead."""
        low, high = self._ends()
        if self.focus is None:
            return low + uniform * (high - low)
        share = self.focus_share
        near_low, near_high = self._near(self.focus, octaves=1)
        near = near_low + uniform / share * (near_high - near_low)
        others = low + (uniform - share) / (1 - share) * (high - low)
        return ops.where(uniform < share, near, others)

    def _near(self, weight, octaves):
        """Ends of `octaves` logarithms around that of `weight`."""
        low, high = self._ends()
        half = octaves * math.log(2) / 2
        center = math.log(weight)
        return max(low, center - half), min(high, center + half)

    def get_config(self):
        return {
            **super().get_config(),
            "focus": self.focus,
            "focus_share": self.focus_share,
            "lead": self.lead,
            "lead_steps": self.lead_steps,
            "lead_share": self.lead_share,
            "lead_fade_steps": self.lead_fade_steps,
            "lead_last_share": self.lead_last_share,
        }


@keras.saving.register_keras_serializable("yoto_tf")
class Uniform(_Interval):
    """weight uniform in [low, high]."""
