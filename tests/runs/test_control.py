"""How other processes control a search: a request to stop, and a live page that is served."""

import pytest

from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.runs.control import clear_stop, page_is_served, request_stop, serving_page, stop_requested
from autoprune.runs.directory import RunDirectory
from autoprune.search.budget import Spent, StopFile


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "run", Config())


def test_a_request_to_stop_reaches_the_budget_until_the_next_process_begins(run):
    assert StopFile(run).reason(Spent()) is None
    with run.locked():
        request_stop(run, "ann")
    assert StopFile(run).reason(Spent()) == "stopped by ann"
    clear_stop(run)
    assert stop_requested(run) is None
    clear_stop(run)


def test_a_run_that_nothing_works_on_cannot_be_stopped(run):
    with pytest.raises(UsageError, match="no search works on"):
        request_stop(run, "ann")
    assert stop_requested(run) is None


def test_a_request_that_is_no_regular_file_is_refused_and_left_alone(run, tmp_path):
    (tmp_path / "other").write_text("secret")
    (run.path / "stop").symlink_to(tmp_path / "other")
    with run.locked():
        for use in (stop_requested, clear_stop, lambda run: request_stop(run, "ann")):
            with pytest.raises(UsageError, match="symbolic link"):
                use(run)
    assert (tmp_path / "other").read_text() == "secret"


def test_a_page_is_served_while_any_process_serves_it(run):
    assert not page_is_served(run)
    with serving_page(run):
        with serving_page(run):
            assert page_is_served(run)
        assert page_is_served(run)
    assert not page_is_served(run)
