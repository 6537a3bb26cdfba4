"""One question to a chat model: its parameters, its fingerprint, and the repair of an unusable answer."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from pydantic import BaseModel

from autoprune.llm.parse import parse_json
from autoprune.llm.reply import Turn
from autoprune.llm.tools import Toolbox

QUOTED_CHARS = 2000


@dataclass(frozen=True)
class Question:
    """A question without its conversation.

    `key`: the journal's. `schema`: None for plain text. `toolbox`: tools that the model may call before it answers.
    `turn`: number of earlier answers to this question (tool calls, or an unusable one).
    """

    key: str
    role: str
    max_tokens: int
    temperature: float
    schema: type[BaseModel] | None
    toolbox: Toolbox | None = None
    turn: int = 0

    @property
    def response_format(self) -> dict[str, Any] | None:
        if self.schema is None:
            return None
        return {"type": "json_schema", "json_schema": {"name": "reply", "schema": self.schema.model_json_schema()}}

    def format_in_words(self) -> dict[str, str]:
        """A prompt with the schema, for an endpoint without structured output."""
        assert self.schema is not None
        return {"role": "user", "content": _prompt("json_reply", schema=json.dumps(self.schema.model_json_schema()))}

    def fingerprint(self, model: str, messages: list[dict[str, Any]]) -> str:
        """Equal for equal requests, so that a journalled answer can be used."""
        parts: list[Any] = [model, messages, self.max_tokens, self.temperature, self.response_format]
        parts += [self.toolbox.declared()] if self.toolbox else []
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def seed(self, base: int | None, turn: int) -> int | None:
        if base is None:
            return None
        return int.from_bytes(hashlib.sha256(f"{base}/{self.key}/{turn}".encode()).digest()[:4]) >> 1


def problem_of(turn: Turn, schema: type[BaseModel] | None) -> str:
    """Why a reply is unusable; empty if it is usable or calls tools."""
    if turn.calls:
        return ""
    if not turn.text.strip() and turn.thinking:
        return f"the reply was thinking only{', cut off by the token limit (llm.max_reply_tokens)' * turn.truncated}"
    if not turn.text.strip():
        return f"the reply was empty{', all tokens were used up before it (llm.max_reply_tokens)' * turn.truncated}"
    if schema is None:
        return ""
    try:
        parse_json(turn.text, schema)
    except ValueError as error:
        return f"it was cut off after {turn.tokens_out} tokens" if turn.truncated else str(error)
    return ""


def repair_of(turn: Turn) -> list[dict[str, str]]:
    """Messages after an unusable reply: the reply, and its problem."""
    if not turn.text.strip():
        return [{"role": "user", "content": _prompt("empty_reply")}]
    return [
        {"role": "assistant", "content": turn.text[:QUOTED_CHARS]},
        {"role": "user", "content": _prompt("reply_repair", error=turn.problem)},
    ]


def _prompt(name: str, **values: str) -> str:
    return _template(name).substitute(values)


@cache
def _template(name: str) -> Template:
    return Template(files(__package__).joinpath("prompts", f"{name}.md").read_text(encoding="utf-8").strip())
