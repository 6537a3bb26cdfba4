"""Waiting for a worker's channel."""

import contextlib
import select
import socket

from autoprune.sandbox import protocol


def readable(descriptor: int | socket.socket, seconds: float) -> bool:
    """Whether data or the end of the stream can be read within `seconds`."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    with contextlib.suppress(InterruptedError):
        return bool(poll.poll(seconds * 1000))
    return False


def wait_until_ready(channel: socket.socket, seconds: float = 180.0) -> None:
    """Wait for the first message of a worker without a candidate. Raises EOFError, TimeoutError, ProtocolError."""
    channel.settimeout(seconds)
    message = protocol.read_message(channel.recv)
    if message.get("ready") is not True:
        raise protocol.ProtocolError("the worker did not say that it is ready")
