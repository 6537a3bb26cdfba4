"""An archive as version 1 wrote it is brought up to date; one of a newer format is left as it is."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from autoprune.errors import UsageError
from autoprune.runs.archive import Archive, Proposal
from autoprune.runs.format import FORMAT

OLD = (Path(__file__).parent / "v1" / "archive.sql").read_text(encoding="utf-8")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "archive.sqlite"


def run(path, script):
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)


def formats(path):
    with closing(sqlite3.connect(path)) as database:
        return [version for (version,) in database.execute("SELECT version FROM run_format")]


def test_a_new_archive_says_its_format(path):
    Archive(path).close()
    assert formats(path) == [FORMAT]


def test_an_archive_of_version_1_is_read_written_on_and_says_its_format_from_then_on(path):
    run(path, OLD)
    archive = Archive(path)
    before = archive.proposals()
    assert {proposal.sections for proposal in before} == {None}
    assert len(archive.outcomes()) == 4
    assert archive.approvals.pending() == []
    new = Proposal("g9.c1", 0, 9, "explore", "llm", [], {"idea": "x"}, "abc", [], ["path"])
    archive.add_proposal(new)
    archive.close()
    archive = Archive(path)
    assert archive.proposals() == [*before, new]
    archive.close()
    assert formats(path) == [FORMAT]


def test_an_archive_of_a_newer_format_is_refused_and_left_as_it_is(path):
    run(path, f"CREATE TABLE run_format (version INTEGER PRIMARY KEY); INSERT INTO run_format VALUES ({FORMAT + 1});")
    with pytest.raises(UsageError, match=rf"archive\.sqlite was written by a newer autoprune \(format {FORMAT + 1}"):
        Archive(path)
    with closing(sqlite3.connect(path)) as database:
        assert [name for (name,) in database.execute("SELECT name FROM sqlite_master")] == ["run_format"]
