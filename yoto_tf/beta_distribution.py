"""From a `BetaConfig` to its distribution."""

from yoto_tf import interval_weights
from yoto_tf import loss_weights


def beta_distribution(beta, standardize=True):
    """Builds the distribution that a `BetaConfig` names."""
    match beta.distribution:
        case "log_uniform":
            return interval_weights.LogUniform(
                beta.low,
                beta.high,
                standardize,
                beta.focus,
                beta.focus_share,
                beta.lead,
                beta.lead_steps,
                beta.lead_share,
                beta.lead_fade_steps,
                beta.lead_last_share,
            )
        case "uniform":
            return interval_weights.Uniform(beta.low, beta.high, standardize)
        case "choice":
            return loss_weights.Choice(beta.values, standardize)
        case "constant":
            return loss_weights.Constant(beta.values[0])
