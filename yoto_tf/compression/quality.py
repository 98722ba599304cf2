"""From the quality that people ask for to the weight of the distortion.

A file names a quality by a whole number, its step: of 0 to `STEPS`, from the
lowest trained lambda to the highest, evenly in its logarithm. All that must
be equal for the writer and the reader of a file follows from the step, and
not from a logarithm that machines round in their own ways.
"""

import math

from yoto_tf.errors import InputError

# A power of two: shares of it are exact in binary numbers.
STEPS = 2**14
HIGHEST, DEFAULT = 100.0, 50.0


def step_of(quality):
    """The step of a quality.

    Args:
        quality: number from 0 to 100.

    Returns:
        int, from 0 to `STEPS`.

    Raises:
        InputError: for anything else.
    """
    try:
        # A text is no number, also where its digits are.
        number = (
            math.nan if isinstance(quality, str | bytes) else float(quality)
        )
    except (TypeError, ValueError):
        number = math.nan
    # False for NaN.
    if not 0 <= number <= HIGHEST:
        raise InputError(
            f"expected a quality from 0 to 100, received: quality={quality!r}"
        )
    return round(number / HIGHEST * STEPS)


def step_for(quality, low, high):
    """The step of a quality of a model with these ends of lambda, which may
    be one and the same.

    Args:
        quality: 0 to 100; None: `DEFAULT`.
        low, high: ends of lambda.

    Raises:
        InputError: for another quality, or one of a model that has none.
    """
    if low < high:
        return step_of(DEFAULT if quality is None else quality)
    if quality is not None:
        raise InputError(
            "expected no quality for a model of one, received: "
            f"quality={quality!r}"
        )
    return 0


def quality_of(step):
    """The quality of a step, from 0 to 100."""
    return step / STEPS * HIGHEST


def lambda_of(step, low, high):
    """The weight of the distortion of a step: log-uniform from `low` to
    `high`."""
    return low * (high / low) ** (step / STEPS)


def nearest_quality(lmbda, low, high):
    """The quality whose lambda is nearest to one, from 0 to 100."""
    place = math.log(lmbda / low) / math.log(high / low)
    return HIGHEST * min(max(place, 0.0), 1.0)
