"""One loaded version of a SavedModel, run by the C++ session.

`tf.saved_model.load` runs functions eagerly and hides faults that every
request to TF Serving would meet (a Keras variable that the session cannot
find, for one). Here the graph runs as TF Serving runs it: one Session, feeds
and fetches by tensor name.

`session.run` is not faithful: it checks shapes and casts dtypes in Python
and rewrites error texts. `_make_callable_from_options`, a private method of
TensorFlow, hands the arrays to `Session::RunCallable` as they are.
"""

import functools
import itertools
import os
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from serving.embedded import status
from yoto_tf.session import must_be_compiled

# Each output filter needs executors of its own; a client that sends ever
# new filters would otherwise fill the memory.
_MAX_CALLABLES = 32
_FOLDERS = ("variables", "assets", "assets.extra")
# -1: the thread of the request runs the graph itself, which saves two thread
# switches, a fifth of a small model's time. Requests run beside each other
# all the same, and single operations still spread over the cores.
_RUN_OPTIONS = config_pb2.RunOptions(inter_op_thread_pool=-1)


class SavedModelVersion:
    """A SavedModel directory in a session.

    Attributes:
        signatures: name -> SignatureDef, as in the saved file.
    """

    def __init__(self, path: str, xla: bool = False):
        """Loads the graph tagged `serve` and its variables from a directory.

        Without `xla` one with functions that XLA has to compile is refused;
        TF Serving loads it, and fails its every request.
        """
        _refuse_pipes(path)
        self._callable = functools.lru_cache(_MAX_CALLABLES)(
            self._make_callable
        )
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        try:
            # The v1 loader is the one whose graph is TF Serving's.
            with graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(
                    self._session, [tf.saved_model.SERVING], path
                )
        except Exception as error:
            self.close()
            raise _load_status(error, path) from error
        self.signatures = dict(meta_graph.signature_def)
        if not xla and must_be_compiled(meta_graph.graph_def):
            self.close()
            raise status.failed_precondition(
                f"{path}: a function of jit_compile=True, which needs "
                "--xla_cpu_compilation_enabled"
            )

    def run(
        self, feed: Mapping[str, np.ndarray], fetch: Sequence[str]
    ) -> list[np.ndarray]:
        """Runs the graph once.

        Args:
            feed: tensor name -> array.
            fetch: tensor names, which the arrays that come back follow.
        """
        names = tuple(sorted(feed))
        try:
            run = self._callable(names, tuple(fetch))
            outputs = run(*[feed[name] for name in names])
        except tf.errors.OpError as error:
            raise status.StatusError(error.error_code, error.message) from error
        except UnicodeDecodeError as error:
            # A text that quotes bytes of the request. TensorFlow drops the
            # code over it; what quotes the request finds fault with it.
            raise status.invalid_argument(
                error.object.decode("utf-8", "replace")
            ) from error
        # The session unwraps scalars; NumPy would make a text of one's bytes.
        return [
            np.asarray(o, object if isinstance(o, bytes) else None)
            for o in outputs
        ]

    def _make_callable(self, feed: tuple, fetch: tuple):
        return self._session._make_callable_from_options(
            config_pb2.CallableOptions(
                feed=feed, fetch=fetch, run_options=_RUN_OPTIONS
            )
        )

    def close(self) -> None:
        """Frees the session. No run may be under way."""
        self._callable.cache_clear()
        if self._session is not None:
            self._session.close()
            self._session = None


def _refuse_pipes(path: str) -> None:
    """Opening one would wait for a writer, and with it the whole server."""
    # Links to folders are followed where the loader looks, and no further.
    linked = (
        itertools.islice(os.walk(os.path.join(path, name)), 1)
        for name in _FOLDERS
    )
    for folder, _, names in itertools.chain(os.walk(path), *linked):
        for file in (os.path.join(folder, name) for name in names):
            if os.path.exists(file) and not os.path.isfile(file):
                raise status.failed_precondition(f"{file}: not a regular file")


def _load_status(error: Exception, path: str) -> status.StatusError:
    """The status that TF Serving's loader would give, as near as it goes."""
    if isinstance(error, tf.errors.OpError):
        code = error.error_code
        message = error.message.removeprefix("Graph execution error:\n\n")
        if "No such file or directory" in message:
            code = status.Code.NOT_FOUND
        return status.StatusError(code, message)
    text = str(error)
    if isinstance(error, OSError):
        if "does not exist" not in text:
            return status.data_loss(text)
        return status.not_found(
            "Could not find SavedModel .pb or .pbtxt at supplied export "
            f"directory path: {path}",
        )
    if isinstance(error, RuntimeError):  # no graph with the tag "serve"
        return status.not_found(text)
    if isinstance(error, ValueError) and "not a valid checkpoint" in text:
        # TF Serving loads such a version and fails its every request; here
        # the version before it goes on serving.
        return status.not_found(
            f"Incomplete version: {path}/variables/variables.index is missing."
        )
    return status.failed_precondition(text)
