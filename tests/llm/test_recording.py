"""Recordings: what is kept of a chat, and what a file that somebody else made can do."""

import json
import os

import pytest

from autoprune.config import Config, load_config
from autoprune.config_agents import LLMSettings
from autoprune.errors import UsageError
from autoprune.llm.recorded_settings import decisive, defaults, target_name
from autoprune.llm.recorder import Recorder, header_of
from autoprune.llm.recording import LARGEST, LONGEST, Recording, open_recording, place_of, replays
from autoprune.llm.reply import ReplyUnusable
from autoprune.recordings import FIRST, HOME
from tests.llm.asking import GOOD, QUESTION, Thought, ask
from tests.llm.replies import Status

KEY = "sk-live-ABCDEFGH12345678"
HEADER = {
    "format": "autoprune-recording",
    "version": 1,
    "started": "2026-11-29T12:00:00+01:00",
    "program": "0.1.0",
    "target": "smollm2-135m",
    "models": {"proposer": "strong"},
    "settings": {},
}
TURN = {"text": "hello", "model": "strong", "tokens_in": 7, "tokens_out": 5, "usd": 0.1, "seconds": 2.0}
ENTRY = {"key": "g1.c1.propose.0.thought", "role": "proposer", "turn": 0, "reply": TURN}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "recording.jsonl"


@pytest.fixture
def recorder(file):
    recorder = Recorder(file)
    recorder.begin(header_of(Config(), {"proposer": "m"}), {})
    yield recorder
    recorder.close()


def write(file, *lines):
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))


def lines_of(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_requests_and_replies_are_kept_as_they_come_in(open_chat_to, chat_server, recorder, file):
    chat_server.script = [{"idea": 1}, GOOD]
    ask(open_chat_to(on_answer=recorder.add), Thought)
    header, first, second = lines_of(file)
    assert (header["models"], header["target"]) == ({"proposer": "m"}, "smollm2-135m")
    assert [line["turn"] for line in (first, second)] == [0, 1]
    assert (first["key"], first["role"]) == ("g1.c1.propose.0", "proposer")
    assert first["request"]["messages"] == QUESTION
    assert len(second["request"]["messages"]) == len(QUESTION) + 2
    assert first["request"]["response_format"]["type"] == "json_schema"
    assert json.loads(second["reply"]["text"]) == GOOD
    assert first["reply"]["problem"]
    assert Recording.read(file).entry("g1.c1.propose.0", 1).reply.model == "m"


def test_a_question_that_was_refused_is_kept_with_the_reason(open_chat_to, chat_server, recorder, file):
    chat_server.script = ["hello", Status(400, message="not about that")]
    chat = open_chat_to(on_answer=recorder.add)
    ask(chat)
    with pytest.raises(ReplyUnusable):
        ask(chat, key="g1.c2.propose.0")
    assert lines_of(file)[-1]["reply"] is None
    assert "not about that" in lines_of(file)[-1]["problem"]


def test_secrets_in_requests_and_replies_are_masked(open_chat_to, chat_server, recorder, file, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    chat_server.script = [f"your key is {KEY}, also at https://ann:hunter22@example.org/v1"]
    chat = open_chat_to(on_answer=recorder.add, base_url=chat_server.base_url.replace("//", "//bob:s3cret-word@"))
    chat.ask("g1.reflect", "analyst", [{"role": "user", "content": f"I am {KEY} and s3cret-word"}])
    kept = file.read_text()
    assert "***" in kept
    assert not [secret for secret in (KEY, "s3cret-word", "hunter22") if secret in kept]


def test_a_line_that_a_crash_cut_off_is_dropped_and_the_recording_goes_on(open_chat_to, recorder, file):
    ask(open_chat_to(on_answer=recorder.add))
    recorder.close()
    whole = file.read_bytes()
    file.write_bytes(whole + whole.splitlines()[-1][:40])
    assert list(Recording.read(file).entries) == ["g1.c1.propose.0"]
    again = Recorder(file)
    again.begin(header_of(Config(), {}), {})
    ask(open_chat_to(on_answer=again.add), key="g1.c2.propose.0")
    again.close()
    assert [line.get("key") for line in lines_of(file)] == [None, "g1.c1.propose.0", "g1.c2.propose.0"]


def test_answers_from_the_journal_are_written_once(open_chat_to, journal, recorder, file):
    ask(open_chat_to(journal=journal, on_answer=recorder.add))
    ask(open_chat_to(journal=journal, on_answer=recorder.add))
    assert len(lines_of(file)) == 2
    ask(open_chat_to(journal=journal), key="g1.c2.propose.0")
    for _ in range(2):
        again = Recorder(file)
        again.begin(header_of(Config(), {}), {key: journal.get(key) for key in ("g1.c1.propose.0", "g1.c2.propose.0")})
        again.close()
    assert [line.get("key") for line in lines_of(file)] == [None, "g1.c1.propose.0", "g1.c2.propose.0"]


def test_a_line_too_long_to_be_read_goes_without_its_request(open_chat_to, recorder, file):
    chat = open_chat_to(on_answer=recorder.add)
    chat.ask("g1.reflect", "analyst", [{"role": "user", "content": "x" * LONGEST}])
    assert "request" not in lines_of(file)[-1]
    assert Recording.read(file).entry("g1.reflect", 0).reply.text == "hello"


def test_the_later_of_two_answers_counts_and_takes_the_turns_of_the_earlier_with_it(file):
    again = {**ENTRY, "reply": {**TURN, "text": "again"}}
    write(file, HEADER, ENTRY, {**ENTRY, "turn": 1}, again)
    assert {turn: entry.reply.text for turn, entry in Recording.read(file).entries[ENTRY["key"]].items()} == {
        0: "again"
    }


def test_what_an_editor_leaves_is_read(file):
    lines = [HEADER, ENTRY]
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(map(json.dumps, lines)).encode())
    assert Recording.read(file).entry(ENTRY["key"], 0).reply.text == "hello"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "is empty"),
        (["a letter to a friend"], "is not a recording"),
        ([{"number": 1, "request": {}, "reply": {}}], "is not a recording"),
        (["[" * 100_000], "is not a recording"),
        ([{**HEADER, "version": 2, "started": 3}], "written by a newer autoprune (version 2"),
        ([{**HEADER, "started": "yesterday"}], "header of the recording"),
        ([{**HEADER, "settings": []}], "header of the recording"),
        ([HEADER, "hello"], "line 2, holds no reply: "),
        ([HEADER, {**ENTRY, "key": "../../etc/passwd"}], "line 2, holds no reply: key"),
        ([HEADER, {**ENTRY, "turn": 10**9}], "line 2, holds no reply: turn"),
        ([HEADER, {**ENTRY, "reply": {**TURN, "text": 5}}], "line 2, holds no reply: reply.text"),
        ([HEADER, {**ENTRY, "reply": "[" * 100_000}, ENTRY], "line 2, holds no reply"),
        (
            [HEADER, json.dumps({**ENTRY, "reply": {**TURN, "seconds": float("nan")}})],
            "line 2, holds no reply",
        ),
        ([HEADER, json.dumps(ENTRY).replace('"hello"', '"\\ud800"')], "line 2, holds no reply"),
        ([HEADER, json.dumps(ENTRY).replace("hello", "x" * LONGEST)], "line 2, has more than"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(file, lines, said):
    write(file, *lines)
    with pytest.raises(UsageError) as refused:
        Recording.read(file)
    assert said in str(refused.value)
    assert str(file) in str(refused.value)
    assert len(str(refused.value)) < 500
    assert "\n" not in str(refused.value)


def test_a_recording_of_endless_size_is_refused(file):
    write(file, HEADER)
    line = b" " * (LONGEST - 1) + b"\n"
    with file.open("ab") as out:
        for _ in range(LARGEST // LONGEST + 1):
            out.write(line)
    with pytest.raises(UsageError, match="has more than"):
        Recording.read(file)


def test_files_that_are_not_there_or_no_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("none", "No such file"), ("pipe", "no regular file"), (".", "no regular file")):
        with pytest.raises(UsageError, match=said):
            Recording.read(tmp_path / name)


def test_without_replies_there_is_nothing_to_play(file):
    write(file, HEADER)
    with pytest.raises(UsageError, match="holds no replies"):
        open_recording(LLMSettings(recording=str(file)))


def test_settings_ask_for_a_replay_by_name_or_by_naming_a_recording():
    assert replays(LLMSettings(provider="replay"))
    assert replays(LLMSettings(recording="r.jsonl"))
    assert not replays(LLMSettings(provider="openai", recording="r.jsonl"))
    assert not replays(LLMSettings())


def test_recorded_settings_are_those_that_decide_what_is_asked():
    config = load_config(
        None,
        [
            *("sparsity=0.7", "search.generation_size=5", "agents.symbolic_share=0", "data.source=/home/ann/text.txt"),
            *("data.calibration=hf:ann/secret", "llm.base_url=http://ann.example/v1", "search.max_minutes=5"),
            *("confirmation.transfer_model=ann/model", "database=postgresql://ann@db/x", "sandbox.seconds=600"),
        ],
    )
    kept = decisive(config)
    assert (kept["sparsity"], kept["search.generation_size"], kept["agents.symbolic_share"]) == (0.7, 5, 0)
    assert kept["sandbox.seconds"] == 600
    assert "ann" not in json.dumps(kept)
    assert "search.max_minutes" not in kept


def test_a_recording_sets_nothing_that_contacts_or_names_anything():
    hostile = {
        "data.source": "/etc/passwd",
        "data.calibration": "hf:evil/data",
        "confirmation.transfer_model": "evil/model",
        "llm.base_url": "http://evil.example",
        "database": "postgresql://evil/x",
        "executor.address": "evil:6379",
        "sandbox.engine": "docker",
        "sandbox.seconds": 1e9,
        "searching": 5,
        "search.not_known": 5,
        "approval_policy": "x",
        "sparsity": 0.7,
    }
    assert defaults(hostile) == {"sparsity": 0.7}


def test_a_target_is_named_without_its_folders(tmp_path):
    assert target_name(str(tmp_path)) == tmp_path.name
    assert target_name("smollm2-135m") == "smollm2-135m"
    assert target_name("org/name") == "org/name"


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("g5.c2.propose.1.code", "g5.c2, revision 1 (code)"),
        ("g5.c2.propose.0.draft", "g5.c2 (draft)"),
        ("g5.c2.review.0", "g5.c2"),
        ("g3.reflect", "g3"),
    ],
)
def test_places_are_told_in_words(key, place):
    assert place_of(key) == place


@pytest.mark.parametrize("name", [None, *(path.stem for path in HOME.glob("*.jsonl"))])
def test_a_shipped_recording_is_found_by_name_small_and_of_a_built_in_target(name):
    recording = open_recording(LLMSettings(provider="replay", recording=name))
    assert recording.path == HOME / f"{name or FIRST}.jsonl"
    assert recording.path.stat().st_size < 1_000_000
    assert recording.header.target == "smollm2-135m"
    assert any(".propose.0" in key for key in recording.entries)


def test_the_operators_of_a_recording_are_those_of_its_day(file):
    kept = decisive(Config())["agents.operators"]
    assert {"structure", "recombine", "deepen", "polish"} <= set(kept)
    assert decisive(load_config(None, ["agents.operators=[explore]"]))["agents.operators"] == ["explore"]
    assert defaults({"agents.operators": kept})["agents.operators"] == kept
    assert not {"recombine", "deepen", "polish"} & set(defaults({"agents.operators": None})["agents.operators"])


def test_the_slots_with_a_proposal_are_known(file):
    write(file, HEADER, ENTRY, {**ENTRY, "key": "g2.reflect"}, {**ENTRY, "key": "g2.c3.review.0"})
    assert Recording.read(file).proposed == {"g1.c1"}
