"""How the values of checkpoints are stored: msgpack of plain data, and of two of LangGraph's types, built here by name.

LangGraph's own serializer imports and calls what the stored bytes name, so that a run directory from elsewhere could
run anything. What it wrote for this program's runs is read here; whatever else it could write is refused.
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
"""LangGraph's codes for an object: [module, name, arguments], in order or by name."""
SEND, INTERRUPT = [Send.__module__, Send.__name__], [Interrupt.__module__, Interrupt.__name__]
OPTIONS = (
    ormsgpack.OPT_NON_STR_KEYS
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
    | ormsgpack.OPT_REPLACE_SURROGATES
)
"""Nothing becomes another type unnoticed; half of a surrogate pair, which a chat model may write, is replaced."""
_CANDIDATE = TypeAdapter(CandidateState)


class PlainValues(SerializerProtocol):
    """Reads and writes the values of one run, which `place` names in messages."""

    def __init__(self, place: object) -> None:
        self._place = place

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Raises TypeError for what could not be read again."""
        if obj is None:
            return NONE, b""
        if isinstance(obj, bytes):
            return BYTES, obj
        return MSGPACK, _packed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Raises UsageError for what `dumps_typed` would not have written."""
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
            f"the checkpoints of {self._place} hold {refused[0]}, which this program never stores: they are damaged or "
            "somebody else made them, so that this run cannot go on from them"
        )


def _unpacked(stored: bytes, refused: list[str]) -> Any:
    """Raises ValueError; which object was the reason is added to `refused`, for msgpack passes on no message."""

    def built(code: int, inner: bytes) -> Any:
        described = _unpacked(inner, refused) if code in (BY_POSITION, BY_NAME) else f"code {code}"
        match described:
            case [module, name, ["candidate", argument]] if [code, module, name] == [BY_POSITION, *SEND]:
                return Send("candidate", _CANDIDATE.validate_python(argument))
            case [module, name, {"value": value, "id": str(key)}] if [code, module, name] == [BY_NAME, *INTERRUPT]:
                return Interrupt(value=value, id=key)
            case [module, name, *_]:
                described = f"{module}.{name}"
        refused.append(f"an object of another type ({str(described)[:80]!r})")
        raise ValueError

    return ormsgpack.unpackb(stored, ext_hook=built, option=ormsgpack.OPT_NON_STR_KEYS)


def _packed(value: Any) -> bytes:
    return ormsgpack.packb(value, default=_described, option=OPTIONS)


def _described(value: Any) -> ormsgpack.Ext | str:
    if isinstance(value, Send):
        return ormsgpack.Ext(BY_POSITION, _packed((*SEND, (value.node, value.arg))))
    if isinstance(value, Interrupt):
        return ormsgpack.Ext(BY_NAME, _packed((*INTERRUPT, {"value": value.value, "id": value.id})))
    if isinstance(value, BaseException):  # that a step ended with, which LangGraph keeps as text
        return repr(value)
    raise TypeError(f"a {type(value).__name__} cannot be stored in a checkpoint")
