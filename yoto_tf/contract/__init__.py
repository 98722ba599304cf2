"""What the export and the server agree on; needs no TensorFlow."""
