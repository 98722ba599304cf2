"""What a layer keeps in a file beside its weights."""


def taken(store, key):
    """Takes one entry out of the store of `load_own_variables`.

    Args:
        store: as Keras gives it.
        key: of the entry.

    Returns:
        `(value, rest)`: the entry, None in a file without it, as of an older
        version; and the store without it, a dict.
    """
    rest = {k: store[k] for k in store.keys() if k != key}
    there = len(rest) < len(store.keys())
    return store[key] if there else None, rest
