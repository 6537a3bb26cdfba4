"""Log lines: who gets them, for how long, and that a library without a listener says nothing."""

import logging
import subprocess
import sys
import threading

import pytest

from autoprune.log import log_to, quiet

PACKAGE = logging.getLogger("autoprune")
logger = logging.getLogger("autoprune.somewhere.below")


@pytest.fixture(autouse=True)
def as_before():
    before = PACKAGE.level, list(PACKAGE.handlers)
    yield
    assert (PACKAGE.level, PACKAGE.handlers) == before


def test_lines_go_where_they_are_sent_while_the_context_is_open_and_once():
    first, second = [], []
    for lines in (first, second):
        with log_to(lines.append):
            logger.info("100 % of it")
            logger.debug("a detail")
        logger.warning("nobody is here")
    assert first == second == ["100 % of it"]


def test_an_exception_ends_it_too_and_one_of_the_receiver_reaches_the_line_that_logs():
    def full(line):
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"), log_to(full):
        logger.info("a line")


def test_other_threads_are_heard_but_quiet_holds_for_one_thread_only():
    lines = []
    with log_to(lines.append), quiet():
        logger.warning("said before")
        thread = threading.Thread(target=logger.info, args=("from a thread",))
        thread.start()
        thread.join()
    assert lines == ["from a thread"]


def test_what_the_user_has_set_comes_back_and_no_detail_is_lost(monkeypatch):
    monkeypatch.setattr(PACKAGE, "level", logging.DEBUG)
    with log_to(print):
        assert PACKAGE.level == logging.DEBUG
    assert PACKAGE.level == logging.DEBUG


def test_nothing_is_printed_where_nobody_has_configured_anything():
    program = "import logging, autoprune; logging.getLogger('autoprune.models').warning('a line')"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (finished.stdout, finished.stderr) == ("", "")
