"""One server, however it is spoken to: deadlines, new tries, explanations."""

from serving.client import retry
from serving.client.errors import NotFound
from serving.client.errors import ServerFault
from serving.client.errors import ServingError
from serving.client.errors import Unavailable

# To find out why something was not found.
_EXPLANATION_SECONDS = 2.0


class Connection:
    """Asks a server for one model. Threads may share it.

    Args:
        target: `Target`.
        retries: see `retry.call`.
        on_loss: called whenever the server was not available.
    """

    def __init__(self, target, retries, on_loss):
        self._target = target
        self._retries = retries
        self._on_loss = on_loss
        self._transport = _transport(target)
        self._closed = False

    def close(self):
        self._closed = True
        self._transport.close()

    def wait_until_ready(self, deadline):
        """Polls until the version is AVAILABLE.

        Args:
            deadline: `Deadline`.

        Raises:
            NotFound, Unavailable: the last state, when the time is up.
        """
        retry.poll(self._require_ready, deadline)

    def metadata(self, deadline):
        """Asks for the `Metadata` of the version that answers now."""
        return self._try_until(
            deadline,
            lambda seconds: self._transport.metadata(self._target, seconds),
        )

    def predict(self, metadata, name, inputs, deadline, version=None):
        """Runs a signature.

        Args:
            metadata: `Metadata`, which the inputs fit and the outputs must.
            name: of the signature.
            inputs: dict: name -> NumPy array.
            deadline: `Deadline`.
            version: number of a version, None for the target's.

        Returns:
            dict: name -> NumPy array.

        Raises:
            ServingError: no answer, or one that does not fit.
        """
        signature = metadata.signature(name)
        target = self._target
        if version is not None:
            target = target.at_version(version)
        outputs = self._try_until(
            deadline,
            lambda seconds: self._transport.predict(
                target, name, signature, inputs, seconds
            ),
        )
        _check_outputs(outputs, inputs, signature, target)
        return outputs

    def _try_until(self, deadline, ask):
        def attempt(seconds):
            self._require_open()
            try:
                return ask(seconds)
            except ServingError as error:
                # Another thread may have closed it in the middle.
                self._require_open()
                if isinstance(error, Unavailable):
                    self._on_loss()
                raise

        try:
            return retry.call(attempt, deadline, self._retries)
        except NotFound as error:
            raise NotFound(f"{error}{self._explanation()}") from error

    def _require_open(self):
        if self._closed:
            raise ServingError("this client was closed; make another one")

    def _require_ready(self, seconds):
        self._require_open()
        states = self._transport.status(self._target, seconds)
        if not any(state == "AVAILABLE" for _, state, _ in states):
            raise Unavailable(
                f"{self._target} is not ready: {_describe(states)}"
            )
        if self._target.label is not None:
            # The status tells nothing about labels.
            self._transport.metadata(self._target, seconds)

    def _explanation(self):
        """What the server has in place of what was not found."""
        try:
            states = self._transport.status(
                self._target.at_version(None), _EXPLANATION_SECONDS
            )
        except NotFound:
            return (
                "; the server knows no such model: was it started with "
                f"--model_name={self._target.model}, or with that name in "
                "models.config?"
            )
        except ServingError:
            return ""
        text = f"; the server has: {_describe(states)}"
        if self._target.label is not None:
            text += "; labels are assigned in models.config"
        return text


def _transport(target):
    if target.scheme == "http":
        from serving.client.rest import RestTransport

        return RestTransport(target)
    try:
        from serving.client.rpc import GrpcTransport
    except ImportError as error:
        raise ImportError(
            "grpc:// needs the package tensorflow-serving-api, http:// does "
            f"without: {error}"
        ) from error

    return GrpcTransport(target)


def _describe(states):
    return ", ".join(
        f"version {version} {state}" + (f" ({text})" if text else "")
        for version, state, text in states
    )


def _check_outputs(outputs, inputs, signature, target):
    """A wrong answer must not pass for a right one."""
    rows = {len(array) for array in inputs.values() if array.ndim}
    if set(outputs) != set(signature.outputs):
        raise ServerFault(
            f"the answer of {target} does not fit its metadata: expected "
            f"{sorted(signature.outputs)}, received: {sorted(outputs)}"
        )
    for alias, spec in signature.outputs.items():
        array = outputs[alias]
        if not spec.fits(array):
            raise ServerFault(
                f"the answer of {target} does not fit its metadata: expected "
                f"{alias} as {spec}, received: {array.dtype} {array.shape}"
            )
        # A side that is given is none of rows.
        has_rows = spec.shape is None or spec.shape[:1] == (None,)
        if (
            len(rows) == 1
            and has_rows
            and array.ndim
            and len(array) not in rows
        ):
            raise ServerFault(
                f"the answer of {target} has {len(array)} rows of {alias} "
                f"for {rows.pop()} in the request"
            )
