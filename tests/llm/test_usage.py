"""What an endpoint says of tokens: believed where it is possible, else estimated and marked."""

from typing import Any

import pytest

from autoprune.llm.reply import Turn, Usage, recorded_usage
from autoprune.llm.usage import MOST_TOKENS
from tests.llm.asking import MakeChat, ask
from tests.llm.conftest import DiskJournal
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Answer, Raw, as_json, completion

ESTIMATE = (4, 10)
"""Of the question, and of the answer of forty letters."""


def usage(read: Any = None, written: Any = None, total: Any = None) -> dict[str, Any]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": total}


def answering(server: ChatServer, stated: Any) -> None:
    server.script = [as_json({**completion(Answer("x" * 40), "m"), "usage": stated})]


@pytest.mark.parametrize(
    ("stated", "counts"),
    [
        *(
            (impossible, ESTIMATE)
            for impossible in (
                {},
                None,
                [],
                "many",
                7,
                usage(),
                usage(-5, -5, -10),
                usage(10.5, 20.5, -1),
                usage(10.0, 20.0),
                usage("10", "20"),
                usage(True, True),
                usage([10], {"n": 20}),
                usage(0, 0, 0),
                usage(float("inf"), float("-inf")),
            )
        ),
        (usage(10**400, 20), (4, 20)),
        (usage(0, 20), (4, 20)),
        (usage(None, 20), (4, 20)),
        (usage(10, 10**400), (10, 10)),
        (usage(10, 5 * MOST_TOKENS, 5 * MOST_TOKENS + 10), (10, 10)),
        (usage(10, 0), (10, 10)),
        (usage(10.5, 20.5, 31), (4, 27)),
    ],
    ids=lambda value: str(value)[:50],
)
def test_counts_that_are_impossible_or_missing_are_estimated_and_marked(
    open_chat_to: MakeChat, chat_server: ChatServer, stated: Any, counts: tuple[int, int]
) -> None:
    answering(chat_server, stated)
    chat = open_chat_to(price=lambda model, read, written: float(read + written))
    reply = ask(chat)
    assert (reply.tokens_in, reply.tokens_out) == counts
    assert reply.usd == sum(counts)
    assert chat.usage["proposer"].estimated


@pytest.mark.parametrize(
    ("stated", "counts"),
    [
        (usage(10, 20, 30), (10, 20)),
        (usage(10, None, 30), (10, 20)),
        (usage(None, 20, 30), (10, 20)),
        (usage(10, 20, 130), (10, 120)),
        (usage(10, 20, 10**400), (10, 20)),
        ({"input_tokens": 10, "output_tokens": 20}, (10, 20)),
        ({**usage(10, 20), "prompt_tokens_details": [], "completion_tokens_details": "none"}, (10, 20)),
    ],
    ids=str,
)
def test_counts_that_are_said_are_taken(
    open_chat_to: MakeChat, chat_server: ChatServer, stated: Any, counts: tuple[int, int]
) -> None:
    answering(chat_server, stated)
    chat = open_chat_to()
    reply = ask(chat)
    assert (reply.tokens_in, reply.tokens_out) == counts
    assert not chat.usage["proposer"].estimated


def test_of_a_total_alone_what_the_prompt_leaves_was_written(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    answering(chat_server, usage(total=900))
    reply = ask(open_chat_to())
    assert (reply.tokens_in, reply.tokens_out) == (4, 896)


def test_thinking_counts_as_written(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Answer("<think>" + "x" * 393 + "</think>hello", usage=False)]
    assert ask(open_chat_to()).tokens_out == 413 // 4


def test_a_number_of_thousands_of_digits_does_not_make_a_reply_unreadable(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    body = as_json({**completion(Answer("hello"), "m"), "usage": usage(7, 123456)}).body.replace(b"123456", b"9" * 9000)
    chat_server.script = [Raw(body)]
    assert ask(open_chat_to()).text == "hello"


@pytest.mark.parametrize("count", [10**400, -3, 10**13], ids=["gigantic", "negative", "impossible"])
def test_absurd_counts_in_an_old_journal_break_nothing(journal: DiskJournal, count: int) -> None:
    old = {"text": "x", "model": "m", "tokens_in": count, "tokens_out": 5, "usd": -1.0, "seconds": 1.0}
    journal.put("k", {"request": "r", "role": "critic", "turns": [old], "spent": {"tokens_out": count, "usd": 1e300}})
    total = recorded_usage(journal.values())["critic"]
    assert (total.tokens_in, total.tokens_out, total.usd) == (0, 5, None)
    assert Turn.model_validate(old).tokens_in == 0
    assert Usage(tokens_in=count).tokens_in == 0
