"""The messages between the trusted side and the worker: a fixed header (magic, version, length), then JSON.

Messages from a worker are untrusted, since a candidate can write to the same descriptor. Lengths are checked before
reading; the text must be a JSON object without NaN, infinity, duplicate keys or deep nesting; its content is validated
by types (answers.py). Tensors are passed in a shared buffer (score_buffer.py).

trusted -> worker   {"do": "open", "source", limits...} with descriptors
                    {"do": "score", "id", "layer", "sparsity", "pattern", "place"}
                    {"do": "edit", "id", "layer", "sparsity", "pattern", "place"}, with a mask in the buffer
                    {"do": "allocate", "id", "units", "sparsity"}
                    {"do": "structures", "id", "structures", "place"}
                    {"do": "consumer", "id", "structures", "kept", "place"}
                    (sent one ahead: while the scores of one place are copied, the worker fills the other)
worker -> trusted   {"id", ...answer} or {"id", "failure": {"stage", "reason", "message"}}; "id" repeats the question's
"""

import contextlib
import json
import select
import socket
import struct
from collections.abc import Callable
from typing import Any, NoReturn

VERSION = 1
HEADER = struct.Struct("!3sBI")
MAX_MESSAGE = 1 << 20
"""Maximum bytes of a message from a worker."""
MAX_QUESTION = 1 << 26
"""Maximum bytes of a message to a worker; mixtures of experts have tens of thousands of units."""
_MAGIC = b"APS"


class ProtocolError(Exception):
    """The received data is not a message of this protocol."""


def encode(message: dict[str, Any], most: int = MAX_MESSAGE) -> bytes:
    """A message as bytes. Raises ProtocolError if it is larger than `most`."""
    body = json.dumps(message, allow_nan=False).encode()
    if len(body) > most:
        raise ProtocolError(f"a message of {len(body)} bytes (at most {most})")
    return HEADER.pack(_MAGIC, VERSION, len(body)) + body


def read_message(read: Callable[[int], bytes], most: int = MAX_MESSAGE) -> dict[str, Any]:
    """Read one message of at most `most` bytes by `read(n)`, which returns 1 to n bytes, or none at the end.

    Raises EOFError at the end of the stream, ProtocolError for anything but a message.
    """
    magic, version, length = HEADER.unpack(_exactly(read, HEADER.size))
    if magic != _MAGIC:
        raise ProtocolError("what arrived does not start like a message")
    if version != VERSION:
        raise ProtocolError(f"protocol version {version}, expected {VERSION}")
    if length > most:
        raise ProtocolError(f"a message of {length} bytes was announced (at most {most})")
    body = _exactly(read, length)
    try:
        message = json.loads(body.decode(), parse_constant=_refuse, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a message is not JSON: {type(error).__name__}") from None
    if not isinstance(message, dict):
        raise ProtocolError(f"a message is a {type(message).__name__}, not an object")
    return message


def _exactly(read: Callable[[int], bytes], length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = read(length - len(data))
        if not piece:
            raise EOFError("the stream ended" + (" inside a message" if data else ""))
        data += piece
    return bytes(data)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    message = dict(pairs)
    if len(message) != len(pairs):
        raise ValueError("a key stands there twice")
    return message


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


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
    message = read_message(channel.recv)
    if message.get("ready") is not True:
        raise ProtocolError("the worker did not say that it is ready")
