"""MS-SSIM with a gradient everywhere, for training."""

import numpy as np
import tensorflow as tf
from keras import ops

from yoto_tf.compression.pixels import SMALLEST_FOR_MS_SSIM
from yoto_tf.errors import InputError

# Of Wang et al.; a scale's share in the exponent.
_POWERS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
# Of pictures that contradict each other the similarity is below 0, where its
# powers have no gradient: `tf.image.ssim_multiscale` gives NaN.
_LEAST = 1e-4


def ms_ssim(x, y):
    """Multi-scale structural similarity of pictures in [0, 1].

    Wang et al., Multiscale structural similarity for image quality assessment
    (Asilomar 2003): five scales, of each channel by itself, their mean. As
    `tf.image.ssim_multiscale`, but that similarities below 1e-4 of a scale
    count as so much.

    Args:
        x, y: float32 `(batch, height, width, channels)`, sides multiples of
            16, 176 or more.

    Returns:
        float32 `(batch,)`, at most 1.

    Raises:
        InputError: for smaller pictures.
    """
    if any(s is not None and s < SMALLEST_FOR_MS_SSIM for s in x.shape[1:3]):
        raise InputError(
            f"expected pictures of {SMALLEST_FOR_MS_SSIM} pixels a side or "
            "more for the five scales of MS-SSIM, received: "
            f"{x.shape[1]} x {x.shape[2]}"
        )
    similarity = 1.0
    for scale, power in enumerate(_POWERS):
        if scale:
            x, y = (ops.average_pool(a, 2) for a in (x, y))
        whole, structure = _similarities(x, y)
        found = whole if scale == len(_POWERS) - 1 else structure
        similarity *= ops.maximum(found, _LEAST) ** power
    return ops.mean(similarity, -1)


def _similarities(x, y):
    """Means over places of SSIM, and of its factor of contrast and structure,
    `(batch, channels)` each."""
    mean_x, mean_y = _blurred(x), _blurred(y)
    products = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    covariance = _blurred(x * y) - products
    variances = _blurred(x**2 + y**2) - squares
    structure = (2 * covariance + _C2) / (variances + _C2)
    luminance = (2 * products + _C1) / (squares + _C1)
    return (
        ops.mean(luminance * structure, (1, 2)),
        ops.mean(structure, (1, 2)),
    )


def _blurred(x):
    # One axis after the other: a Gaussian is their product.
    for shape in ((_WINDOW, 1), (1, _WINDOW)):
        kernel = np.tile(
            _window().reshape(*shape, 1, 1), (1, 1, x.shape[-1], 1)
        )
        kernel = kernel.astype(x.dtype.name)
        x = tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "VALID")
    return x


def _window():
    distance = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-(distance**2) / (2 * _SIGMA**2))
    return np.float32(weights / weights.sum())
