"""`autoprune cache`: shown, and cleared of what was not used for long."""

import json
import os
import time
from pathlib import Path

import pytest

from autoprune.cache import DAY


@pytest.fixture
def chat_model(tmp_path: Path) -> Path:
    """A file in the cache that nobody used for ten days."""
    file = tmp_path / "cache" / "llm" / "chat.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 10_000_000)
    then = time.time() - 10 * DAY
    os.utime(file, (then, then))
    return file


def test_it_is_shown_and_nothing_is_removed(here, chat_model):
    done = here("cache")
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if "chat models" in line)
    assert row.split()[:6] == ["llm", "1", "0.01", "10", "to", "10"]
    assert chat_model.exists()


def test_what_is_old_is_removed_and_the_rest_stays(here, chat_model):
    assert json.loads(here("cache", "--clear", "llm", "--unused-for", "11", "--json").stdout)["removed"] == []
    assert chat_model.exists()
    done = here("cache", "--clear", "all", "--json")
    said = json.loads(done.stdout)
    assert said["removed"] == [str(chat_model)]
    assert said["freed"] >= 10_000_000
    assert not chat_model.exists()


def test_an_unknown_kind_is_wrong_usage(here, chat_model):
    done = here("cache", "--clear", "lllm", "--unused-for", "0")
    assert done.returncode == 2
    assert "'lllm' is not one of statistics, measurements" in done.stderr
    assert chat_model.exists()
