"""The quality that gives a wanted size or a wanted error.

Neither is sure to rise with the quality: each estimate is looked at, and the
search goes on between two neighbours that have the target between them.
"""

import math
import numbers

from yoto_tf.compression.quality import STEPS
from yoto_tf.errors import InputError

# Parts of the range whose ends are looked at, more if that does not do.
_LOOKS = (4, 16)
_BPP_TOLERANCE, _PSNR_TOLERANCE = 0.02, 0.1


def bits_per_pixel(estimate, target):
    """A step whose bits per pixel are within 2 % of the target.

    Args:
        estimate: from a step to its bits per pixel.
        target: above 0.

    Returns:
        int.

    Raises:
        InputError: for a target that no estimate meets.
    """
    check_bits_per_pixel(target)
    return _search(estimate, target, _BPP_TOLERANCE * target, "bits per pixel")


def psnr(estimate, target):
    """As `bits_per_pixel`: a step whose PSNR is within 0.1 dB."""
    check_psnr(target)
    return _search(estimate, target, _PSNR_TOLERANCE, "dB")


def check_bits_per_pixel(target):
    """Refuses a target that no model could meet, by an `InputError`."""
    if not (_is_number(target) and target > 0):
        raise InputError(
            f"expected a target above 0 bits per pixel, received: {target!r}"
        )


def check_psnr(target):
    """As `check_bits_per_pixel`."""
    if not _is_number(target):
        raise InputError(f"expected a target in dB, received: {target!r}")


def _is_number(target):
    # NumPy's, too.
    return isinstance(target, numbers.Real) and math.isfinite(target)


def _search(estimate, target, tolerance, unit):
    known = {}

    def off(step):
        if step not in known:
            known[step] = estimate(step) - target
        return known[step]

    # Half of the tolerance, for what a written file adds.
    for num in _LOOKS:
        looks = [STEPS * i // num for i in range(num + 1)]
        for step in looks:
            off(step)
        for low, high in zip(looks[:-1], looks[1:], strict=True):
            _bisect(off, low, high, tolerance / 2)
            best = min(known, key=lambda step: (abs(known[step]), step))
            if abs(known[best]) <= tolerance / 2:
                return best
    if abs(known[best]) <= tolerance:
        return best
    reached = [target + value for value in known.values()]
    raise InputError(
        f"expected a target from {min(reached):.4g} to {max(reached):.4g} "
        f"{unit}, which this picture has between quality 0 and 100, received: "
        f"{target:g}; the nearest is {target + known[best]:.4g}"
    )


def _bisect(off, low, high, tolerance):
    """Looks between two steps that have the target between them."""
    while high - low > 1 and off(low) * off(high) < 0:
        middle = (low + high) // 2
        if abs(off(middle)) <= tolerance:
            return
        if off(low) * off(middle) <= 0:
            high = middle
        else:
            low = middle
