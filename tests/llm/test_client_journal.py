"""What the journal of calls gives back: a run that is resumed asks nothing twice."""

import pytest

from autoprune.errors import RunPaused
from autoprune.llm.reply import ReplyUnusable, recorded_usage
from tests.llm.asking import GOOD, Killed, MakeChat, Thought, ask, killed_after_the_first_call
from tests.llm.conftest import DiskJournal
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Status


def test_journalled_reply_is_replayed_without_asking(
    open_chat_to: MakeChat, chat_server: ChatServer, journal: DiskJournal
) -> None:
    chat_server.script = [{"idea": 1}, GOOD]
    first = ask(open_chat_to(journal=journal), Thought)
    resumed = open_chat_to(journal=journal)
    second = ask(resumed, Thought)
    assert second == first.model_copy(update={"replayed": True})
    assert resumed.usage == {}
    assert len(chat_server.requests) == 2


def test_journalled_failure_is_replayed_as_failure(
    open_chat_to: MakeChat, chat_server: ChatServer, journal: DiskJournal
) -> None:
    chat_server.script = ["nonsense"]
    for _ in range(2):
        with pytest.raises(ReplyUnusable) as caught:
            ask(open_chat_to(journal=journal), Thought)
        assert caught.value.usage.calls == 2
    assert len(chat_server.requests) == 2


def test_kill_between_reply_and_repair_loses_only_the_repair(
    open_chat_to: MakeChat, chat_server: ChatServer, journal: DiskJournal
) -> None:
    chat_server.script = ["nonsense", GOOD]
    with pytest.raises(Killed):
        ask(open_chat_to(journal=journal, before_call=killed_after_the_first_call(chat_server)), Thought)
    reply = ask(open_chat_to(journal=journal), Thought)
    assert (reply.calls, reply.failed_calls) == (2, 1)
    assert len(chat_server.requests) == 2


def test_cost_is_counted_once_over_pauses_and_changed_questions(
    open_chat_to: MakeChat, chat_server: ChatServer, journal: DiskJournal
) -> None:
    chat_server.script = ["hello", Status(500), "changed"]
    chat = open_chat_to(journal=journal, retries=0, price=lambda *_: 1.0)
    ask(chat)
    with pytest.raises(RunPaused):
        chat.ask("g1.c1.propose.0", "proposer", [{"role": "user", "content": "Another question."}])
    spent = recorded_usage(journal.values())
    assert spent == chat.usage
    resumed = open_chat_to(journal=journal, price=lambda *_: 1.0, spent=spent)
    resumed.ask("g1.c1.propose.0", "proposer", [{"role": "user", "content": "Another question."}])
    total = resumed.usage["proposer"]
    assert (total.calls, total.failed_calls, total.usd) == (2, 1, 2.0)
    assert recorded_usage(journal.values())["proposer"] == total
