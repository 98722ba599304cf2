"""From pictures of any size to the square uint8 images of the model."""

import tensorflow as tf

from yoto_tf.image_config import IMAGE_SIZES


def fitting_size(height, width):
    """Returns the largest of 32, 64, 128 that the shorter side reaches."""
    shorter = min(height, width)
    return max((s for s in IMAGE_SIZES if s <= shorter), default=32)


def to_image(picture, size, channels):
    """Makes an image of the model from a decoded picture: the middle square,
    white where it is transparent, resized, in RGB or grey.

    Args:
        picture: `(height, width, 3)` RGB or `(height, width, 4)` RGBA, uint8.
        size: height and width of the result in pixels.
        channels: 3 for RGB, 1 for grey.

    Returns:
        `(size, size, channels)` uint8.
    """
    if picture.shape[-1] == 4:
        picture = flattened(middle_square(picture))
    image = to_square(picture, size)
    return to_grey(image) if channels == 1 else image


def to_square(image, size):
    """Crops the middle square and resizes it.

    Args:
        image: `(height, width, channels)` uint8.
        size: height and width of the result in pixels.

    Returns:
        `(size, size, channels)` uint8; the same image if it fits already.
    """
    if tuple(image.shape[:2]) == (size, size):
        return image
    # "area" averages what it drops; bilinear would alias.
    resized = tf.image.resize(middle_square(image), (size, size), method="area")
    resized.set_shape((size, size, image.shape[-1]))
    return tf.cast(tf.round(resized), tf.uint8)


def middle_square(image):
    """Crops `(height, width, channels)` to the square in its middle."""
    shape = tf.shape(image)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    return image[top : top + side, left : left + side]


def flattened(image):
    """Lays `(height, width, channels)` uint8, whose last channel is alpha, on
    white; returns the other channels, rounded."""
    # In 16 bits, as 255 * 255 + 127 still fits: a photograph is large.
    color = tf.cast(image[..., :-1], tf.uint16)
    alpha = tf.cast(image[..., -1:], tf.uint16)
    mixed = color * alpha + 255 * (255 - alpha)
    return tf.cast((mixed + 127) // 255, tf.uint8)


def to_grey(image):
    """Luma of `(height, width, 3)` RGB uint8 (ITU-R BT.601), in one channel;
    what is grey keeps its values."""
    weights = tf.constant([19595, 38470, 7471])  # of 2**16
    total = tf.reduce_sum(tf.cast(image, tf.int32) * weights, -1, keepdims=True)
    return tf.cast(tf.bitwise.right_shift(total + 2**15, 16), tf.uint8)


def enlarge_for_crops(images):
    """Resizes a batch to 5/4, as the authors do before their crops (40 for
    32 pixels); `(batch, size, size, channels)` uint8 in and out."""
    size = images.shape[1] * 5 // 4
    resized = tf.image.resize(images, (size, size), method="bilinear")
    return tf.cast(tf.round(resized), tf.uint8)


def random_crop_and_flip(images, size, seed):
    """Cuts one random square out of each image and mirrors half of them.

    Args:
        images: `(batch, larger, larger, channels)` uint8.
        size: of the squares in pixels.
        seed: int32 tensor `(2,)`; the same seed gives the same cuts.

    Returns:
        `(batch, size, size, channels)` uint8.
    """
    batch = tf.shape(images)[0]
    seeds = tf.random.split(seed, 3)
    offsets = [
        tf.random.stateless_uniform(
            (batch, 1), s, 0, images.shape[1] - size + 1, tf.int32
        )
        for s in (seeds[0], seeds[1])
    ]
    mirrored = tf.random.stateless_uniform((batch, 1), seeds[2]) < 0.5
    rows = offsets[0] + tf.range(size)
    columns = offsets[1] + tf.where(
        mirrored, tf.range(size)[::-1], tf.range(size)
    )
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1)
