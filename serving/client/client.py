"""The client: NumPy arrays in and out."""

import numpy as np

from serving.client import checks
from serving.client import served
from serving.client.compression import CompressionMethods
from serving.client.connection import Connection
from serving.client.errors import InvalidRequest
from serving.client.errors import NotFound
from serving.client.errors import ServingError
from serving.client.retry import Deadline
from serving.client.target import Target
from serving.client.target import whole_number
from serving.client.vae import VaeMethods


class Client(VaeMethods, CompressionMethods):
    """Asks a served model. Threads may share it.

    Inputs are arrays with the batch first; a loss parameter is a number or
    one per row, of those that the model was trained for. All of it is checked
    before it is sent, with what the server says of the version that answers;
    that is asked for again when it is older than a second, so that a new
    version is followed.

    Over REST an image is text: ten times the bytes, and the time to read
    them. Prefer gRPC for batches, or `reconstruct_bytes`.

    Args:
        address: `"grpc://HOST:8500"` or `"http://HOST:8501"`. Proxies are
            not used.
        model: name of the model.
        version: number of a version; None: the server's choice, the latest.
        label: label of a version, in place of its number.
        timeout: seconds that a call may take, all tries included.
        retries: limit of the new tries of a request that found the server
            unavailable; None: as many as `timeout` has room for.

    Raises:
        InvalidRequest: an argument is wrong, here or of a method, whose text
            names what would be right. Nothing is sent then.
        NotFound: by a method: no such model, version, label or signature.
        Unavailable: no server, or none ready, for the whole `timeout`.
        DeadlineExceeded: no answer in time.
        ResourceExhausted: too large, or the server has too much to do.
        ServerFault: the server failed. All are of the class `ServingError`.
    """

    def __init__(
        self,
        address,
        model,
        version=None,
        label=None,
        timeout=30.0,
        retries=None,
    ):
        self._timeout = _checked_seconds(timeout)
        if retries is not None:
            whole = whole_number(retries)
            if whole is None or whole < 0:
                raise InvalidRequest(
                    "expected retries as a whole number >= 0 or None, "
                    f"received: retries={retries!r}"
                )
            retries = whole
        target = Target.parse(address, model, version, label)
        self._arguments = address, model, version, label, timeout, retries
        self._served = served.ServedModel()
        self._connection = Connection(target, retries, self._served.doubt)

    def close(self):
        """Ends the connections."""
        self._connection.close()

    def __reduce__(self):
        """A copy, also in another process, has connections of its own."""
        return type(self), self._arguments

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def wait_until_ready(self, timeout=60.0):
        """Waits until the server can answer for the model.

        Args:
            timeout: seconds.

        Raises:
            Unavailable: still no server, or the model is not loaded.
            NotFound: still no such model, version or label.
        """
        self._connection.wait_until_ready(Deadline(_checked_seconds(timeout)))

    def metadata(self, fresh=True):
        """Returns the `Metadata` of the version that answers now: its
        signatures, and its loss parameters with their ranges.

        Args:
            fresh: ask the server; else what was right a second ago will do.
        """
        ask = self._served.current if fresh else self._served.recent
        return ask(self._connection, Deadline(self._timeout)).metadata

    def predict(self, signature, inputs, loss_parameters=None):
        """Runs any signature of any model.

        Args:
            signature: its name.
            inputs: dict: name -> array of the dtype and shape that
                `metadata` tells, or a list or a number for one.
            loss_parameters: dict: name -> number, or one per row; for a
                signature that takes k of each row a number, `(k,)` or
                `(batch, k)`. Of those that the signature takes and that are
                not given, here or in `inputs`, the defaults are sent. What
                stands in `inputs` is left to the server.

        Returns:
            dict: name -> NumPy array.

        Example:
            client.predict("predict", {"inputs": rows}, {"miss": 4.0})
        """
        if not isinstance(signature, str):
            raise InvalidRequest(
                f"expected the name of a signature, received: {signature!r}"
            )
        if not isinstance(inputs, dict):
            raise InvalidRequest(
                "expected inputs as a dict of arrays, received: "
                f"{type(inputs).__name__}"
            )

        def make_inputs(metadata):
            specs = metadata.signature(signature).inputs
            return {
                name: checks.as_input(value, specs[name], name)
                if name in specs
                else np.asarray(value)
                for name, value in inputs.items()
            }

        return self._ask(signature, make_inputs, loss_parameters)

    def _ask(self, name, make_inputs, asked):
        """Checks a request and sends it.

        Args:
            name: of the signature.
            make_inputs: takes `Metadata`, returns inputs, or raises.
            asked: dict of loss parameters, or None.
        """
        deadline = Deadline(self._timeout)

        def prepare(version):
            signature = version.metadata.signature(name)
            inputs = make_inputs(version.metadata)
            inputs |= checks.loss_parameters(
                asked, version.metadata, name, inputs
            )
            checks.inputs(inputs, signature, name)
            return inputs

        version = self._served.recent(self._connection, deadline)
        inputs = None
        try:
            inputs = prepare(version)
        except (InvalidRequest, NotFound) as refusal:
            # A newer version may take what the last one did not.
            version = self._reconsidered(refusal, deadline)
        if inputs is None:
            inputs = prepare(version)
        return self._connection.predict(
            version.metadata, name, inputs, deadline
        )

    def _reconsidered(self, refusal, deadline):
        self._served.doubt()
        try:
            return self._served.current(self._connection, deadline)
        except ServingError:
            raise refusal from None


def _checked_seconds(timeout):
    # False for NaN. Neither transport can wait for ever.
    if not (isinstance(timeout, (int, float)) and 0 < timeout <= 1e9):
        raise InvalidRequest(
            "expected timeout > 0 and at most 1e9 seconds, received: "
            f"timeout={timeout!r}"
        )
    return float(timeout)
