"""`autoprune.search`: the search of the command, in the background; its events, its table, its end and its errors."""

import json
import threading
from html.parser import HTMLParser

import pandas
import pytest

import autoprune
from autoprune.api.result import SearchResult
from autoprune.config import load_config
from autoprune.errors import RunPaused, UsageError
from autoprune.report.picture import Picture
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import read_events
from autoprune.sandbox import local
from tests.search.lives import live as live_run
from tests.small_search import SMALL

SECONDS = 300


@pytest.fixture
def settings(tiny_model, tmp_path, monkeypatch, zygotes):
    """Keywords of a small search on the tiny model."""
    monkeypatch.setenv("AUTOPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AUTOPRUNE_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(local, "Zygote", zygotes)
    words = {"model": str(tiny_model), "max_candidates": 2, "max_minutes": SECONDS / 60}
    return words | {
        "sparsity": 0.5,
        "llm": "symbolic",
        "dtype": "float32",
        "device": "cpu",
        "sandbox": "local",
        "data": {"seqlen": 64, "calibration_samples": 4, "search_windows": 4, "report_windows": 4},
        "search.generation_size": 2,
        "advanced": {"deepen": 0, "polish": 0, "cache": False},
        "baselines": {"refinements": ["none"]},
    }


@pytest.mark.long
def test_a_search_yields_its_events_and_ends_with_what_the_command_prints(settings, tmp_path):
    run = autoprune.search(**settings, run_dir=tmp_path / "mine")
    assert run.path == tmp_path / "mine"
    with pytest.raises(UsageError, match="a search of this process goes on"):
        autoprune.search(**settings, run_dir=tmp_path / "second")
    assert not (tmp_path / "second").exists()
    with pytest.raises(UsageError, match="is being worked on already"):
        run.resume()
    kinds = [event.kind for event in run]
    assert kinds[-1] == "run-ended"
    assert kinds.count("ended") == 2
    assert [event.kind for event in run] == kinds
    result = run.result()
    picture = Picture.of(read_events(tmp_path / "mine" / "events.jsonl"))
    assert result == SearchResult.of(RunDirectory(run.path), picture)
    json.dumps(vars(result), allow_nan=False)
    assert result.conclusion
    assert run.ended
    assert not run.running
    assert (run.path / "report.html").is_file()
    assert repr(run) == f"Run({str(run.path)!r}, ended: 2 candidates tried)"

    table = run.table()
    assert list(table.columns) == ["name", "kind", "operator", "status", "search", "report", "sparsity", "note"]
    assert list(table["kind"]).count("candidate") == 2
    best = run.best
    assert best is not None
    assert best.perplexity == table[table["kind"] == "candidate"]["search"].min()
    row = table[table["name"] == best.slot].iloc[0]
    confirmed = next(final for final in result.rows if final["name"].startswith(best.slot))
    assert (row["report"], row["sparsity"]) == (confirmed["report"], confirmed["sparsity"])

    same = autoprune.load_algorithm(f"{run.path}:best")
    assert same.source == best.algorithm.source
    again = autoprune.open_run("mine") if (tmp_path / "runs" / "mine").exists() else autoprune.open_run(run.path)
    assert again.resume().result() == result
    pandas.testing.assert_frame_equal(again.table(), table)


@pytest.mark.long
def test_a_stopped_search_is_confirmed_and_keeps_what_it_measured(settings):
    run = autoprune.search(**settings | {"max_candidates": 50, "search.generation_size": 1})
    for event in run:
        if event.kind == "ended":
            run.stop()
            break
    result = run.result()
    assert repr(run).endswith("ended: stopped on request)")
    assert any(row["kind"] == "candidate" for row in result.rows) or "No candidate" in result.conclusion
    assert len(run.table().query("kind == 'candidate'")) <= 10  # those that began before the stop was seen
    with pytest.raises(UsageError, match="no search of this process"):
        run.stop()


@pytest.mark.long
def test_a_candidate_waits_for_approval_and_a_stop_pauses_the_search(settings):
    run = autoprune.search(**settings, approval="human")
    asked = next(event for event in run if event.kind == "asked")
    assert run.running
    threading.Timer(0.5, run.stop).start()
    with pytest.raises(RunPaused, match="to decide on pending candidates"):
        run.result()
    assert asked.data["slot"]
    assert not run.ended
    assert "unfinished" in repr(run)
    with pytest.raises(RunPaused):
        list(run)
    with pytest.raises(UsageError, match="continue it by resume"):
        autoprune.open_run(run.path).result()


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"max_candidate": 3}, "search has no keyword 'max_candidate'; did you mean max_candidates"),
        ({"sparsity": 1.5}, "sparsity"),
        ({"llm": "gpt"}, "llm"),
        ({"model": "no/such-model"}, "there is no model 'no/such-model'"),
        ({"llm": "openai"}, "OPENAI_API_KEY"),
        ({"data": 5}, "data is a group of settings"),
        ({"data": {"seqlem": 5}}, "data.seqlem"),
        ({"model": object()}, "save it first"),
        ({"sandbox": "docker"}, "no container engine answers"),
    ],
)
def test_a_search_that_cannot_start_raises_and_leaves_no_run(settings, tmp_path, keywords, problem, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(autoprune.AutoPruneError, match=problem) as raised:
        autoprune.search(**settings | keywords)
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "runs").glob("*"))


class _Text(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_hostile_text_of_a_run_appears_as_text(tmp_path):
    run = RunDirectory.create(tmp_path / "run", load_config(None, [*SMALL]))
    evil = "<script>alert(1)</script>"
    started = {"model": evil, "sparsity": 0.5, "llm": evil, "record": {}}
    plan = {"slot": "g1.c1", "operator": evil, "engine": evil, "parents": []}
    ended = {"slot": "g1.c1", "status": "failed", "stage": evil, "reason": evil, "message": evil}
    facts = [
        ("run-started", started),
        ("baseline", {"name": evil, "perplexity": 12.0}),
        ("planned", {"generation": 1, "slots": [{**plan, "generation": 1}]}),
        ("ended", ended),
        ("run-ended", {"stop": evil, "conclusion": evil}),
    ]
    lines = [
        json.dumps({"version": 1, "key": kind, "time": "2026-01-01T00:00:00+00:00", "kind": kind, "data": data})
        for kind, data in facts
    ]
    run.events_file.write_text("\n".join(lines) + "\n")
    page = _Text()
    page.feed(autoprune.open_run(run.path)._repr_html_())
    assert "script" not in page.tags
    assert evil in "".join(page.text)


def test_a_run_that_is_read_only_says_what_it_has(small_config, tmp_path):
    directory = live_run(tmp_path / "run", small_config("search.max_candidates=2"))
    run = autoprune.open_run(directory.path)
    assert run.best is not None
    assert "def score" in str(run.best.algorithm.source)
    assert len(list(run)) == len(list(read_events(directory.events_file)))
    assert run.report() == directory.path / "report.html"
    with pytest.raises(UsageError, match="is not a run directory"):
        autoprune.open_run(tmp_path / "nothing")
