"""A run of an older version does whatever a run can do; one of a newer version is one line."""

import json
from pathlib import Path

import pytest

from autoprune.runs.directory import RunDirectory
from autoprune.runs.format import FORMAT

NEWER = f"format: {FORMAT + 1}\nanything: else\n"
COMMANDS = [
    ("trace", "{run}"),
    ("trace", "{run}", "best"),
    ("trace", "{run}", "--map"),
    ("trace", "{run}", "--json"),
    ("trace", "{run}", "--graph", "graphml"),
    ("trace", "{run}", "--follow"),
    ("report", "{run}"),
    ("export-algorithm", "{run}:best", "--out", "best.py"),
    ("approve", "{run}"),
    ("resume", "{run}"),
    ("runs", "."),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_run_of_version_1_does_what_a_run_can_do(here, old_run, words):
    done = here(*(word.format(run=old_run) for word in words))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_what_an_old_run_says_is_what_it_said(here, old_run, tmp_path):
    first, second = (json.loads(here("trace", old_run, "--json").stdout) for _ in range(2))
    assert first == second
    assert len(first) == 46
    assert here("export-algorithm", f"{old_run}:best", "--out", "best.py").returncode == 0
    assert "aefff679eebcb9d0" in (tmp_path / "best.py").read_text("utf-8")


def test_a_run_that_has_not_ended_under_another_constant_is_read_but_not_continued(here, old_run):
    settings, events = (Path(old_run) / name for name in ("config.yaml", "events.jsonl"))
    settings.write_text(settings.read_text().replace("output_kb: 64", "output_kb: 16"))
    events.write_text("".join(line for line in events.open() if '"kind":"run-ended"' not in line))
    assert (here("trace", old_run).returncode, here("report", old_run).returncode) == (0, 0)
    for command in ("resume", "fork"):
        done = here(command, old_run)
        assert done.returncode == 2
        last = done.stderr.splitlines()[-1]
        assert "can be read, but not continued: sandbox.output_kb=16 is no setting any more; it is always 64" in last


@pytest.mark.parametrize("words", COMMANDS[:-1], ids=" ".join)
def test_a_run_of_a_newer_format_is_one_line(here, old_run, words):
    (Path(old_run) / "config.yaml").write_text(NEWER)
    done = here(*(word.format(run=old_run) for word in words))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"was written by a newer autoprune (format {FORMAT + 1}, this one reads up to {FORMAT})" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_one_run_that_cannot_be_read_does_not_hide_the_others(here, old_run, tmp_path):
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "config.yaml").write_text(NEWER)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.yaml").write_text((Path(old_run) / "config.yaml").read_text())
    (broken / "events.jsonl").write_text('{"no": "event"}\n')
    done = here("runs", ".", "--json")
    assert [row["run"] for row in json.loads(done.stdout)] == ["old"]
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["left out", "left out"]
    assert RunDirectory.open(Path(old_run)).name == "old"
