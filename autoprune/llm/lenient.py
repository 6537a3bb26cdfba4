"""Validators for a reply's fields that correct small deviations, so that these need no repair turn.

They do not change the JSON schema that is sent to the endpoint.
"""

import re
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

_SEPARATORS = re.compile(r"[,;\n]")
_NOTHING = {"", "none", "null", "n/a", "-"}
_HEAD = re.compile(r"\W*([A-Za-z]+)(?:\W*$|\W*[:.;(\[]|\W*\s[-–—]\s)")
_REMARK = re.compile(r"(?<=\S)\s+\([^()]*\)\s*\Z")
_BULLET = re.compile(r"\A\s*[-*•]\s+")
_BRACKETS = " \t[]()`'\"*"


class ReplyModel(BaseModel):
    """Reply of an agent's model: keys in any case, extra keys ignored, strings stripped."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _keys_in_any_case(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        renamed = {re.sub(r"[\s-]+", "_", str(key).strip()).lower(): part for key, part in value.items()}
        return {name: renamed[name] for name in cls.model_fields if name in renamed} | {
            name: value[name] for name in cls.model_fields if name in value
        }


def any_case(words: Any) -> BeforeValidator:
    """Accepts a word of a Literal in any case, with punctuation, alone in a list, or at the start of an explanation
    ("Accept: no fault found"), unless another of the words follows."""
    allowed = set(get_args(words))

    def read(value: Any) -> Any:
        text = value[0] if isinstance(value, list) and len(value) == 1 else value
        head = _HEAD.match(text) if isinstance(text, str) else None
        if head is None:
            return value
        mentioned = {word for word in re.findall(r"[a-z]+", text.lower()) if word in allowed}
        return head[1].lower() if mentioned == {head[1].lower()} else value

    return BeforeValidator(read)


def cut(longest: int) -> BeforeValidator:
    """Cuts a string that is too long; joins a list of strings."""

    def read(value: Any) -> Any:
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            value = "; ".join(value)
        if isinstance(value, str) and len(value := value.strip()) > longest:
            return value[: longest - 1].rstrip() + "…"
        return value

    return BeforeValidator(read)


def names(most: int) -> BeforeValidator:
    """Splits a string into a list of names, removes brackets, quotes, bullets and remarks, and cuts the list."""

    def read(value: Any) -> Any:
        if value is None:
            return []
        if isinstance(value, str):
            value = _SEPARATORS.split(value)
        if not isinstance(value, list):
            return value
        stripped = [_name(part) if isinstance(part, str) else part for part in value if part is not None]
        return [part for part in stripped if not (isinstance(part, str) and part.lower() in _NOTHING)][:most]

    return BeforeValidator(read)


def _name(part: str) -> str:
    return _REMARK.sub("", _BULLET.sub("", part)).strip(_BRACKETS)
