import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from autoprune.llm.code_blocks import fenced_code
from autoprune.llm.parse import clean, parse_json

CODE = "def score(layer):\n    return layer.weight.abs()\n"


class Idea(BaseModel):
    idea: str


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{CODE}```",
        f"Here it is:\n\n```py\n{CODE}```\nIt prunes.",
        f"```\n{CODE}```",
        f"First try:\n```python\nx = 1\n```\nBetter:\n```python\n{CODE}```",
        f"```python\n{CODE}```\nRun it:\n```bash\npip install torch\n```",
        f"```python\n{CODE}```\nOutput:\n```\n```",
        f"```python\n{CODE}",
        f"  ```Python title=x\n{CODE}  ```",
        CODE,
    ],
    ids=["plain", "prose", "unlabelled", "last", "shell", "empty", "unclosed", "indented", "bare"],
)
def test_code_is_found(text: str) -> None:
    assert fenced_code(text) == CODE


@pytest.mark.parametrize("text", ["", "I cannot help.", "hello", "42", "```json\n{}\n```", "```bash\nls\n```"])
def test_reply_without_code_gives_none(text: str) -> None:
    assert fenced_code(text) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"idea": "x"}',
        '```json\n{"idea": "x"}\n```',
        'Sure: {"idea": "x"} — done {}',
        '{"idea": "x",}',
        '<think>{"idea": "no"}</think>{"idea": "x"}',
        'a set {1, 2} and {"note": 1} then {"idea": "x"}',
    ],
    ids=["plain", "fenced", "prose", "comma", "thinking", "several"],
)
def test_object_is_found(text: str) -> None:
    assert parse_json(text, Idea) == Idea(idea="x")


def test_raw_newline_inside_a_string_is_tolerated() -> None:
    assert parse_json('{"idea": "a\nb"}', Idea).idea == "a\nb"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no complete JSON object"),
        ('{"idea": "x', "no complete JSON object"),
        ('{"idea": 3}', "idea: "),
        ("[1]", "no"),
    ],
)
def test_unusable_reply_says_what_is_wrong_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        parse_json(text, Idea)
    assert "\n" not in str(caught.value)


def test_deep_nesting_is_no_crash() -> None:
    with pytest.raises(ValueError, match="no complete"):
        parse_json('{"a":' * 100_000, Idea)


@given(st.text())
def test_clean_text_is_printable_storable_and_stays_clean(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert json.loads(json.dumps(cleaned)) == cleaned
    assert all(c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"} for c in cleaned)
    assert clean(cleaned) == cleaned


@given(st.text(), st.text())
def test_any_text_is_read_without_a_crash(before: str, after: str) -> None:
    fenced_code(before + "```" + after)
    assert parse_json(before.replace("{", "") + '{"idea": "x"}' + after, Idea).idea == "x"
