"""Which model a file was written by."""

import hashlib

import numpy as np

from yoto_tf.compression import exact
from yoto_tf.compression import tables


def fingerprint_of(model):
    """8 bytes that differ for models that read files differently: of all
    weights, and of the tables and units that symbols are coded by.

    Args:
        model: that can be coded by; see `yoto_tf.compression.codec`.
    """
    content = hashlib.sha256()
    for weight in model.trainable_variables:
        content.update(repr(tuple(weight.shape)).encode())
        content.update(np.asarray(weight).astype("<f4").tobytes())
    content.update(np.asarray(model.prior.counts()).astype("<i8").tobytes())
    for table in tables.gaussian_counts():
        content.update(table.astype("<i8").tobytes())
    facts = (*model.lambda_ends, exact.FEATURE, exact.WEIGHT, exact.SLOPE)
    content.update(repr(facts).encode())
    return content.digest()[:8]
