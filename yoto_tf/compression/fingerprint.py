"""Which model a file was written by."""

import hashlib

import numpy as np

from yoto_tf.compression import exact
from yoto_tf.compression import tables

# Of the model that comes with the library.
_POWER = 0.25


def fingerprint_of(model):
    """8 bytes that differ for models that read files differently: of all
    weights, and of the tables and units that symbols are coded by.

    Args:
        model: that can be coded by; see `yoto_tf.compression.codec`.
    """
    content = hashlib.sha256()
    # Whether they are frozen changes no file.
    trained = {
        id(v)
        for part in model._flatten_layers()
        for v in part._trainable_variables
    }
    for weight in model.variables:
        if id(weight) not in trained:
            continue
        content.update(repr(tuple(weight.shape)).encode())
        content.update(np.asarray(weight).astype("<f4").tobytes())
    content.update(np.asarray(model.prior.counts()).astype("<i8").tobytes())
    for table in tables.gaussian_counts():
        content.update(table.astype("<i8").tobytes())
    facts = (*model.lambda_ends, exact.FEATURE, exact.WEIGHT, exact.SLOPE)
    power = model.network.conditioning.gain_exponent
    if power != _POWER:
        # Files of before know of none.
        facts += (power,)
    content.update(repr(facts).encode())
    return content.digest()[:8]
