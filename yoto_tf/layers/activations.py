"""The activation of the convolutional networks."""

import tensorflow as tf


def leaky_relu(x, slope):
    """max(x, slope * x), with a gradient that reads the result.

    Keras' keeps its input for the gradient, so that TensorFlow must write
    what a convolution and its bias give, and cannot compute convolution, bias
    and activation as one operation. The signs are those of the result.

    Args:
        x: tensor of any shape.
        slope: for numbers below 0; above 0.
    """

    @tf.custom_gradient
    def activation(x):
        y = tf.nn.leaky_relu(x, slope)

        def gradient(upstream):
            return tf.raw_ops.LeakyReluGrad(
                gradients=upstream, features=y, alpha=slope
            )

        return y, gradient

    return activation(x)
