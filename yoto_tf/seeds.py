"""Which numbers are seeds, the same everywhere. Imports no TensorFlow."""

import operator

from yoto_tf.errors import InputError

# NumPy takes less than 2**32, TensorFlow an int32 here and there, and a part
# takes one a little above.
HIGHEST = 2_000_000_000


def checked_seed(seed, name="seed"):
    """Returns a seed as an int, or None where it is None.

    Args:
        seed: a whole number from 0 to `HIGHEST`, or None.
        name: for the error.

    Raises:
        InputError: for anything else; True is no number.
    """
    if seed is None:
        return None
    try:
        whole = operator.index(seed)
    except TypeError:
        whole = -1
    if isinstance(seed, bool) or not 0 <= whole <= HIGHEST:
        raise InputError(
            f"expected {name} as a whole number from 0 to {HIGHEST}, "
            f"received: {name}={seed!r}"
        )
    return whole


def derived(seed, number):
    """Another seed, whose draws have nothing to do with those of `seed`.

    Args:
        seed: as `checked_seed` takes it.
        number: which of several.
    """
    # Command lines import this module, and are fast to end.
    import numpy as np

    state = np.random.SeedSequence([seed, number]).generate_state(1)
    return int(state[0]) % HIGHEST
