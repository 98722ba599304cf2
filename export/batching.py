"""The batch sizes that TF Serving will run, read from its own file."""

from pathlib import Path

from google.protobuf import text_format

from yoto_tf.contract.batching import BatchingParameters
from yoto_tf.errors import InputError

# The file that this repository ships for TF Serving.
DEFAULT_FILE = Path(__file__).parents[1] / "serving/tf_serving/batching.config"


def read(path):
    """Reads a batching.config.

    Args:
        path: of the file.

    Returns:
        The `BatchingParameters` message.

    Raises:
        InputError: if it is no such text proto, or its allowed batch sizes
            are not those that TF Serving accepts.
    """
    message = BatchingParameters()
    try:
        text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
    except (text_format.ParseError, UnicodeDecodeError, OSError) as error:
        raise InputError(
            f"expected TF Serving's batching parameters, received: {path}, "
            f"which cannot be read ({error})"
        ) from error
    sizes = list(message.allowed_batch_sizes)
    largest = message.max_batch_size.value
    if not sizes or sizes != sorted(set(sizes)) or sizes[0] < 1:
        raise InputError(
            "expected rising allowed_batch_sizes above 0, received: "
            f"{path} with {sizes}"
        )
    if sizes[-1] != largest:
        raise InputError(
            "expected the last of allowed_batch_sizes to be max_batch_size, "
            f"received: {path} with {sizes[-1]} and {largest}"
        )
    return message
