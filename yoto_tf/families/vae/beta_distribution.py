"""From a `BetaConfig` to its distribution."""

from yoto_tf.method import parameters

DESCRIPTION = (
    "The price of a nat of rate. More: fewer details and a simpler code."
)


def beta_distribution(beta, standardize=True):
    """Builds the `LossParameter` that a `BetaConfig` names."""
    return parameters.named(
        beta.distribution,
        beta.low,
        beta.high,
        beta.values,
        standardize,
        DESCRIPTION,
    )
