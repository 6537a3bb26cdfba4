"""What was measured is kept, and read from the archive once."""

import pytest

from autoprune.runs.archive import Archive, Measured
from autoprune.tools.memory import Memory

ROW = Measured("abc", "search", "s1", 12.5, 0.6, {"zeros": 3})


@pytest.fixture
def memory(tmp_path):
    archive = Archive(tmp_path / "archive.sqlite")
    yield Memory(archive)
    archive.close()


def test_what_is_not_there_yet_is_found_once_it_is(memory):
    assert memory.known("abc", "search", "s1") is None
    memory.archive.add_measurement(ROW)
    assert memory.known("abc", "search", "s1") == ROW
    assert memory.known("abc", "report", "s1") is None
    assert memory.known("abc", "search", "s2") is None


def test_a_row_is_read_once(memory):
    memory.archive.add_measurement(ROW)
    assert memory.known("abc", "search", "s1") is memory.known("abc", "search", "s1")
