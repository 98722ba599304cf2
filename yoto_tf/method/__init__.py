"""The method: draw loss parameters, condition on them, weight, average last.

Read in this order: `schedule`, `base`, `parameters`, `mixture`, `joint_base`,
`joint`, `objective`, `model`, `steps`, `condition`. The others serve Keras.
"""

# First, whichever of these is imported first: when Keras is imported, so are
# the classes that it has to find, and they import these.
import yoto_tf.keras_backend  # noqa: F401
