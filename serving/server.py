"""`python -m serving.server`: TF Serving's APIs on a development machine.

    python -m serving.server --model_name=film_vae \\
        --model_base_path=models/film_vae

Exit codes: 0 after SIGTERM or Ctrl-C, 130 for Ctrl-C while TensorFlow is
imported, 1 when a model or a port fails, 2 for a wrong command line or a wrong
file named there.
"""

import logging
import os
import sys
from collections.abc import Sequence

# TensorFlow reads this at import. What fails in it comes back as a status.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# It imports Keras, which nothing here uses, and which can fail for another.
os.environ["KERAS_BACKEND"] = "tensorflow"

from serving import signals

if __name__ == "__main__":
    signals.end_at_once()

from serving.embedded import flags as command_line
from yoto_tf import matplotlib_backend
from yoto_tf.command_line import held_back_stderr


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or Ctrl-C.

    Args:
        arguments: the command line without the program's name.

    Returns:
        The exit code of the process.
    """
    flags = command_line.parse(arguments)
    # TensorFlow takes seconds to import: after the flags are known to be
    # right.
    # Its notices about oneDNN and CUDA come before its log level counts.
    with held_back_stderr(), matplotlib_backend.set_aside():
        from serving.embedded import launch

    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname).1s %(message)s",
        stream=sys.stderr,
    )
    return launch.serve(flags, signals.stop_event())


if __name__ == "__main__":
    sys.exit(main())
