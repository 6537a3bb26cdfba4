"""`kill -9` at any moment: after `resume` a run is what it would have been, and nothing is done or paid for twice."""

from random import Random

import pytest

from autoprune.agents.chat.reply import Usage, recorded_usage
from autoprune.agents.session import finished
from autoprune.config import load_config
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from tests.agents.conftest import SMALL
from tests.agents.lives import Nursery, measured_in
from tests.agents.test_search import llm_words, scripted

CHAINS, KILLS = 5, 6
MOST_LIVES = 80


@pytest.fixture(scope="module")
def nursery(tiny_model, tmp_path_factory):
    nursery = Nursery(load_config(None, [f"model={tiny_model}", *SMALL]), tmp_path_factory.mktemp("cache"))
    yield nursery
    nursery.close()


def usage(run):
    archive = Archive(run.archive_file)
    total = sum(recorded_usage(archive.calls().values()).values(), start=Usage())
    archive.close()
    return total.calls, total.tokens_in, total.tokens_out


def test_thirty_kills_at_random_events_change_nothing(nursery, chat_server, small_config, facts, tmp_path):
    chat_server.script = scripted
    config = small_config(*llm_words(chat_server, "agents.symbolic_share=0.5"))
    whole = RunDirectory(tmp_path / "whole")
    assert nursery.live(whole.path, config)
    for chain in range(CHAINS):
        random, run = Random(chain), RunDirectory(tmp_path / f"cut{chain}")
        kills = 0
        while kills < KILLS and not nursery.live(run.path, config, event=random.randint(1, 24)):
            kills += 1
        assert finished(run) or nursery.live(run.path, config)
        assert facts(run) == facts(whole), f"chain {chain}"
        assert usage(run) == usage(whole)
        assert len(measured_in(run.path)) == len(set(measured_in(run.path)))


def test_a_kill_before_every_single_checkpoint_changes_nothing(nursery, small_config, facts, tmp_path):
    """Between a step's writes and their checkpoint the state machine looks as if it had no next step."""
    config = small_config("search.max_candidates=1")
    whole, run = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "cut")
    assert nursery.live(whole.path, config)
    assert not nursery.live(run.path, config, put=1)
    lives = 1
    while not finished(run):
        nursery.live(run.path, config, put=2)
        lives += 1
        assert lives < MOST_LIVES, "no life gets any further"
    assert lives > 8
    assert facts(run) == facts(whole)
