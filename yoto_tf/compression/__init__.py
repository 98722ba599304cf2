"""Pictures as short files, by one model for every quality.

    python -m yoto_tf.compression compress photo.png -o photo.ylic --quality 40

docs/compression.md says what a file is made of. The modules that import
neither TensorFlow nor `constriction` are `tables`, `exact`, `container` and
`quality`.
"""

__all__ = ["Codec"]


def __getattr__(name):
    if name != "Codec":
        raise AttributeError(
            f"module 'yoto_tf.compression' has no attribute {name!r}"
        )
    from yoto_tf.compression.codec import Codec

    return Codec
