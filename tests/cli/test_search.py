"""`autoprune search`, `resume`, `runs`, `trace`: what a user sees, exit codes, and that nothing is lost."""

import json
import random
import resource
import signal
import time

import pexpect
import pytest

from autoprune.cache import SPARE
from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events


def outcomes(run):
    archive = Archive(run / "archive.sqlite")
    try:
        found = {outcome.slot: (outcome.candidate, outcome.status) for outcome in archive.outcomes()}
        measured = [(row.subject, row.split, row.perplexity) for row in archive.measurements("search")]
        return found, sorted(measured)
    finally:
        archive.close()


def test_a_search_ends_with_a_table_a_conclusion_and_its_directory(autoprune, small, tmp_path):
    done = autoprune("search", *small, "--run-dir", "r")
    assert done.returncode == 0, done.stderr
    assert "wanda+uniform" in done.stdout
    assert "run directory: r " in done.stdout
    assert "report: r/report.html" in done.stdout
    assert "better than every baseline on the report split" in " ".join(done.stdout.split())
    names = {path.name for path in (tmp_path / "r").iterdir()}
    assert names >= {"config.yaml", "events.jsonl", "archive.sqlite", "checkpoints.sqlite", "candidates", "report.html"}
    again = autoprune("resume", "r", "--json")
    assert again.returncode == 0
    found = json.loads(again.stdout)
    assert {row["kind"] for row in found["rows"]} == {"dense", "baseline", "candidate"}
    assert {each["verdict"] for each in found["comparisons"]} <= {"better", "no difference shown", "worse"}
    assert len(found["comparisons"]) == found["protocol"]["comparisons"] > 0
    listed = json.loads(autoprune("runs", ".", "--json").stdout)
    assert [(row["run"], row["candidates"]) for row in listed] == [("r", 6)]
    traced = autoprune("trace", "r", "g1.c1", "--html", "t.html", "--svg", "t.svg")
    assert traced.returncode == 0
    assert "path in the reasoning graph" in traced.stdout
    assert "def score(layer)" in traced.stdout
    assert (tmp_path / "t.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["--model", "/no/such/model"], 2, "/no/such/model"),
        (["--model", "no-such/model-anywhere"], 2, "no-such/model-anywhere"),
        (["--transfer-model", "/no/such/second"], 2, "/no/such/second"),
        (["confirmation.sparsities=[0.5,2]"], 2, "confirmation.sparsities.1 = 2"),
        (["--sparsity", "1.2"], 2, "--sparsity = 1.2"),
        (["colour=red"], 2, "unknown setting 'colour'"),
        (["--llm", "oracle"], 2, "--llm = 'oracle'"),
        (["no.yaml"], 2, "no.yaml"),
        (["data.source=empty.txt"], 2, "is empty"),
        (["data.source=short.txt"], 2, "tokens"),
        (["data.source=latin.txt"], 2, "not UTF-8"),
        (["device=cuda:7"], 2, "cuda:7"),
        (["--llm", "openai", "llm.base_url=http://127.0.0.1:9/v1", "llm.model=m", "llm.retries=0"], 1, "127.0.0.1:9"),
        (["--llm", "openai"], 2, "OPENAI_API_KEY"),
        (["--llm", "local", "llm.model=none.gguf"], 2, "none.gguf"),
        (["agents.critic=llm"], 2, "agents.critic=llm"),
        (["--executor", "ray", "--address", "127.0.0.1:9"], 2, "no Ray cluster can be reached at 127.0.0.1:9"),
        (["--executor", "elsewhere"], 2, "--executor = 'elsewhere'"),
        (["--executor", "processes", "--workers", "0"], 2, "--workers = 0"),
    ],
)
def test_wrong_input_is_one_clear_line_and_an_exit_code(here, small, tmp_path, monkeypatch, words, code, complaint):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "empty.txt").write_text(" \n\n ")
    (tmp_path / "short.txt").write_text("Too short to measure anything on.")
    (tmp_path / "latin.txt").write_bytes("größer\n\n".encode("latin-1") * 100)
    given = [word for word in small if not word.startswith("model=") or "--model" not in words]
    done = here("search", *given, *words)
    assert done.returncode == code, done.stdout + done.stderr
    last = [line for line in done.stderr.splitlines() if line.startswith("autoprune:")]
    assert len(last) == 1
    assert complaint in last[0]
    assert "Traceback" not in done.stderr


def test_a_directory_that_cannot_be_written_is_one_clear_line(here, small, tmp_path):
    (tmp_path / "file").write_text("")
    done = here("search", *small, "--run-dir", "file/run")
    assert done.returncode == 1
    assert "cannot make the run directory" in done.stderr


def test_a_cache_that_cannot_be_written_is_one_notice_and_no_end(here, small, environment, tmp_path, monkeypatch):
    monkeypatch.setenv(SPARE, "")  # and not beyond this test
    (tmp_path / "file").write_text("")
    environment["AUTOPRUNE_CACHE"] = str(tmp_path / "file" / "cache")
    done = here("search", *small, "search.max_candidates=1", "advanced.cache=true", "--json")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert said.count("cannot be written (Not a directory): statistics go to ") == 1, done.stderr
    assert "not cached" not in said


@pytest.mark.long
def test_a_full_disk_is_one_clear_line_and_loses_nothing(autoprune, start, small, tmp_path):
    assert autoprune("search", *small, "--run-dir", "warm").returncode == 0
    with (tmp_path / "said").open("w+") as said:
        process = start("search", *small, "--run-dir", "full", err=said)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (160 * 1024, 160 * 1024))
        code, complaint = process.wait(600), (said.seek(0), said.read())[1]
    assert code == 1, complaint
    assert "full cannot be written" in complaint
    assert "Traceback" not in complaint
    assert autoprune("resume", "full").returncode == 0
    assert outcomes(tmp_path / "full") == outcomes(tmp_path / "warm")


@pytest.mark.parametrize("command_name", ["resume", "trace"])
def test_a_run_that_is_not_there_is_one_clear_line(here, command_name):
    done = here(command_name, "nowhere")
    assert done.returncode == 2
    assert "nowhere is not a run directory" in done.stderr


def wait_for_events(path, count, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.005)
    raise AssertionError(f"{path} never had {count} events")


@pytest.mark.long
def test_a_killed_search_resumes_to_what_an_undisturbed_one_finds(autoprune, start, small, tmp_path):
    assert autoprune("search", *small, "--run-dir", "whole").returncode == 0
    total = len(list(read_events(tmp_path / "whole" / "events.jsonl")))
    for seed in range(2):  # in more places, and faster: tests/search/test_kill.py
        name = f"cut{seed}"
        process = start("search", *small, "--run-dir", name)
        wait_for_events(tmp_path / name / "events.jsonl", random.Random(seed).randint(2, total - 2))
        process.kill()
        process.wait()
        resumed = autoprune("resume", name)
        assert resumed.returncode == 0, resumed.stderr
        assert outcomes(tmp_path / name) == outcomes(tmp_path / "whole")


def test_ctrl_c_ends_at_once_with_130_and_says_how_to_go_on(terminal, small, tmp_path):
    child = terminal("search", *small, "--run-dir", "r", "search.max_candidates=500")
    wait_for_events(tmp_path / "r" / "events.jsonl", 15)
    child.process.send_signal(signal.SIGINT)
    child.expect_exact("autoprune resume r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
