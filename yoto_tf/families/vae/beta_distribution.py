"""From a `BetaConfig` to its distribution."""

from yoto_tf.method import mixture
from yoto_tf.method import parameters

DESCRIPTION = (
    "The price of a nat of rate. More: fewer details and a simpler code."
)


def beta_distribution(beta, standardize=True):
    """Builds the `LossParameter` that a `BetaConfig` names."""
    wide = parameters.named(
        beta.distribution,
        beta.low,
        beta.high,
        beta.values,
        standardize,
        DESCRIPTION,
    )
    # Of other distributions the settings refuse parts that are drawn.
    if beta.distribution != "log_uniform" or not beta.parts:
        return wide
    return mixture.Mixture(
        wide,
        [
            (p.share, mixture.near(wide, p.center, p.octaves))
            for p in beta.parts
        ],
    )
