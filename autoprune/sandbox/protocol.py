"""The messages between the trusted side and the worker: a fixed header (magic with version, length), then JSON.

Everything that a worker sends is untrusted: a candidate can write to the same descriptor. So lengths are checked
before anything is read, the text must be a JSON object of modest depth without NaN, infinity or a key twice, nothing in
it is ever executed, and what it may hold is said by types (answers.py). Tensors do not travel here but in the slot
(slot.py).

trusted -> worker   {"do": "open", "source", limits...} with descriptors
                    {"do": "score", "id", "layer", "sparsity", "pattern", "place"}
                    {"do": "allocate", "id", "units", "sparsity"}
                    (asked one ahead: while the scores of one place are copied, the worker fills the other)
worker -> trusted   {"id", ...answer} or {"id", "failure": {"stage", "reason", "message"}}; "id" repeats the question's
"""

import json
import struct
from collections.abc import Callable
from typing import Any, NoReturn

VERSION = 1
HEADER = struct.Struct("!3sBI")
MAX_MESSAGE = 1 << 20
"""Bytes of what a worker may send."""
MAX_QUESTION = 1 << 26
"""Bytes of what it may be asked: a mixture of experts has units by the ten thousand."""
_MAGIC = b"APS"


class ProtocolError(Exception):
    """What arrived is not a message of this protocol; the text says why."""


def encode(message: dict[str, Any], most: int = MAX_MESSAGE) -> bytes:
    """A message as bytes. Raises ProtocolError when it is larger than `most`."""
    body = json.dumps(message, allow_nan=False).encode()
    if len(body) > most:
        raise ProtocolError(f"a message of {len(body)} bytes (at most {most})")
    return HEADER.pack(_MAGIC, VERSION, len(body)) + body


def read_message(read: Callable[[int], bytes], most: int = MAX_MESSAGE) -> dict[str, Any]:
    """One message of at most `most` bytes from `read(n)`, which returns 1 to n bytes, none at the end of the stream.

    Raises EOFError at the end of the stream, ProtocolError on anything that is not a message.
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
