"""From a `BetaConfig` to its distribution."""

from yoto_tf.method import mixture
from yoto_tf.method import parameters

DESCRIPTION = (
    "The price of a nat of rate. More: fewer details and a simpler code."
)


def beta_distribution(beta, standardize=True):
    """Builds the `LossParameter` that a `BetaConfig` names."""
    said = {"description": DESCRIPTION}
    match beta.distribution:
        case "log_uniform":
            wide = parameters.LogUniform(
                beta.low, beta.high, standardize, **said
            )
            if not beta.parts:
                return wide
            return mixture.Mixture(
                wide,
                [
                    (p.share, mixture.near(wide, p.center, p.octaves))
                    for p in beta.parts
                ],
            )
        case "uniform":
            return parameters.Uniform(beta.low, beta.high, standardize, **said)
        case "choice":
            return parameters.Choice(beta.values, **said)
        case "constant":
            return parameters.Constant(beta.values[0], **said)
