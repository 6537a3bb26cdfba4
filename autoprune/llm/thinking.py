"""Separates a model's thinking, in its various formats, from its answer."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from autoprune.llm.fences import Fence, next_fence
from autoprune.llm.python_text import tree_of

_NAMES = (
    r"(?:\w+[:_-])?(?:\w*(?:think|thought|reason|reflect|monologue)\w*|scratch_?pad|analysis|deliberation|brainstorm"
    r"|plan(?:ning)?|draft|cot|chain[_-]of[_-]thoughts?)"
)
_OPENING = (
    rf"<\s*{_NAMES}(?:\s[^<>\n]*)?(?<!/)>|(?<!\w)\[{_NAMES}\]|◁think▷|<\|inner_prefix\|>|<\|channel>thought|<unused94>thought"
    rf"|<\|(?:begin_of_|begin_|start_)?{_NAMES}(?:_begin|_start)?\|>"
)
_CLOSING = (
    rf"</\s*{_NAMES}\s*>|\[/{_NAMES}\]|◁/think▷|<\|inner_suffix\|>|<channel\|>|<unused95>"
    rf"|<\|(?:/|end_of_|end_){_NAMES}\|>|<\|?{_NAMES}_end\|?>"
)
_TAG = re.compile(rf"(?P<closing>{_CLOSING})|(?P<opening>{_OPENING})", re.IGNORECASE)
_DECODER = json.JSONDecoder(strict=False)
_OBJECT = re.compile(r"^[ \t]*\{", re.MULTILINE)
MOST_OBJECTS = 50
_QUOTES = "`\"'"
_WRAPPING = re.compile(
    r"^[ \t]*</?(?:answer|final_answer|final|response|output|solution)>[ \t]*$"
    r"|<\|(?:begin|end)_of_solution\|>|<\|(?:START|END)_RESPONSE\|>",
    re.IGNORECASE | re.MULTILINE,
)
# Channels of gpt-oss, with their special tokens or with what remains when a server drops these.
_CHANNEL = re.compile(
    r"(?:<\|start\|>\w+)?[ \t]*<\|channel\|>\s*(?P<channel>\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>"
)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call)\|>(?:<\|start\|>\w*)?|<\|start\|>\w*\s*\Z")
_BEFORE_ANSWER = re.compile(
    r"\A\s*analysis(?=[A-Z\s]).*?assistant\s*final\s*"
    r"|\A\s*Here(?:'s| is) my thought process:.*?Here(?:'s| is) my response:\s*",
    re.DOTALL,
)
_BARE_ANALYSIS = re.compile(r"\A\s*analysis[A-Z][a-z' ]")
_FIELDS = (
    *("reasoning_content", "reasoning", "reasoning_text", "thinking", "thinking_blocks", "thoughts", "thought"),
    "reasoning_details",
)
_PARTS = ("thinking", "reasoning", "text", "summary", "content")


class Split(NamedTuple):
    """A reply's answer and thinking."""

    answer: str
    thinking: str


def split_thinking(text: str) -> Split:
    """Separate the thinking from a reply's text.

    Recognised are pairs of tags, a single closing tag (the text before it is thinking), a single opening tag at the
    start of a line (the reply was cut off), and channels. Tags within code blocks, or in a reply that is code or JSON
    as a whole, belong to the answer.
    """
    if _CHANNEL.search(text):
        return _by_channel(text)
    if bare := _BEFORE_ANSWER.match(text):
        return Split(text[bare.end() :], bare[0].strip())
    if _BARE_ANALYSIS.match(text):
        return Split("", text.strip())
    if not _TAG.search(text) or _is_data(text):
        return Split(text, "")
    split = _by_tags(text)
    return Split(_WRAPPING.sub("", split.answer), split.thinking) if split.thinking else split


def stated_thinking(message: dict[str, Any]) -> str:
    """The thinking of a message, or of a piece of one, in a separate field or in parts of its content."""
    in_fields = next((text for name in _FIELDS if (text := _text(message.get(name)))), "")
    content = message.get("content")
    parts = [part for part in content if is_thinking(part)] if isinstance(content, list) else []
    return in_fields + "".join(map(_text, parts))


def is_thinking(part: Any) -> bool:
    """Whether a part of a message's content is thinking."""
    if not isinstance(part, dict):
        return False
    return part.get("thought") is True or re.search(r"think|reason|thought", str(part.get("type")), re.I) is not None


def _text(value: Any, depth: int = 4) -> str:
    """The text of a field, which may be a string, a part, or a list of parts."""
    if isinstance(value, str):
        return value
    if depth and isinstance(value, list):
        return "".join(_text(part, depth - 1) for part in value)
    if depth and isinstance(value, dict):
        return next((text for name in _PARTS if (text := _text(value.get(name), depth - 1))), "")
    return ""


def _by_channel(text: str) -> Split:
    marks = list(_CHANNEL.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    answer: list[str] = []
    thinking = [text[: marks[0].start()]]
    for mark, end in zip(marks, ends, strict=True):
        content, *rest = _CHANNEL_END.split(text[mark.end() : end])
        (answer if mark["channel"] == "final" else thinking).append(content)
        answer += rest  # if a server drops the name of the last channel
    return Split("".join(answer), _joined(thinking))


def _by_tags(text: str) -> Split:
    objects = list(_objects(text))
    tags = [
        tag
        for tag in _TAG.finditer(text)
        if not _is_quoted(text, tag) and not any(first < tag.start() < end for first, end in objects)
    ]
    last_closing = max((tag.start() for tag in tags if tag["closing"]), default=-1)
    answer: list[str] = []
    thinking: list[str] = []
    place, inside = 0, False
    fence = next_fence(text, 0)
    for tag in tags:
        while fence and not inside and (fence.end <= tag.start() or fence.start < place):
            fence = next_fence(text, max(place, fence.end if fence.start >= place else place))
        if inside:
            if tag["closing"]:
                thinking.append(text[place : tag.start()])
                place, inside = tag.end(), False
        elif fence and _belongs_to_code(text, tag, fence):
            continue
        elif tag["closing"]:
            answer.append(text[place : tag.start()])
            place = tag.end()
            if text[place:].strip():  # else a stray tag after the answer
                thinking.append("".join(answer))
                answer = []
        elif last_closing > tag.start() or _begins_line(text, tag):
            answer.append(text[place : tag.start()])
            place, inside = tag.end(), True
    (thinking if inside else answer).append(text[place:])
    return Split("".join(answer), _joined(thinking))


def _objects(text: str) -> Iterator[tuple[int, int]]:
    """Spans of JSON objects that start a line. Tags within them are not thinking."""
    place = 0
    for _ in range(MOST_OBJECTS):
        opening = _OBJECT.search(text, place)
        if opening is None:
            return
        try:
            place = _DECODER.raw_decode(text, opening.end() - 1)[1]
        except (ValueError, RecursionError):
            place = opening.end()
            continue
        yield opening.end() - 1, place


def _is_quoted(text: str, tag: re.Match[str]) -> bool:
    before, after = text[tag.start() - 1 : tag.start()], text[tag.end() : tag.end() + 1]
    beside_fence = text[tag.start() - 3 : tag.start()] == "```" or text.startswith("```", tag.end())
    return bool(before) and before == after and before in _QUOTES and not beside_fence


def _belongs_to_code(text: str, tag: re.Match[str], fence: Fence) -> bool:
    """Whether a tag is in a code block, unless it is a closing tag alone on its line without an opening tag before."""
    if not fence.start <= tag.start() < fence.end:
        return False
    alone = tag["closing"] and _begins_line(text, tag) and not text[tag.end() :].partition("\n")[0].strip()
    return not alone or any(other["opening"] for other in _TAG.finditer(text, fence.start, tag.start()))


def _begins_line(text: str, tag: re.Match[str]) -> bool:
    return not text[text.rfind("\n", 0, tag.start()) + 1 : tag.start()].strip()


def _is_data(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return tree_of(text) is not None


def _joined(parts: list[str]) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())
