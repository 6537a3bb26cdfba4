"""Masking known secrets in printed and stored text: keys in the environment, passwords in URLs."""

import json
import os
import re
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

VARIABLES = (
    "OPENAI_API_KEY",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "PGPASSWORD",
    "WANDB_API_KEY",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)
MASK = "***"
_PLACEHOLDERS = """none null empty dummy test token key local ollama vllm lmstudio lm-studio llama openai not-needed
no-key no-key-required sk-no-key-required placeholder your-api-key api-key secret password postgres"""
"""Common placeholders for keys, which are no secrets."""
SHORTEST, LONG = 4, 12
_USER_IN_URL = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/?#'\"]+@", re.IGNORECASE)
_PASSWORDS = re.compile(r"(?<=:)(?!/)\S+(?=@)|(?<=password=)[^\s&]+")
"""Passwords in URLs of databases."""
_BEARER = re.compile(r"(?P<head>\bBearer\s+)[\w.~+/=-]{16,}", re.IGNORECASE)


def masked(text: str) -> str:
    """The text with stars for every known secret in all its encodings, for tokens after `Bearer`, and for user and
    password in URLs (in PostgreSQL URLs only the password)."""
    return _masked(text, _known())


def masked_tree(value: Any) -> Any:
    """Plain JSON data with every string masked."""
    return _masked_tree(value, _known())


def _masked(text: str, patterns: tuple[re.Pattern[str], ...]) -> str:
    for pattern in patterns:
        text = pattern.sub(MASK, text)
    # Checked first, since a case-insensitive search of a long text takes 40 times as long.
    if "bearer" in text.lower():
        text = _BEARER.sub(rf"\g<head>{MASK}", text)
    if "://" in text:
        text = _USER_IN_URL.sub(_without_user, text)
    return _PASSWORDS.sub(MASK, text) if "postgres" in text else text


def _masked_tree(value: Any, patterns: tuple[re.Pattern[str], ...]) -> Any:
    if isinstance(value, str):
        return _masked(value, patterns)
    if isinstance(value, dict):
        return {_masked_tree(key, patterns): _masked_tree(part, patterns) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_masked_tree(part, patterns) for part in value]
    return value


def keep_address(url: str) -> None:
    """Add the password of an address, or a user without password (a token), and their Basic header to the secrets."""
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    basic = b64encode(f"{user}:{password}".encode()).decode().rstrip("=")
    _of_addresses.update([password or user, basic] if user or password else [])


_of_addresses: set[str] = set()


def _known() -> tuple[re.Pattern[str], ...]:
    return _patterns((*(os.environ.get(name, "").strip() for name in VARIABLES), *sorted(_of_addresses)))


@cache
def _patterns(secrets: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Patterns for each secret. Short secrets match only as separate words."""
    patterns = []
    for secret in secrets:
        if len(secret) < SHORTEST or secret.lower() in _PLACEHOLDERS.split():
            continue
        before, after = (r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])") if len(secret) < LONG else ("", "")
        for spelling in dict.fromkeys(_spellings(secret)):
            flags = re.IGNORECASE if "%" in spelling else 0
            patterns.append(re.compile(before + re.escape(spelling) + after, flags))
    return tuple(patterns)


def _spellings(secret: str) -> Iterator[str]:
    """A secret as plain text, percent-encoded, as a JSON string, and if it is long, within base64 (Basic)."""
    yield from (secret, quote(secret, safe=""), quote(secret))
    yield from (escaped := json.dumps(secret)[1:-1], escaped.replace("/", "\\/"))
    data = secret.encode()
    for before in range(3) if len(secret) >= LONG else ():
        # Without the characters at both ends, which contain bits of the surrounding data.
        inner = b64encode(b"\0" * before + data)[(0, 2, 3)[before] : (before + len(data)) * 8 // 6].decode()
        yield from (inner, inner.replace("+", "-").replace("/", "_"))


def _without_user(match: re.Match[str]) -> str:
    return match[0] if match["scheme"].lower().startswith("postgres") else f"{match['scheme']}{MASK}@"
