"""PNG and JPEG bytes in, PNG bytes out, inside the graph."""

import tensorflow as tf

from yoto_tf.data import graph_decoder

# A PNG of a few kilobytes can decode to gigabytes. 16.8 million pixels are a
# photograph of 4096 x 4096, 50 MB decoded; rows are decoded one by one.
MAX_PIXELS = 2**24


def decode(data, image_shape, skip_bad):
    """Decodes pictures by the operations that training decodes them with.

    Args:
        data: string `(batch,)`, each a PNG or JPEG file.
        image_shape: `(size, size, channels)` of the model.
        skip_bad: give a black picture for a file that cannot be decoded; else
            the graph fails with INVALID_ARGUMENT.

    Returns:
        `(images, good)`: uint8 `(batch, size, size, channels)`, and bool
        `(batch,)`, which of the files were decoded.
    """

    def decode_one(file):
        image = graph_decoder.decode_square(
            file, image_shape[0], image_shape[-1], MAX_PIXELS, "image_bytes"
        )
        return image, tf.constant(True)

    def decode_or_skip(file):
        # tf.data is the one part of a graph in which an error can be caught.
        black = tf.zeros(image_shape, tf.uint8), tf.constant(False)
        return (
            tf.data.Dataset.from_tensors(file)
            .map(decode_one)
            .ignore_errors()
            .concatenate(tf.data.Dataset.from_tensors(black))
            .take(1)
            .get_single_element()
        )

    return tf.map_fn(
        decode_or_skip if skip_bad else decode_one,
        data,
        # One at a time: memory is bounded by one picture, not by the batch.
        parallel_iterations=1,
        fn_output_signature=(
            tf.TensorSpec(image_shape, tf.uint8),
            tf.TensorSpec((), tf.bool),
        ),
    )


def encode(images):
    """Encodes float images in [0, 1] `(batch, height, width, channels)` as
    PNG files; string `(batch,)`."""
    pixels = tf.cast(tf.round(images * 255), tf.uint8)
    return tf.map_fn(
        tf.io.encode_png,
        pixels,
        fn_output_signature=tf.TensorSpec((), tf.string),
    )
