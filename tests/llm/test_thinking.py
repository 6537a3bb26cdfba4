"""Thinking in every form: set aside, never the answer, never lost."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.llm.code_blocks import fenced_code
from autoprune.llm.reply import ReplyUnusable
from autoprune.llm.thinking import split_thinking
from tests.llm.asking import GOOD, MakeChat, Thought, ask
from tests.llm.conftest import DiskJournal
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Answer, Stream, as_json

DRAFT = json.dumps({"idea": "DRAFT", "weight": 9})
FINAL = json.dumps(GOOD)
BAD = "```python\ndef score(layer):\n    return layer.weight.abs() * 0 + 7\n```"
CODE = "def score(layer):\n    return layer.weight.abs()\n"

FORMS = [
    "<think>{}</think>",
    "<think>\n{}\n</think>\n\n",
    "Try {}\nno.\n</think>\n",
    "<thinking>Try {}</thinking>\n",
    "<THINK>{}</THINK>\n",
    "Okay.\n<think>{}</think>\n",
    "<think>a</think>\n<think>{}</think>\n",
    "<reasoning>{}</reasoning>\n",
    "<reflection>{}</reflection>\n",
    "<thought>{}</thought>",
    '<think effort="high">{}</think>',
    "<seed:think>{}</seed:think>",
    "[THINK]{}[/THINK]",
    "◁think▷{}◁/think▷",
    "<|START_THINKING|>{}<|END_THINKING|>",
    "<|begin_of_thought|>{}<|end_of_thought|>\n",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
    "analysisWe try {}.assistantfinal",
    "<|channel>thought\n{}<channel|>",
    "<unused94>thought\n{}<unused95>",
    "Here is my thought process:\n{}\nHere is my response:\n",
    "<think>I must close with `</think>`. {}</think>",
    "<think>first <think>{}</think> then</think>\n",
    "<thinking>{}</think>\n",
    "<thought_process>{}</thought_process>\n",
    "<chain_of_thought>\n{}\n</chain_of_thought>\n",
    "<antThinking>{}</antThinking>\n",
    "<scratch_pad>{}</scratch_pad>\n",
    "<analysis>\n{}\n</analysis>\n",
    "< think >{}</ think >\n",
    "<think_start>{}<think_end>\n",
    "[REASONING]{}[/REASONING]\n",
    "<|begin_of_think|>{}<|end_of_think|>\n",
    "<|inner_prefix|>{}<|inner_suffix|>\n",
    "<|channel|>analysis<|message|>{}<|end|>\n",
]


@pytest.mark.parametrize("form", FORMS)
def test_the_answer_is_what_stands_beside_the_thinking(form: str) -> None:
    for draft, final in ((DRAFT, FINAL), (BAD, f"```python\n{CODE}```"), (BAD, CODE)):
        answer, thinking = split_thinking(form.replace("{}", draft) + final)
        assert final in answer
        assert draft not in answer
        assert draft in thinking


@pytest.mark.parametrize(
    "form", ["<think>{}", "Okay.\n<think>\n{} and so on", "<|channel|>analysis<|message|>{}", "[THINK]{}"]
)
def test_thinking_that_is_cut_off_is_no_answer(form: str) -> None:
    answer, thinking = split_thinking(form.replace("{}", BAD))
    assert BAD not in answer
    assert BAD in thinking


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n# <think>\n{CODE}```",
        f'```python\n"""\n<think>\nplan\n</think>\n"""\n{CODE}```',
        f"{CODE}MARK = '<think>'\n",
        '{"idea": "wrap it in <think> and </think>", "weight": 1}',
        f"I avoid `<think>` and `</think>` here.\n```python\n{CODE}```",
        f"1 <think 2\n{CODE}",
        f"<think />\n{FINAL}",
        'Here:\n{"idea": "train with </think> in it", "weight": 1}\nThat is all.',
    ],
)
def test_tags_that_are_part_of_the_answer_stay_in_it(text: str) -> None:
    assert split_thinking(text) == (text, "")


def test_a_stray_closing_tag_behind_the_answer_does_not_take_it_away() -> None:
    answer, thinking = split_thinking(f"<think>a</think>\n{FINAL}\n</think>\n")
    assert (answer.strip(), thinking) == (FINAL, "a")


def test_a_draft_whose_fence_the_thinking_left_open_ends_with_the_thinking() -> None:
    answer, thinking = split_thinking(f"{BAD.removesuffix('```')}\n</think>\n```python\n{CODE}```")
    assert fenced_code(answer) == CODE
    assert "* 0 + 7" in thinking


@pytest.mark.parametrize(
    "message",
    [
        {"content": FINAL, "reasoning_content": DRAFT},
        {"content": FINAL, "reasoning": DRAFT},
        {"content": FINAL, "reasoning": DRAFT, "reasoning_details": [{"type": "reasoning.text", "text": DRAFT}]},
        {"content": FINAL, "reasoning_details": [{"type": "reasoning.summary", "summary": DRAFT}]},
        {"content": [{"type": "thinking", "thinking": DRAFT}, {"type": "text", "text": FINAL}]},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": DRAFT}]},
                {"type": "text", "text": FINAL},
            ]
        },
        {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": DRAFT}]}, FINAL]},
        {"content": FINAL, "thinking_blocks": [{"type": "thinking", "thinking": DRAFT, "signature": "x"}]},
        {"content": [{"text": DRAFT, "thought": True}, {"text": FINAL}]},
        {"content": f"<think>{DRAFT}</think>{FINAL}"},
    ],
    ids=lambda message: str(message)[:60],
)
def test_thinking_is_kept_in_the_journal_and_apart_from_the_answer(
    open_chat_to: MakeChat, chat_server: ChatServer, journal: DiskJournal, message: dict[str, Any]
) -> None:
    chat_server.script = [as_json({"choices": [{"message": message, "finish_reason": "stop"}]})]
    assert ask(open_chat_to(journal=journal), Thought).parsed == Thought.model_validate(GOOD)
    (turn,) = journal.values()[0]["turns"]
    assert (turn["text"], turn["thinking"]) == (FINAL, DRAFT)


def test_thinking_in_a_stream_is_put_together_with_its_spaces(
    open_chat_to: MakeChat, chat_server: ChatServer, journal: DiskJournal
) -> None:
    pieces = ("We ", "think", " .")
    events = [{"choices": [{"delta": {"reasoning_content": piece, "content": None}}]} for piece in pieces]
    start = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    rest = b'data: {"choices": [{"delta": {"content": "hello"}, "finish_reason": "stop"}]}\n\n'
    chat_server.script = [Stream((), finish=None, last=start + rest)]
    assert ask(open_chat_to(journal=journal)).text == "hello"
    assert journal.values()[0]["turns"][0]["thinking"] == "We think ."


@pytest.mark.parametrize(
    "answer",
    [Answer("<think>so long", finish_reason="length"), Answer(f"<think>{DRAFT}", finish_reason="length")],
    ids=["words", "draft"],
)
def test_a_reply_of_thinking_alone_says_so(open_chat_to: MakeChat, chat_server: ChatServer, answer: Answer) -> None:
    chat_server.script = [answer]
    with pytest.raises(ReplyUnusable, match=r"thinking only, cut off by the token limit \(llm.max_reply_tokens\)"):
        ask(open_chat_to(), Thought)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "```\n", "x", "\n", "[THINK]", "~~~", " ", "`", "'''"])).map(
        "".join
    )
)
def test_nothing_is_lost(text: str) -> None:
    answer, thinking = split_thinking(text)
    assert answer.count("x") + thinking.count("x") == text.count("x")


@pytest.mark.parametrize(
    "piece", ["a<think>", "</think>\n", "<think>```\n</think>", "```\n</think>\n", "~~~a\n<think>"]
)
def test_a_reply_made_of_tags_is_read_in_time_that_grows_with_its_length(piece: str) -> None:
    split_thinking(piece * (100_000 // len(piece)))
