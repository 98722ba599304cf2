"""The sockets of the two ports."""

import socket


def bind(port: int) -> socket.socket:
    """Takes a port of 127.0.0.1, on which connections are still refused.

    Port 0 takes a free one; a taken one raises OSError.
    """
    # The protocol is named for asyncio, which then sends each part of a reply
    # at once; else one may wait 40 ms for the receipt of the part before.
    bound = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        bound.close()
        raise OSError(f"port {port} is taken") from error
    return bound
