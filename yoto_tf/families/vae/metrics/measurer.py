"""All metrics of one `ConditionalVAE`, the images encoded once per beta."""

import math

import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.evaluation.sweep import mean_and_error
from yoto_tf.evaluation.sweep import per_example
from yoto_tf.families.vae.metrics import counts
from yoto_tf.families.vae.metrics import factor_vae
from yoto_tf.families.vae.metrics import information
from yoto_tf.families.vae.metrics import likelihood
from yoto_tf.families.vae.metrics import predictors
from yoto_tf.families.vae.model.inputs import to_unit_interval
from yoto_tf.families.vae.model.posterior import rate
from yoto_tf.method import asking

# What the definitions ask for; fewer where there are fewer.
_FIT, _TEST = 10_000, 5_000
_INFORMATION_IMAGES = 10_000
_NLL_IMAGES = 500
_LEAST_WITH_FACTORS = 20
# Bounds so near to each other, in nats, are one number.
_SAME_INFORMATION = 0.1


class Measurer:
    """See `Family.measurer`.

    Args:
        model: `ConditionalVAE`.
        images: `(n, size, size, channels)` uint8.
        factors: dict, name -> `(n,)` labels; None: there are none.
        seed: of all that is drawn.
        batch_size: images at a time.

    Attributes:
        facts: dict of what is measured on.

    Raises:
        InputError: for factors of too few images.
    """

    def __init__(self, model, images, factors=None, seed=0, batch_size=500):
        self._model, self._images = model, images
        self._seed, self._batch_size = seed, batch_size
        # Data sets may be in an order; the parts of a seed are the same at
        # every beta.
        self._order = np.random.default_rng(seed).permutation(len(images))
        self._encoded = None, None
        self._graphs = _graphs(model)
        self.facts = {
            "nll_images": min(len(images), _NLL_IMAGES),
            "information_images": min(len(images), _INFORMATION_IMAGES),
        }
        if factors is not None:
            self._use_factors(factors)

    def _use_factors(self, factors):
        num = len(self._images)
        latents = self._model.model_config.latent_size
        if latents < 2:
            raise InputError(
                "expected a model of two latents or more for metrics that "
                f"compare them, received: latent_size={latents}"
            )
        if num < _LEAST_WITH_FACTORS:
            raise InputError(
                f"expected {_LEAST_WITH_FACTORS} images with factors or more, "
                f"received: {num}"
            )
        self._num_fit = min(_FIT, num * 2 // 3)
        fit = self._order[: self._num_fit]
        # Nothing can be told of a factor that does not vary.
        names = [n for n, f in factors.items() if len(np.unique(f[fit])) > 1]
        if len(names) < 2:
            raise InputError(
                "expected two factors or more that vary over the test images, "
                f"received: {names}"
            )
        self._factors = np.stack([factors[n] for n in names], axis=1)
        self.facts |= {
            "factors": names,
            "count_images": min(num, _FIT),
            "fit_images": self._num_fit,
            "test_images": min(_TEST, num - self._num_fit),
        }

    def __call__(self, name, point, size=None):
        """Measures one metric at one point: dict, column -> number."""
        return getattr(self, f"_{name}")(point, size)

    def _codes(self, point):
        """Means and deviations of all images; kept for the next metric."""
        if self._encoded[0] != point:
            encode = self._graphs[0]
            (found,) = per_example(
                lambda part, values: encode(self._images[part], values),
                len(self._images),
                [point],
                self._batch_size,
            )
            self._encoded = dict(point), (found["mean"], found["stddev"])
        return self._encoded[1]

    def _nll(self, point, samples):
        chosen = self._order[:_NLL_IMAGES]
        mean, stddev = (part[chosen] for part in self._codes(point))
        values = {n: tf.constant(v, tf.float32) for n, v in point.items()}
        nll, bound = likelihood.importance_nll(
            lambda images, z: self._graphs[1](images, z, values).numpy(),
            self._images[chosen],
            mean,
            stddev,
            samples,
            self._seed,
        )
        constant = self._model.likelihood.left_out * math.prod(
            self._images.shape[1:]
        )
        nll, bound = nll + constant, bound + constant
        return {
            **mean_and_error("nll", nll),
            **mean_and_error("elbo_nll", bound),
        }

    def _mutual_information(self, point, _):
        chosen = self._order[:_INFORMATION_IMAGES]
        mean, stddev = (part[chosen] for part in self._codes(point))
        mean, stddev = mean.astype("float64"), stddev.astype("float64")
        top = information.ceiling(len(chosen))
        found = at_most = math.nan
        mean_rate = float(np.mean(rate(mean, stddev)))
        # Above it the ceiling is all that would be seen.
        if mean_rate <= top and len(chosen) > 1:
            noise = np.random.default_rng(self._seed).standard_normal(
                mean.shape
            )
            found, at_most = information.information_bounds(
                mean, stddev, mean + stddev * noise
            )
            # The rate is the information and how far q(z) is from the prior.
            at_most = max(found, min(at_most, mean_rate))
        return {
            "mutual_information": found,
            "mutual_information_at_most": at_most,
            "mutual_information_ceiling": top,
            "mutual_information_at_least": int(
                at_most - found > _SAME_INFORMATION or found > top - 1
            ),
        }

    # Scores that are the same at every scale of a code would be those of a
    # live code where the posterior has collapsed: they are left out there.

    def _disentanglement(self, point, _):
        codes = self._codes(point)[0]
        chosen = self._order[:_FIT]
        some, labels = codes[chosen], self._factors[chosen]
        live = int(factor_vae.live_codes(some).sum())
        return {
            "mig": (
                counts.mutual_information_gap(some, labels)
                if live
                else math.nan
            ),
            "sap": predictors.separated_attribute_predictability(
                *self._parts(codes)
            ),
            "modularity": counts.modularity(some, labels) if live else math.nan,
            "factor_vae_score": factor_vae.factor_vae_score(
                codes, self._factors, seed=self._seed
            ),
            "live_codes": live,
        }

    def _dci(self, point, _):
        names = "disentanglement", "completeness", "informativeness"
        codes = self._codes(point)[0]
        found = (math.nan,) * len(names)
        if factor_vae.live_codes(codes[self._order[:_FIT]]).any():
            found = predictors.dci(*self._parts(codes), seed=self._seed)
        return {f"dci_{n}": v for n, v in zip(names, found, strict=True)}

    def _parts(self, codes):
        """Codes and factors to fit on, and to test on."""
        fit = self._order[: self._num_fit]
        test = self._order[self._num_fit :][:_TEST]
        return [(codes[part], self._factors[part]) for part in (fit, test)]


def _graphs(model):
    @tf.function(reduce_retracing=True)
    def encode(images, values):
        # Not a call, which refuses values outside the trained range.
        images = to_unit_interval(images)
        values = asking.filled(values, images)
        # At the mean: no noise is drawn.
        none = tf.zeros((tf.shape(images)[0], model.model_config.latent_size))
        _, mean, stddev = model.posterior_of(images, values, none)
        return {"mean": mean, "stddev": stddev}

    @tf.function(reduce_retracing=True)
    def distortion(images, latents, values):
        images = to_unit_interval(images)
        outputs = model.likelihood_of(latents, asking.filled(values, images))
        return model.likelihood.distortion(
            tf.cast(images, outputs.dtype), outputs
        )

    return encode, distortion
