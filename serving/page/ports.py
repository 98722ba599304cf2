"""Whether a port can be listened on, said before anything slow begins."""

import socket

from yoto_tf.errors import InputError

HOST = "127.0.0.1"


def free(port, option):
    """Tries to listen on a port of this machine.

    Args:
        port: its number; 0 takes any.
        option: of the command line that chose it.

    Returns:
        The number of the port.

    Raises:
        InputError: if it cannot be used.
    """
    with socket.socket() as probe:
        # As servers do: a port that was in use a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            return probe.getsockname()[1]
        except OverflowError:
            raise InputError(
                f"expected {option} between 0 and 65535, received: {port}"
            ) from None
        except OSError as error:
            raise InputError(
                f"expected a free port, received: {option} {port} "
                f"({error.strerror})"
            ) from error


def all_free(chosen):
    """Tries to listen on several ports, which have to differ.

    Args:
        chosen: option of the command line -> number of its port; 0 takes any.

    Raises:
        InputError: if one cannot be used, or two are the same.
    """
    seen = {}
    for option, port in chosen.items():
        free(port, option)
        if port and port in seen:
            raise InputError(
                f"expected different ports, received: {seen[port]} and "
                f"{option} {port}"
            )
        seen[port] = option
