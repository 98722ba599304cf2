"""Which model of which server a client asks."""

import dataclasses
import operator
import urllib.parse

from serving.client.errors import InvalidRequest

# Of TF Serving and of its container image.
_DEFAULT_PORTS = {"grpc": 8500, "http": 8501}
_EXPECTED = "expected an address grpc://HOST:8500 or http://HOST:8501"


@dataclasses.dataclass(frozen=True)
class Target:
    """A model at a server.

    Attributes:
        scheme: `"grpc"` or `"http"`.
        host: without brackets, if it is an IPv6 address.
        port: its port.
        model: name of the model.
        version: number of a version; None takes the server's choice.
        label: label of a version; None for none.
    """

    scheme: str
    host: str
    port: int
    model: str
    version: int | None = None
    label: str | None = None

    @classmethod
    def parse(cls, address, model, version=None, label=None):
        """Reads an address.

        Raises:
            InvalidRequest: for another kind of address, no model, a version
                that is no number above 0, or a version and a label.
        """
        try:
            parts = urllib.parse.urlsplit(address)
            host, port = parts.hostname, parts.port
        except (ValueError, AttributeError, TypeError):
            host = None
        if (
            not host
            or parts.scheme not in _DEFAULT_PORTS
            or parts.path not in ("", "/")
            or parts.query
            or parts.fragment
            or parts.username is not None
            or port == 0
            or not host.isprintable()
            or " " in host
        ):
            raise InvalidRequest(f"{_EXPECTED}, received: {address!r}")
        if not _is_name(model):
            raise InvalidRequest(
                f"expected the name of a model, received: model={model!r}"
            )
        if version is not None:
            whole = whole_number(version)
            if whole is None or not 0 <= whole < 2**63:
                raise InvalidRequest(
                    "expected version as a whole number or None, received: "
                    f"version={version!r}"
                )
            version = whole
        if label is not None and not _is_name(label):
            raise InvalidRequest(
                "expected label as the name of one, or None for the latest "
                f"version, received: label={label!r}"
            )
        if version is not None and label is not None:
            raise InvalidRequest(
                "expected a version or a label, received: "
                f"version={version}, label={label!r}"
            )
        return cls(
            parts.scheme,
            host,
            port or _DEFAULT_PORTS[parts.scheme],
            model,
            version,
            label,
        )

    def at_version(self, version):
        """The same model, one version of it."""
        return dataclasses.replace(self, version=version, label=None)

    @property
    def netloc(self):
        """Host and port as in an address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def address(self):
        return f"{self.scheme}://{self.netloc}"

    def __str__(self):
        text = f"model {self.model!r} at {self.address}"
        if self.version is not None:
            return f"version {self.version} of {text}"
        if self.label is not None:
            return f"version labelled {self.label!r} of {text}"
        return text


def whole_number(given):
    """The int that a whole number of any kind is; None for anything else, True
    and arrays among it."""
    if isinstance(given, bool) or getattr(given, "shape", ()) != ():
        return None
    try:
        return operator.index(given)
    except TypeError:
        return None


def _is_name(text):
    if not isinstance(text, str) or not text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a character
        return False
    return True
