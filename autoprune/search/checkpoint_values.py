"""Serialization of checkpoints: msgpack of plain data, and of LangGraph's Send and Interrupt.

LangGraph's own serializer imports and calls the names in the stored bytes, so that a run directory from someone else
could execute code. This one reads the same format, but refuses all other types.
"""

from typing import Any

import ormsgpack
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.types import Interrupt, Send
from pydantic import TypeAdapter

from autoprune.errors import UsageError
from autoprune.search.state import CandidateState

NONE, BYTES, MSGPACK = "null", "bytes", "msgpack"
BY_POSITION, BY_NAME = 1, 2
"""LangGraph's codes for an object: [module, name, arguments], with positional or keyword arguments."""
SEND, INTERRUPT = [Send.__module__, Send.__name__], [Interrupt.__module__, Interrupt.__name__]
OPTIONS = (
    ormsgpack.OPT_NON_STR_KEYS
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
    | ormsgpack.OPT_REPLACE_SURROGATES
)
"""No implicit conversion of types; lone surrogates, which a chat model may write, are replaced."""
_CANDIDATE = TypeAdapter(CandidateState)


class PlainValues(SerializerProtocol):
    """Reads and writes the values of one run. `place`: the run, for error messages."""

    def __init__(self, place: object) -> None:
        self._place = place

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Raises TypeError for a type that `loads_typed` refuses."""
        if obj is None:
            return NONE, b""
        if isinstance(obj, bytes):
            return BYTES, obj
        return MSGPACK, _packed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Raises UsageError for a value that `dumps_typed` does not write."""
        kind, stored = data
        if kind == NONE:
            return None
        if kind == BYTES:
            return stored
        refused = [] if kind == MSGPACK else [f"a value of the kind {str(kind)[:40]!r}"]
        try:
            if not refused:
                return _unpacked(stored, refused)
        except (ValueError, TypeError, RecursionError) as error:
            refused.append(f"bytes that are not msgpack ({error})")
        raise UsageError(
            f"the checkpoints of {self._place} hold {refused[0]}, which autoprune never stores: they are damaged or "
            "from another program, so this run cannot continue from them"
        )


def _unpacked(stored: bytes, refused: list[str]) -> Any:
    """Raises ValueError and adds the refused object to `refused`, since msgpack does not pass on the message."""

    def build(code: int, inner: bytes) -> Any:
        description = _unpacked(inner, refused) if code in (BY_POSITION, BY_NAME) else f"code {code}"
        match description:
            case [module, name, ["candidate", argument]] if [code, module, name] == [BY_POSITION, *SEND]:
                return Send("candidate", _CANDIDATE.validate_python(argument))
            case [module, name, {"value": value, "id": str(key)}] if [code, module, name] == [BY_NAME, *INTERRUPT]:
                return Interrupt(value=value, id=key)
            case [module, name, *_]:
                description = f"{module}.{name}"
        refused.append(f"an object of another type ({str(description)[:80]!r})")
        raise ValueError

    return ormsgpack.unpackb(stored, ext_hook=build, option=ormsgpack.OPT_NON_STR_KEYS)


def _packed(value: Any) -> bytes:
    return ormsgpack.packb(value, default=_described, option=OPTIONS)


def _described(value: Any) -> ormsgpack.Ext | str:
    if isinstance(value, Send):
        return ormsgpack.Ext(BY_POSITION, _packed((*SEND, (value.node, value.arg))))
    if isinstance(value, Interrupt):
        return ormsgpack.Ext(BY_NAME, _packed((*INTERRUPT, {"value": value.value, "id": value.id})))
    if isinstance(value, BaseException):  # of a failed step, which LangGraph stores as text
        return repr(value)
    raise TypeError(f"a {type(value).__name__} cannot be stored in a checkpoint")
