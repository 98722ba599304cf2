"""From pictures of any size to the square uint8 images of the model."""

import tensorflow as tf

from yoto_tf.config import IMAGE_SIZES


def fitting_size(height, width):
    """Returns the largest of 32, 64, 128 that the shorter side reaches."""
    shorter = min(height, width)
    return max((s for s in IMAGE_SIZES if s <= shorter), default=32)


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
    shape = tf.shape(image)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    square = image[top : top + side, left : left + side]
    # "area" averages what it drops; bilinear would alias.
    resized = tf.image.resize(square, (size, size), method="area")
    resized.set_shape((size, size, image.shape[-1]))
    return tf.cast(tf.round(resized), tf.uint8)


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
