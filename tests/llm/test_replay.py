"""A chat whose answers come from a recording: found by key, validated as ever, and paid for by nobody."""

import json

import pytest

from autoprune.config import Config
from autoprune.config_agents import LLMSettings
from autoprune.errors import BudgetSpent, UsageError
from autoprune.llm.client import Chat
from autoprune.llm.provider import Choice, choose_llm, open_chats
from autoprune.llm.recorder import Recorder, header_of
from autoprune.llm.recording import Recording
from autoprune.llm.replay import Replayer
from autoprune.llm.reply import ReplyUnusable
from autoprune.llm.tools import Tool, Toolbox
from tests.llm.asking import GOOD, Killed, Thought, ask
from tests.llm.replies import Calls, Status
from tests.llm.test_recording import ENTRY, HEADER, TURN, write

ELSEWHERE = [{"role": "user", "content": "The same question with the numbers of another machine."}]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "recording.jsonl"


@pytest.fixture
def recording_chat(open_chat_to, file):
    """A chat to the scripted server that records."""
    recorder = Recorder(file)
    recorder.begin(header_of(Config(), {"proposer": "m"}), {})
    yield open_chat_to(on_answer=recorder.add)
    recorder.close()


def replaying(file, **options):
    replayer = Replayer(Recording.read(file))
    return Chat(replayer.endpoint("proposer"), answers=replayer, **options)


def test_a_reply_comes_back_by_its_key_whatever_the_prompt_says_now(recording_chat, chat_server, file):
    chat_server.script = [GOOD]
    first = ask(recording_chat, Thought)
    again = replaying(file).ask("g1.c1.propose.0", "proposer", ELSEWHERE, Thought)
    assert again.parsed == first.parsed
    assert (again.model, again.tokens_in, again.tokens_out) == (first.model, first.tokens_in, first.tokens_out)
    assert (again.usd, again.seconds, again.replayed) == (0.0, 0.0, False)
    assert len(chat_server.requests) == 1


def test_a_repair_is_the_next_recorded_turn(recording_chat, chat_server, file):
    chat_server.script = [{"idea": 1}, GOOD]
    ask(recording_chat, Thought)
    again = ask(replaying(file), Thought)
    assert (again.parsed, again.calls, again.failed_calls) == (Thought(**GOOD), 2, 1)


def test_a_reply_that_was_never_usable_is_not_usable_again(recording_chat, chat_server, file):
    chat_server.script = ["nonsense"]
    for chat in (recording_chat, replaying):
        with pytest.raises(ReplyUnusable, match="no complete JSON object"):
            ask(chat if chat is recording_chat else chat(file), Thought)


def test_a_question_that_was_refused_is_refused_again(recording_chat, chat_server, file):
    chat_server.script = ["hello", Status(400, message="not about that")]
    ask(recording_chat)
    with pytest.raises(ReplyUnusable):
        ask(recording_chat, key="g1.c2.propose.0")
    with pytest.raises(ReplyUnusable, match="not about that"):
        ask(replaying(file), key="g1.c2.propose.0")


def test_tools_answer_what_they_answered_then(recording_chat, chat_server, file):
    ran = []
    tools = Toolbox((Tool("look", "Looks.", Thought, lambda asked: ran.append(asked) or "seen"),), 2)
    chat_server.script = [Calls((("look", json.dumps(GOOD)),)), GOOD]
    recording_chat.ask("g1.c1.propose.0", "proposer", ELSEWHERE, Thought, toolbox=tools)
    results = []
    chat = replaying(file, on_reply=lambda key, model, role, turn: results.append([call.result for call in turn.calls]))
    assert chat.ask("g1.c1.propose.0", "proposer", ELSEWHERE, Thought).parsed == Thought(**GOOD)
    assert results == [["seen"], []]
    assert len(ran) == 1


def test_a_proposal_that_was_not_recorded_ends_the_search_with_a_line_that_names_it(file):
    write(file, HEADER, ENTRY)
    with pytest.raises(BudgetSpent) as ended:
        ask(replaying(file), key="g5.c2.propose.0.code")
    assert str(ended.value) == (
        "the recording recording.jsonl holds no reply of the proposer for g5.c2 (code): the search ends here with "
        "what it has"
    )
    assert ended.value.reason == "recording"


@pytest.mark.parametrize(
    ("key", "role", "place"),
    [
        ("g5.c2.propose.1.code", "proposer", "g5.c2, revision 1"),
        ("g5.c2.review.0", "critic", "g5.c2"),
        ("g5.reflect", "analyst", "g5"),
    ],
)
def test_any_other_missing_reply_is_one_that_cannot_be_used(file, key, role, place):
    write(file, HEADER, ENTRY)
    with pytest.raises(ReplyUnusable, match=f"holds no reply of the {role} for {place}"):
        replaying(file).ask(key, role, ELSEWHERE)


def test_a_missing_repair_costs_the_slot_and_not_the_search(file):
    write(file, HEADER, {**ENTRY, "reply": {**TURN, "text": "nonsense"}})
    with pytest.raises(ReplyUnusable, match="answer 2"):
        ask(replaying(file), Thought, key=ENTRY["key"])


def test_a_killed_replay_goes_on_from_its_journal(recording_chat, chat_server, file, journal):
    chat_server.script = [{"idea": 1}, GOOD]
    first = ask(recording_chat, Thought)
    calls = []

    def killed_at_the_second(role):
        calls.append(role)
        if len(calls) == 2:
            raise Killed

    with pytest.raises(Killed):
        ask(replaying(file, journal=journal, before_call=killed_at_the_second), Thought)
    resumed = replaying(file, journal=journal)
    assert ask(resumed, Thought).parsed == first.parsed
    assert resumed.usage["proposer"].calls == 1
    assert ask(replaying(file, journal=journal), Thought).replayed


def test_what_a_recording_claims_is_cleaned_bounded_and_checked_again(file):
    claim = {"text": "\u202ehel\u0000lo" + "x" * 200_000, "problem": "", "tokens_in": 10**9, "usd": 1e5, "seconds": 1e9}
    write(file, HEADER, {**ENTRY, "reply": {**TURN, **claim}})
    reply = ask(replaying(file), key=ENTRY["key"])
    assert reply.text.startswith("hellox")
    assert len(reply.text) == 100_000
    assert (reply.tokens_in, reply.usd, reply.seconds) == (0, 0.0, 0.0)
    write(file, HEADER, {**ENTRY, "reply": {**TURN, "text": "no object at all", "problem": ""}})
    with pytest.raises(ReplyUnusable):
        ask(replaying(file), Thought, key=ENTRY["key"])


def test_the_choice_says_whose_words_are_played_and_that_measurements_are_made_here(file, logged):
    write(file, HEADER, ENTRY)
    choice = choose_llm(LLMSettings(recording=str(file)), "smollm2-135m")
    assert choice.provider == "replay"
    for said in (
        "recorded on 2026-11-29 from strong",
        "nothing is paid",
        "all measurements are made on this",
        str(file),
    ):
        assert said in logged[0]
    assert "they are about" not in logged[0]
    choose_llm(LLMSettings(provider="replay", recording=str(file)), "org/other")
    assert "they are about the target smollm2-135m, and this search's is org/other" in logged[1]


def test_a_replay_is_not_recorded_again(file):
    write(file, HEADER, ENTRY)
    with pytest.raises(UsageError, match=r"llm\.record"):
        choose_llm(LLMSettings(recording=str(file), record=True))


def test_every_agent_is_answered_from_the_recording_and_nothing_is_opened(file):
    write(file, HEADER, ENTRY, {**ENTRY, "key": "g1.c1.review.0", "role": "critic"})
    settings = LLMSettings(provider="replay", recording=str(file), base_url="http://127.0.0.1:9/v1")
    with open_chats(settings, Choice("replay", "", recording=Recording.read(file))) as chats:
        assert chats["proposer"].ask(ENTRY["key"], "proposer", ELSEWHERE).text == "hello"
        assert chats["critic"].ask("g1.c1.review.0", "critic", ELSEWHERE).text == "hello"
        assert chats["analyst"].endpoint.model == "strong"
