"""Names of likelihoods, a user's own too. Imports no TensorFlow."""

from yoto_tf.registry import Registry

LIKELIHOODS = Registry(
    "likelihood",
    "yoto_tf.families.vae.model.likelihoods:Likelihood",
    {
        "bernoulli": "yoto_tf.families.vae.model.likelihoods:Bernoulli",
        "gaussian": "yoto_tf.families.vae.model.likelihoods:Gaussian",
        "squared_error": "yoto_tf.families.vae.model.likelihoods:SquaredError",
    },
)


def register_likelihood(name):
    """Makes a `Likelihood` of one's own a choice of
    `ModelConfig(likelihood=...)`; see `register_conditioning`.

    Example:
        @yoto_tf.register_likelihood("blurred")
        class Blurred(yoto_tf.Likelihood):
            ...

        yoto_tf.ModelConfig(likelihood="blurred")
    """
    return LIKELIHOODS.register(name)
