"""Whole searches on a tiny model that are recorded from a real server, and replayed without one: the words are those of
the recording, the measurements are this machine's."""

import json
import shutil
from contextlib import closing

import pytest

from autoprune.config import load_config
from autoprune.llm.code_blocks import fenced_code
from autoprune.llm.recording import Recording
from autoprune.report.picture import Picture
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import read_events
from tests.llm.faulty_server import ChatServer
from tests.search.lives import live
from tests.search.test_search import code, llm_words, scripted
from tests.small_search import SMALL

WORDS = ("search.max_candidates=4", "advanced.layer_error=null", "advanced.racing=false", "confirmation.seeds=1")
EDITED = "layer.input_norm.pow(0.7) + 0.3 * layer.input_mean.abs()"


@pytest.fixture(scope="module")
def recorded(tiny_model, tmp_path_factory):
    """A run of two generations that was recorded."""
    home = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch, ChatServer(scripted) as server:
        patch.setenv("AUTOPRUNE_CACHE", str(home / "cache"))
        patch.delenv("OPENAI_API_KEY", raising=False)
        words = llm_words(server, *WORDS, "llm.record=true")
        run = live(home / "run", load_config(None, [f"model={tiny_model}", *SMALL, *words]))
        assert server.requests
    return run


@pytest.fixture
def file(recorded, tmp_path):
    """The recording, to be changed."""
    return shutil.copy(recorded.recording_file, tmp_path / "played.jsonl")


def replay_words(file, *words):
    return (
        "llm.provider=replay",
        f"llm.recording={file}",
        "agents.critic=llm",
        "agents.symbolic_share=0",
        *WORDS,
        *words,
    )


def without(file, *beginnings):
    """Take the answers to some questions out of a recording."""
    lines = file.read_text("utf-8").splitlines(keepends=True)
    named = tuple(f'{{"key": "{beginning}' for beginning in beginnings)
    kept = [line for line in lines if not line.startswith(named)]
    assert len(kept) < len(lines)
    file.write_text("".join(kept), "utf-8")


def outcomes_of(run):
    with closing(Archive.of(run)) as archive:
        return {outcome.slot: outcome for outcome in archive.outcomes()}


def picture_of(run):
    return Picture.of(read_events(run.events_file))


def test_a_replay_has_the_same_candidates_and_measures_them_without_a_server(recorded, file, search, facts):
    run = search(*replay_words(file))
    assert facts(run) == facts(recorded)
    assert any(outcome.status == "measured" for outcome in outcomes_of(run).values())
    picture = picture_of(run)
    assert picture.stop == "4 candidates tried"
    assert picture.rows
    assert picture.spent["usd"] == 0
    assert picture.spent["tokens"] == picture_of(recorded).spent["tokens"]
    started = picture.started
    assert (started["llm"], started["record"]["replay"]["models"]) == ("replay", ["scripted"])
    assert "all measurements are made on this machine" in picture.recorded
    assert run.settings()[1]["replay"]["sha256"] == Recording.read(file).sha256
    assert not run.recording_file.exists()


def test_a_candidate_changed_by_hand_gets_its_own_perplexity_and_the_others_keep_theirs(recorded, file, search):
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    [changed] = [line for line in lines if line.get("key") == "g2.c2.propose.0.code"]
    assert fenced_code(changed["reply"]["text"])
    changed["reply"]["text"] = code(EDITED)
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    before, after = outcomes_of(recorded), outcomes_of(search(*replay_words(file)))
    assert before["g2.c2"].candidate != after["g2.c2"].candidate
    assert after["g2.c2"].status == "measured"
    assert after["g2.c2"].data["perplexity"] != before["g2.c2"].data.get("perplexity")
    for slot in ("g1.c1", "g1.c2", "g2.c1"):
        assert after[slot].candidate == before[slot].candidate
        assert after[slot].data.get("perplexity") == before[slot].data.get("perplexity")


def test_a_replay_ends_where_a_proposal_was_not_recorded_with_its_confirmation(recorded, file, search, facts):
    without(file, "g2.c1.propose")
    run = search(*replay_words(file, "search.max_candidates=8"))
    told = "the recording played.jsonl holds no reply of the proposer for g2.c1 (thought): the search ends here"
    outcomes, picture = outcomes_of(run), picture_of(run)
    assert picture.stop.startswith(told)
    assert (outcomes["g2.c1"].status, outcomes["g2.c1"].reason) == ("unusable", "recording")
    assert set(outcomes) == {"g1.c1", "g1.c2", "g2.c1", "g2.c2"}
    assert outcomes["g2.c2"].candidate == outcomes_of(recorded)["g2.c2"].candidate
    assert any(row["kind"] == "baseline" for row in picture.rows)
    before = facts(run)
    assert facts(search(*replay_words(file, "search.max_candidates=8"))) == before


def test_where_the_words_of_critic_and_analyst_are_missing_rules_stand_in(recorded, file, search):
    without(file, "g1.c1.review", "g1.reflect")
    run = search(*replay_words(file))
    outcomes, picture = outcomes_of(run), picture_of(run)
    assert {slot: outcome.candidate for slot, outcome in outcomes.items()} == {
        slot: outcome.candidate for slot, outcome in outcomes_of(recorded).items()
    }
    assert picture.stop == "4 candidates tried"
    reviews = [event.data for event in read_events(run.events_file) if event.kind == "reviewed"]
    said = [comment for review in reviews if review["slot"] == "g1.c1" for comment in review["comments"]]
    assert any("holds no reply of the critic for g1.c1" in comment for comment in said)
    assert "holds no reply of the analyst for g1" in picture.lessons[0]


@pytest.mark.long
def test_a_killed_replay_is_resumed_as_if_nothing_had_been(recorded, file, nursery, small_config, facts, tmp_path):
    config, run = small_config(*replay_words(file)), RunDirectory(tmp_path / "cut")
    assert nursery.live(run.path, config, event=24) == "killed"
    while nursery.live(run.path, config) != "ended":
        pass
    assert facts(run) == facts(recorded)


@pytest.mark.long
def test_a_recording_goes_on_where_a_killed_search_stopped(nursery, small_config, tmp_path):
    with ChatServer(scripted) as server:
        config = small_config(*llm_words(server, *WORDS, "llm.record=true", "search.max_candidates=2"))
        run = RunDirectory(tmp_path / "cut")
        assert nursery.live(run.path, config, event=16) == "killed"
        while nursery.live(run.path, config) != "ended":
            pass
    with closing(Archive.of(run)) as archive:
        asked = {(key, number) for key, record in archive.calls().items() for number in range(len(record["turns"]))}
    keys = [json.loads(line) for line in run.recording_file.read_text("utf-8").splitlines()][1:]
    assert sorted((line["key"], line["turn"]) for line in keys) == sorted(asked)
