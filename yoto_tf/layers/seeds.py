"""Saves the state of random draws with the weights.

Keras leaves a `SeedGenerator` out of `.keras` files, so that a model that is
loaded to be trained further would draw the weights and the noise of its first
steps once more.
"""

from yoto_tf.layers.own_state import taken

_KEY = "seed_state"


def save_seed_state(seed_generator, store):
    """Writes the state into the store of `save_own_variables`."""
    store[_KEY] = seed_generator.state


def load_seed_state(seed_generator, store):
    """Reads it back in `load_own_variables`; returns the rest of the store.

    A file written without it, as by an older version, leaves it unchanged.
    """
    state, rest = taken(store, _KEY)
    if state is not None:
        seed_generator.state.assign(state)
    return rest
