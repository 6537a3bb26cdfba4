"""`autoprune runs` among runs whose events say anything."""

import json
import shutil
from pathlib import Path

import pytest

from autoprune.config import load_config
from autoprune.runs.directory import RunDirectory

ENDED = {"slot": "g1.c1", "generation": 1, "candidate": None, "status": "measured", "perplexity": 1.0}
ODD = {
    "facts missing": ("planned", {}),
    "a list for a word": ("planned", {"generation": 1, "slots": [[1], "x"]}),
    "a slot with too much": ("planned", {"generation": 1, "slots": [{"slot": "a", "evil": 1}]}),
    "no slot": ("ended", {}),
    "a number in words": ("ended", {**ENDED, "candidate": "0" * 16, "perplexity": "low"}),
    "a number of 400 digits": ("ended", {**ENDED, "candidate": "0" * 16, "perplexity": 10**400}),
    "a candidate that is a list": ("ended", {**ENDED, "candidate": [1]}),
    "a thought that is a word": ("proposed", {"slot": "g1.c1", "candidate": "x", "thought": "none"}),
    "a baseline that is a list": ("baseline", {"name": "b", "perplexity": [1]}),
    "a baseline beyond float": ("baseline", {"name": "b", "perplexity": 1e999}),
    "a name that is a list": ("baseline", {"name": ["b"], "perplexity": 1.0}),
    "prices in words": ("called", {"usd": "free", "tokens_in": None, "tokens_out": 1}),
    "rows that are a number": ("run-ended", {"stop": 1, "conclusion": None, "usd": 3}),
}


def made(root: Path, name: str, *lines: str) -> None:
    """A run with these lines of events."""
    run = RunDirectory.create(root / name, load_config(None, ["model=tiny"]))
    run.events_file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def event(kind: str, data: dict[str, object]) -> str:
    return json.dumps({"version": 1, "key": kind, "time": "2026-01-01T00:00:00.000+00:00", "kind": kind, "data": data})


SLOT = {"slot": "g1.c1", "generation": 1, "operator": "o", "engine": "e", "parents": []}
PLANNED = event("planned", {"generation": 1, "slots": [SLOT]})


@pytest.fixture
def root(old_run: str, tmp_path: Path, environment: dict[str, str]) -> Path:
    """Where there is a good run."""
    environment["COLUMNS"] = "300"  # so that no path is broken
    (tmp_path / "runs").mkdir()
    shutil.move(old_run, tmp_path / "runs" / "good")
    return tmp_path / "runs"


@pytest.mark.parametrize(("kind", "data"), [pytest.param(*case, id=name) for name, case in ODD.items()])
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["table", "json"])
def test_a_run_that_says_anything_does_not_hide_the_others(here, root, kind, data, options):
    made(root, "odd", PLANNED, event(kind, data))
    done = here("runs", str(root), *options)
    assert done.returncode == 0, done.stderr
    assert "good" in done.stdout
    assert "Traceback" not in done.stderr
    assert "odd" in done.stdout or "left out" in done.stderr


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"{}\n", b"null\n", b"\0" * 99 + b"\n"])
def test_a_file_that_holds_no_events_does_not_hide_the_others(here, root, content):
    made(root, "odd")
    (root / "odd" / "events.jsonl").write_bytes(content)
    done = here("runs", str(root))
    assert done.returncode == 0, done.stderr
    assert "good" in done.stdout
    assert done.stderr.count("left out") == 1


def test_a_folder_where_the_events_would_be_does_not_hide_the_others(here, root):
    made(root, "odd")
    (root / "odd" / "events.jsonl").unlink()
    (root / "odd" / "events.jsonl").mkdir()
    done = here("runs", str(root))
    assert "good" in done.stdout
    assert "left out" in done.stderr


@pytest.mark.parametrize("folder", ["runs", "elsewhere with a long name/" + "deep/" * 10, "elsewhere"])
def test_every_command_accepts_what_is_listed_on_a_narrow_screen(here, old_run, tmp_path, environment, folder):
    environment["COLUMNS"] = "80"
    names = [f"20261130-21{minute}00-smollm2-135m-60-{'x' * 30}" for minute in (10, 11)]
    for name in names:
        shutil.copytree(old_run, tmp_path / folder / name)
    for root in (folder, str(tmp_path / folder)):
        head, *lines = here("runs", root).stdout.splitlines()[: 1 + len(names)]
        assert head.split()[0] == "run"
        for name, line in zip(names, lines, strict=True):
            listed = line.partition("  ")[0].strip()
            done = here("trace", listed, "--json")
            assert done.returncode == 0, done.stderr
            assert name.startswith(listed) or listed == str(Path(root) / name)
