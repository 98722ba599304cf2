"""The hyperprior in Keras: networks, entropies, the model."""

# First, whichever of these is imported first: when Keras is imported, so are
# the classes that it has to find, and they import these.
import yoto_tf.keras_backend  # noqa: F401
