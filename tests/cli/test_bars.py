"""The bars of a search on a real pseudo-terminal, and that there are none elsewhere."""

import json
import re

import pexpect

from tests.small_search import SMALL

WORDS = ("search.max_candidates=2", "baselines.refinements=[none]", "baselines.tune=true", "baselines.scores=[wanda]")


def screen_of(terminal, *words):
    """What a command writes to a terminal until its end, and its exit code."""
    child = terminal(*words, width=120, NO_COLOR="1")
    seen: list[str] = []
    child.logfile_read = _Kept(seen)
    child.expect(pexpect.EOF)
    child.close()
    return "".join(seen), child.exitstatus


def test_every_wait_of_a_search_has_a_bar_with_the_remaining_time(terminal, tiny_model, tmp_path):
    words = ("search", *SMALL, *WORDS, "--model", str(tiny_model), "--run-dir", "r")
    text, code = screen_of(terminal, *words)
    assert code == 0, text[-2000:]
    for name in ("probing this machine", "dense model", "baselines", "tuning", "confirmation"):
        assert re.search(rf"{name}.* \d+/\d+", text), name
    assert re.search(r"baselines .*\d+ (?:s|min) left", text)
    assert re.search(r"candidates \d/2 \(\d+ s left\)", text)
    assert "candidates 3/2" not in text
    assert "minutes unknown" not in text
    assert "on this machine (by a probe" in (tmp_path / "r" / "events.jsonl").read_text("utf-8")


def test_the_dense_measurement_and_the_pruning_of_prune_have_bars(terminal, tiny_model, tmp_path):
    size = ("--seqlen", "64", "--windows", "4", "--calibration-samples", "4", "--completions", "0")
    words = ("prune", "--model", str(tiny_model), "--sandbox", "local", "--device", "cpu", *size)
    text, code = screen_of(terminal, *words, "--out", "pruned")
    assert code == 0, text[-2000:]
    for name in ("statistics", "perplexity of the dense model", "pruning", "perplexity"):
        assert re.search(rf"{name} .*\d+/\d+ (?:windows|layers)", text), name


def test_off_a_terminal_a_search_prints_lines_and_with_json_nothing_else(autoprune, tiny_model):
    ended = autoprune("search", *SMALL, *WORDS[:2], "--model", str(tiny_model), "--run-dir", "r", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["rows"]
    assert "━" not in ended.stderr
    assert "\x1b" not in ended.stderr


class _Kept:
    """A file that keeps what is written."""

    def __init__(self, parts: list[str]) -> None:
        self._parts = parts

    def write(self, text: str) -> None:
        self._parts.append(text)

    def flush(self) -> None:
        pass
