"""A run whose events or rows say anything ends every command on it in one line, and leaves nothing behind."""

import json
import shutil
import sqlite3

import pytest

from tests.report.html.made_up import MadeUp

READING = [
    ("trace", "{run}"),
    ("trace", "{run}", "g1.c1"),
    ("trace", "{run}", "--graph", "graphml"),
    ("trace", "{run}", "--map"),
    ("report", "{run}"),
    ("export-algorithm", "{run}:best", "--out", "best.py"),
    ("approve", "{run}"),
]
GOING_ON = [("resume", "{run}"), ("fork", "{run}", "--run-dir", "forked")]
EVENTS = [
    ("planned", {}),
    ("planned", {"generation": "x", "slots": [[]]}),
    ("baseline", {"name": [], "perplexity": 1}),
    ("dense", {"perplexity": "low"}),
    ("proposed", {"slot": "g1.c1", "candidate": "x", "thought": None}),
    ("ended", {"slot": "g1.c1", "status": "measured", "perplexity": {}}),
    ("spent", {"seconds": None, "agents": 7}),
    ("confirmed", {"rows": [None]}),
    ("run-ended", {"stop": 1, "conclusion": None}),
    ("lesson", {"text": 10**400}),
    ("explained", {}),
    ("explained", {"slot": [], "text": None}),
]
ROWS = [
    ("proposals", "thought", "7"),
    ("proposals", "generation", "first"),
    ("proposals", "parents", '{"a": 1}'),
    ("outcomes", "data", "{}"),
    ("outcomes", "data", '{"perplexity": 1e999}'),
    ("outcomes", "data", b"\xff"),
    ("outcomes", "candidate", b"\xff"),
    ("nodes", "kind", "wish"),
    ("edges", "target", "nowhere"),
    ("measurements", "perplexity", "low"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return MadeUp(tmp_path_factory.mktemp("odd") / "run", 2, blocks=1, ends=False).run.path


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def plant(run, table, column, value):
    archive = sqlite3.connect(run / "archive.sqlite")
    archive.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))  # once where it must be unique
    archive.commit()
    archive.close()


def check(here, run, words):
    done = here(*(word.format(run=run) for word in words))
    assert done.returncode in (0, 1, 2), done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert done.stderr.count("\n") == 1
        assert str(run) in done.stderr or words[0] == "fork"
    return done


@pytest.mark.parametrize(("kind", "data"), EVENTS, ids=lambda value: str(value)[:30])
def test_odd_events_end_in_one_line(here, run, kind, data):
    with open(run / "events.jsonl", "a", encoding="utf-8") as lines:
        lines.write(json.dumps({"key": "odd", "time": "?", "kind": kind, "data": data}) + "\n")
    for words in READING:
        check(here, run, words)


@pytest.mark.parametrize(("table", "column", "value"), ROWS, ids=str)
def test_odd_rows_end_in_one_line(here, run, table, column, value):
    plant(run, table, column, value)
    for words in READING:
        check(here, run, words)


@pytest.mark.parametrize("words", GOING_ON, ids=lambda words: words[0])
@pytest.mark.parametrize(("table", "column", "value"), [row for row in ROWS if row[0] != "measurements"], ids=str)
def test_no_search_goes_on_from_odd_rows(here, run, tmp_path, words, table, column, value):
    plant(run, table, column, value)
    assert check(here, run, words).returncode == 2
    assert not (tmp_path / "forked").exists()


@pytest.mark.parametrize("words", GOING_ON, ids=lambda words: words[0])
def test_no_search_goes_on_from_odd_events(here, run, tmp_path, words):
    with open(run / "events.jsonl", "a", encoding="utf-8") as lines:
        lines.write(json.dumps({"key": "odd", "time": "?", "kind": "planned", "data": {}}) + "\n")
    done = check(here, run, words)
    assert (done.returncode, "KeyError" in done.stderr) == (2, True)
    assert not (tmp_path / "forked").exists()
