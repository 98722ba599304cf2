"""Draws that follow the need: more of them where a weight's term is large."""

import math
import numbers

import keras
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method import replicas

BANDS = 16
_POWER = 1.5
# Of an example of a band: some 100 of them are remembered.
_MEMORY = 0.99
# So many of them that float32 holds their sum.
_LARGEST = 1e30


class AdaptiveDraws(keras.layers.Layer):
    """Warps the uniform numbers that weights are drawn from.

    The range of each weight with a `LogUniform` or `Uniform` distribution is
    cut into 16 bands, evenly in the coordinate in which that is uniform. Band
    k is drawn with

        p_k = (1 - share) / 16 + share * T_k ** 1.5 / sum_j T_j ** 1.5

    T_k is the running mean, over the last 100 or so of its examples, of the
    term that the weight multiplies. A term which the weight has pressed to
    nothing has little left to teach there, as the rate at large beta, and one
    that is large has much. The power is of our own measurements: 1 leaves the
    smallest weights behind in long runs (docs/lab/one_default.md).

    It changes how often the network sees a weight, and neither what it is
    told of it nor how its loss is weighted. The means are a part of the
    model's state.

    Args:
        terms: dict, name of a parameter -> of the term that it weighs, or a
            list of names, whose terms are added up. Of a term below 0, as a
            log-likelihood is, what counts is 0: its draws stay even.
        share: above 0 and below 1, of the draws that follow the means. The
            others are even, so that no band is left out for good: not one
            that the first batches lack, nor one whose term is 0 for now.

    Raises:
        InputError: for a share out of its range, or without any weight whose
            draws could follow.
    """

    def __init__(self, terms, share, **kwargs):
        # Sums of terms, whatever the layers of a network compute in.
        super().__init__(**{**kwargs, "dtype": "float32"})
        if not 0 < share < 1:
            raise InputError(
                "expected adaptive_draws from 0 to below 1, received: "
                f"adaptive_draws={share}"
            )
        self.terms = {
            n: [t] if isinstance(t, str) else list(t) for n, t in terms.items()
        }
        self.share = float(share)
        self._means = self.add_weight(
            shape=(len(self.terms), BANDS),
            initializer="zeros",
            dtype="float32",
            trainable=False,
            # Every replica works out the same.
            aggregation="mean",
            name="means",
        )
        self.built = True

    def shares(self):
        """How often each band is drawn.

        Returns:
            `(weights, 16)` float32; every row has a sum of 1.
        """
        # Before the first step, and if a term is 0 everywhere: evenly.
        means = self._means + 1e-30
        # Of the largest: powers of large ones would overflow.
        means = means / ops.max(means, axis=-1, keepdims=True)
        means = ops.power(means, _POWER)
        follow = means / ops.sum(means, axis=-1, keepdims=True)
        return (1 - self.share) / BANDS + self.share * follow

    def warps(self):
        """dict, name of a parameter -> a function of uniform numbers."""
        shares = self.shares()
        return {
            name: lambda uniform, row=shares[i]: _inverse(row, uniform)
            for i, name in enumerate(self.terms)
        }

    def update(self, positions, terms):
        """Takes in a batch.

        Args:
            positions: dict, name of a parameter -> `(batch,)` in [0, 1],
                where in its range each example's value lies.
            terms: dict, name of a term -> `(batch,)`.
        """
        if not set().union(*self.terms.values()) & set(terms):
            raise InputError(
                "expected adaptive_draws=0 where no loss parameter is the "
                f"weight of a term among {sorted(terms)}, received: "
                f"adaptive_draws={self.share}"
            )
        rows = []
        for i, (name, weighed) in enumerate(self.terms.items()):
            before = self._means[i]
            there = [terms[t] for t in weighed if t in terms]
            if not there:
                # Not a weight: evenly.
                rows.append(before)
                continue
            band = ops.cast(positions[name] * BANDS, "int32")
            band = ops.one_hot(
                ops.clip(band, 0, BANDS - 1), BANDS, dtype="float32"
            )
            value = sum(ops.cast(t, "float32") for t in there)
            # Under float16 some overflow, and the step is left out; the
            # means would not forget an infinity.
            finite = ops.isfinite(value)
            band = band * ops.cast(finite, "float32")[:, None]
            value = ops.where(finite, value, ops.zeros_like(value))
            value = ops.clip(value, 0.0, _LARGEST)
            count, total = replicas.global_sums(
                ops.sum(band, 0), ops.sum(band * value[:, None], 0)
            )
            mean = total / ops.maximum(count, 1.0)
            # The first of a band is its mean as it stands.
            kept = ops.exp(count * math.log(_MEMORY))
            kept = ops.where(before > 0, kept, ops.zeros_like(kept))
            mixed = kept * before + (1 - kept) * mean
            rows.append(ops.where(count > 0, mixed, before))
        self._means.assign(ops.stack(rows))

    def get_config(self):
        return {
            **super().get_config(),
            "terms": self.terms,
            "share": self.share,
        }


def _inverse(shares, uniform):
    """The quantile function of a density that is constant in each band."""
    ends = ops.concatenate([ops.zeros_like(shares[:1]), ops.cumsum(shares)])
    ends = ends / ends[-1]
    band = ops.searchsorted(ends, uniform, side="right") - 1
    band = ops.clip(ops.cast(band, "int32"), 0, BANDS - 1)
    low, high = ops.take(ends, band), ops.take(ends, band + 1)
    within = (uniform - low) / (high - low)
    return (ops.cast(band, "float32") + within) / BANDS


def adaptive_draws(share, joint, weight_names):
    """The layer for all weights of a model whose draws can follow, or None.

    Args:
        share: see `AdaptiveDraws`; 0: none.
        joint: the model's `JointParameters`.
        weight_names: dict, name of a term -> of its weight, where the two
            are called differently.
    """
    if not isinstance(share, numbers.Real):
        raise InputError(
            "expected adaptive_draws as a number, received: "
            f"adaptive_draws={share!r}"
        )
    if not share:
        return None
    terms = {}
    for term, weight in weight_names.items():
        terms.setdefault(weight, []).append(term)
    can = [n for n in joint.varying if joint.has_position(n)]
    if not can:
        raise InputError(
            "expected adaptive_draws=0, or a weight with a LogUniform or "
            f"Uniform distribution, received: adaptive_draws={share}"
        )
    return AdaptiveDraws({n: terms.get(n, n) for n in can}, share)
