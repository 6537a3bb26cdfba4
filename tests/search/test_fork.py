"""A fork starts from the state after a generation, under other settings, and knows where it comes from."""

import pytest

from autoprune.config import Config, change_config
from autoprune.errors import UsageError
from autoprune.report.picture import Picture
from autoprune.report.tables import run_row
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import read_events
from autoprune.search.fork import changes, fork_run
from tests.search.kept import kept
from tests.search.lives import live


@pytest.fixture
def forked(search, tmp_path):
    """A search of four candidates in two generations, and a fork of it under settings given as words."""
    origin = search("search.max_candidates=4")

    def fork(*words, at, name="fork"):
        config = change_config(origin.settings()[0], list(words))
        run = fork_run(origin, at, config, tmp_path / name)
        live(run.path, config)
        return origin, run

    return fork


def measured(run):
    archive = Archive(run.archive_file)
    rows = {(row.subject, row.split, key): row for key, row in kept(archive, "search", "report")}
    archive.close()
    return rows


def test_a_fork_under_the_same_settings_finds_the_same_and_measures_nothing_again(forked, facts):
    origin, run = forked(at=1)
    assert facts(run) == facts(origin)
    assert measured(run) == measured(origin)


def test_a_fork_shares_the_past_and_knows_its_origin(forked, facts):
    origin, run = forked("seed=7", "search.max_candidates=6", at=1)
    before, after = facts(origin)["outcomes"], facts(run)["outcomes"]
    assert len(after) == 6
    assert {slot: after[slot] for slot in ("g1.c1", "g1.c2")} == {slot: before[slot] for slot in ("g1.c1", "g1.c2")}
    assert after["g2.c1"] != before["g2.c1"]
    changed = {"seed": [0, 7], "search.max_candidates": [4, 6]}
    assert run.settings()[1]["origin"] == {"run": str(origin.path), "generation": 1, "changed": changed}
    events = list(read_events(run.events_file))
    assert (events[0].kind, events[0].data["changed"]) == ("forked", changed)
    assert [event.data["generation"] for event in events if event.kind == "planned"] == [1, 2, 3]
    assert f"fork of {origin.path}@1" in run_row("fork", Picture.of(events), 0)["state"]


def test_a_fork_may_start_before_the_first_and_after_the_last_generation(forked, facts):
    origin, first = forked(at=0, name="first")
    _, last = forked("search.max_candidates=5", at=2, name="last")
    assert facts(first)["outcomes"] == facts(origin)["outcomes"]
    assert set(facts(last)["outcomes"]) == {*facts(origin)["outcomes"], "g3.c1"}


def test_an_ended_run_is_confirmed_anew_by_a_fork_of_its_last_state(forked, facts):
    origin, run = forked("confirmation.sparsities=[0.7]", at=None)
    assert facts(run)["outcomes"] == facts(origin)["outcomes"]
    assert run.settings()[1]["origin"]["generation"] == 2
    before, after = (Picture.of(read_events(each.events_file)) for each in (origin, run))
    assert (after.rows, before.elsewhere) == (before.rows, [])
    assert [each["sparsity"] for each in after.elsewhere] == [0.7]


def test_a_polished_run_is_not_polished_again_by_a_fork(forked, facts):
    _, run = forked("advanced.polish=1", "search.max_candidates=5", at=2, name="first")
    again = fork_run(run, None, run.settings()[0], run.path.with_name("second"))
    live(again.path, again.settings()[0])
    assert facts(again)["outcomes"] == facts(run)["outcomes"]


def test_a_run_without_any_state_is_one_clear_line(small_config, tmp_path):
    config = small_config()
    with pytest.raises(UsageError, match="no state after any generation; available generations: none"):
        fork_run(RunDirectory.create(tmp_path / "new", config), None, config, tmp_path / "fork")


def test_a_state_that_is_not_there_is_one_clear_line(search, tmp_path):
    origin = search("search.max_candidates=2")
    with pytest.raises(UsageError, match="after generation 9; available generations: 0, 1"):
        fork_run(origin, 9, origin.settings()[0], tmp_path / "fork")
    assert not (tmp_path / "fork").exists()


@pytest.mark.parametrize(
    "word", ["model=other", "sparsity=0.7", "dtype=bfloat16", "data.seqlen=32", "allocation.name=owl"]
)
def test_what_measurements_depend_on_cannot_change(tmp_path, word):
    origin = RunDirectory.create(tmp_path / "run", Config())
    with pytest.raises(UsageError, match=word.partition("=")[0]):
        fork_run(origin, 1, change_config(Config(), [word]), tmp_path / "fork")


def test_changes_are_named_by_their_keys():
    assert changes(Config(), change_config(Config(), ["agents.gcot=none"])) == {"agents.gcot": ["full", "none"]}
