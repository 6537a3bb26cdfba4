"""Chats (lists of messages) as text, by the tokenizer's chat template."""

import logging
from collections.abc import Sequence
from typing import Any

from autoprune.errors import UsageError, message_of
from autoprune.evaluation.disjoint import sentence_key

logger = logging.getLogger(__name__)
FIELDS = (("role", "content"), ("from", "value"))
"""Fields of a message in the formats of OpenAI and ShareGPT."""
ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant"}
"""Aliases of roles."""


def is_chat(value: Any) -> bool:
    """Whether a value is a list of messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(message, dict) and any(set(pair) <= set(message) for pair in FIELDS) for message in value)
    )


def rendered(chats: Sequence[Any], source: str, tokenizer: Any) -> list[str]:
    """The chats as text, without those that repeat a message (except a system prompt) of an earlier chat.

    Chats that the template does not accept are skipped with a warning. Raises UsageError if there is no template, or if
    it accepts none of them.
    """
    from jinja2 import TemplateError

    if not getattr(tokenizer, "chat_template", None):
        raise UsageError(f"{source} holds chats, and the tokenizer has no chat template; give a data set of plain text")
    texts: list[str] = []
    seen: set[str] = set()
    failed, reason = 0, ""
    for chat in chats:
        messages = [_message(message) for message in chat]
        contents = {sentence_key(message["content"]) for message in messages if message["role"] != "system"} - {""}
        if contents & seen:
            continue
        seen |= contents
        try:
            texts.append(tokenizer.apply_chat_template(messages, tokenize=False))
        except (TemplateError, ValueError, TypeError) as error:
            failed, reason = failed + 1, message_of(error)[:200]
    if failed and not texts:
        raise UsageError(f"the tokenizer's chat template fits none of the chats of {source}: {reason}")
    if failed:
        logger.warning(
            f"{source}: {failed:,} chats that the tokenizer's chat template does not fit are left out ({reason})"
        )
    return texts


def _message(message: dict[str, Any]) -> dict[str, str]:
    role, content = next((message[pair[0]], message[pair[1]]) for pair in FIELDS if set(pair) <= set(message))
    if isinstance(content, list):  # parts, of which only text is used
        content = "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    role = str(role).lower()
    return {"role": ROLES.get(role, role), "content": content if isinstance(content, str) else ""}
