"""From a trained run to a SavedModel that TensorFlow Serving loads."""

from yoto_tf import extras

extras.require("serving", "tyro", "tensorflow_serving")
