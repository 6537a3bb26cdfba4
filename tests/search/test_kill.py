"""`kill -9` at any moment: after `resume` a run is what it would have been, and nothing is done or paid for twice."""

from contextlib import closing
from random import Random

import pytest

from autoprune.config import load_config
from autoprune.llm.reply import Usage, recorded_usage
from autoprune.runs.approvals import Decision
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import read_events
from autoprune.search.session import finished
from tests.search.lives import measured_in
from tests.search.test_search import llm_words, scripted
from tests.small_search import SMALL

KILLS = 30
MOST_LIVES = 80


def usage(run):
    archive = Archive.of(run)
    total = sum(recorded_usage(archive.calls().values()).values(), start=Usage())
    archive.close()
    return total.calls, total.tokens_in, total.tokens_out


def told_usage(run):
    """The same as the events tell it."""
    calls = [event.data for event in read_events(run.events_file) if event.kind == "called"]
    return len(calls), sum(call["tokens_in"] for call in calls), sum(call["tokens_out"] for call in calls)


def approve_all(path):
    """What a person does who approves whatever waits."""
    archive = Archive.of(RunDirectory(path))
    for request in archive.approvals.pending():
        said = Decision(slot=request.slot, candidate=request.candidate, decision="approve", who="ann")
        archive.approvals.decide(said)
    archive.close()


def decided(run):
    archive = Archive.of(run)
    decisions = archive.approvals.decisions()
    archive.close()
    return sorted((each.slot, each.candidate, each.decision, each.who) for each in decisions)


def end(nursery, run, config):
    """Go on until the run has ended, with a person at hand."""
    while not finished(run):
        if nursery.live(run.path, config) == "paused":
            approve_all(run.path)


@pytest.mark.long
def test_thirty_kills_at_random_events_change_nothing(nursery, chat_server, small_config, facts, tmp_path):
    chat_server.script = scripted
    words = ("agents.symbolic_share=0.5", "approval=human", "search.max_candidates=4")
    config = small_config(*llm_words(chat_server, *words))
    whole = RunDirectory(tmp_path / "whole")
    end(nursery, whole, config)
    deaths, chain = 0, 0
    while deaths < KILLS:
        random, run = Random(chain), RunDirectory(tmp_path / f"cut{chain}")
        while deaths < KILLS and not finished(run):
            match nursery.live(run.path, config, event=random.randint(1, 14)):
                case "killed":
                    deaths += 1
                case "paused":
                    approve_all(run.path)
        end(nursery, run, config)
        assert facts(run) == facts(whole), f"chain {chain}"
        assert usage(run) == usage(whole)
        assert decided(run) == decided(whole)
        told = [event.data["slot"] for event in read_events(run.events_file) if event.kind == "decided"]
        assert sorted(told) == [slot for slot, *_ in decided(run)]
        assert told_usage(run) == usage(run)
        assert len(measured_in(run.path)) == len(set(measured_in(run.path)))
        chain += 1


def test_a_kill_before_every_single_checkpoint_changes_nothing(nursery, small_config, facts, tmp_path):
    """Between a step's writes and their checkpoint the state machine looks as if it had no next step."""
    config = small_config("search.max_candidates=1")
    whole, run = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "cut")
    end(nursery, whole, config)
    assert nursery.live(run.path, config, put=1) == "killed"
    lives = 1
    while not finished(run):
        nursery.live(run.path, config, put=2)
        lives += 1
        assert lives < MOST_LIVES, "no life gets any further"
    assert lives > 8
    assert facts(run) == facts(whole)


def time_counted(path):
    with closing(Archive(RunDirectory(path).archive_file)) as archive:
        assert not archive.proposals()
        return archive.seconds()


@pytest.mark.long
def test_a_run_that_dies_while_baselines_are_tuned_tunes_none_twice(nursery, tiny_model, tmp_path):
    words = ("search.max_candidates=1", "baselines.tune=true", "confirmation.sparsities=[0.7]")
    some = ("baselines.scores=[wanda]", "baselines.allocations=[uniform,dlp,atp]")
    config = load_config(None, [f"model={tiny_model}", *SMALL, *words, *some])
    path = tmp_path / "run"
    ends = [nursery.live(path, config, event=moment) for moment in (5, 6, 7, 10)]
    assert time_counted(path) > 0  # of lives that were over before the first generation
    ends.append(nursery.live(path, config, event=14))
    while ends[-1] != "ended":
        ends.append(nursery.live(path, config))
    assert ends.count("killed") >= 3
    measured = measured_in(path)
    assert len(measured) == len(set(measured))
    tuned = [line for line in measured if line.startswith("baseline:wanda+dlp tuned search")]
    assert len(tuned) == 2  # at either sparsity
