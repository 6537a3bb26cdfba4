"""A search that cannot start leaves nothing behind, and what is wrong in the same way has the same exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoprune.config import Config
from autoprune.runs.directory import RunDirectory
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Status
from tests.postgres_server import ON_POSTGRES

MISSING = {
    "a model": ("model={missing}",),
    "a text": ("data.source={missing}",),
    "a calibration text": ("data.calibration={missing}",),
    "a device": ("device=cuda:7",),
    "a key": ("llm.provider=openai",),
    "a chat model": ("llm.provider=local", "llm.model={missing}.gguf"),
    "an agent": ("agents.critic=llm",),
    "an engine": ("sandbox.engine=docker",),
    "a second model": ("confirmation.transfer_model={missing}",),
    "a policy": ("approval=file", "approval_policy={missing}"),
    "a cluster": ("executor.kind=ray", "executor.address=127.0.0.1:1"),
    "a tracking server": ("tracking.to=mlflow", "tracking.uri=http://127.0.0.1:9"),
    "a database": ("database=postgresql://ann@127.0.0.1:9/x",),
    "a long enough text": ("data.search_windows=999999",),
}


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No key, no container engine."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("autoprune:")]
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    return lines[0]


@pytest.mark.parametrize("what", MISSING)
def test_a_search_without_what_it_needs_leaves_no_run(here, small, tmp_path, what):
    refused(here("search", *small, *(word.format(missing=tmp_path / "missing") for word in MISSING[what])))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("extra", ["psycopg", "ray", "docker"])
def test_an_extra_that_is_missing_is_named_and_leaves_no_run(here, small, tmp_path, monkeypatch, extra):
    monkeypatch.setitem(sys.modules, extra, None)
    words = {
        "psycopg": ["database=postgresql://ann@127.0.0.1:9/x"],
        "ray": ["executor.kind=ray"],
        "docker": ["sandbox.engine=docker"],
    }
    assert "pip install 'autoprune[" in refused(here("search", *small, *words[extra]))
    assert not (tmp_path / "runs").exists()


def test_too_few_windows_are_warned_about_before_anything_is_tried(here, small):
    done = here("search", *small, "llm.provider=openai", "llm.base_url=http://127.0.0.1:9/v1", "llm.model=m")
    assert "data.report_windows=4 cannot show any difference" in " ".join(done.stdout.split())
    assert "cannot be reached" in done.stderr


@pytest.mark.parametrize(
    ("listing", "answer", "model", "complaint"),
    [
        (Status(401), Status(401), "scripted", "check the key"),
        (None, Status(404), "scriptet", "did you mean scripted?"),
    ],
    ids=["a refused key", "an unknown model"],
)
def test_an_endpoint_that_cannot_be_used_is_one_line_and_leaves_no_run(
    here, small, tmp_path, listing, answer, model, complaint
):
    with ChatServer([answer]) as server:
        server.listing = listing
        words = ["llm.provider=openai", f"llm.base_url={server.base_url}", f"llm.model={model}"]
        done = here("search", *small, *words)
    lines = [line for line in done.stderr.splitlines() if line.startswith("autoprune:")]
    assert (done.returncode, len(lines)) == (1, 1), done.stderr
    assert complaint in lines[0]
    assert not (tmp_path / "runs").exists()


def test_what_was_in_the_directory_before_stays(here, small, tmp_path):
    mine = tmp_path / "mine"
    (mine / "candidates").mkdir(parents=True)
    for name in ("notes.txt", "candidates/old.py", "events.txt"):
        (mine / name).write_text("mine")
    refused(here("search", *small, "--run-dir", "mine", "device=cuda:7"))
    assert sorted(path.relative_to(mine).as_posix() for path in mine.rglob("*")) == [
        *("candidates", "candidates/old.py", "events.txt", "notes.txt"),
    ]


def test_a_fork_that_cannot_start_leaves_no_run_and_its_origin_as_it_was(here, recorded, tmp_path):
    before = sorted(path.name for path in Path(recorded).iterdir())
    refused(here("fork", recorded, "llm.provider=openai", "llm.base_url=null", "--run-dir", "fork"))
    refused(here("fork", recorded, "--at", "99", "--run-dir", "fork"))
    assert not (tmp_path / "fork").exists()
    assert sorted(path.name for path in Path(recorded).iterdir() if not path.name.endswith(("-shm", "-wal"))) == [
        name for name in before if not name.endswith(("-shm", "-wal"))
    ]


def test_a_run_that_began_stays_when_it_fails_later(here, small, tmp_path):
    done = here("search", *small, "--run-dir", "run", "--approval", "human", "search.max_candidates=2")
    assert done.returncode == 3
    refused(here("resume", "run", "--executor", "ray", "--address", "127.0.0.1:1"))
    assert RunDirectory.open(tmp_path / "run").settings_file.is_file()


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "{missing}"),
        ("prune", "--model", "{missing}", "--out", "out"),
        ("compare", "--model", "{missing}"),
        ("doctor", "--model", "{missing}"),
        ("evaluate", "{model}", "--data", "{missing}"),
        ("prune", "--model", "{model}", "--data", "{missing}", "--out", "out"),
        ("compare", "--model", "{model}", "--calibration", "{missing}"),
        ("evaluate", "{model}", "--device", "cuda:7"),
        ("prune", "--model", "{model}", "--device", "cuda:7", "--out", "out"),
        ("prune", "--model", "{model}", "--algorithm", "{missing}.py", "--out", "out"),
        ("prune", "--model", "{model}", "--algorithm", "{code}", "--sandbox", "docker", "--out", "out"),
        ("compare", "--model", "{model}", "--algorithms", "{code}", "--sandbox", "docker"),
        ("sandbox", "check", "--sandbox", "docker"),
        ("sandbox", "build", "--from", "{missing}.tar"),
        ("unpack", "{missing}", "--out", "out"),
        ("trace", "{missing}"),
        ("report", "{missing}"),
        ("resume", "{missing}"),
        ("fork", "{missing}"),
        ("approve", "{missing}"),
        ("export-algorithm", "{missing}:best", "--out", "out.py"),
    ],
    ids=" ".join,
)
def test_what_a_command_needs_and_cannot_find_is_exit_code_2(here, tiny_model, tmp_path, command):
    (tmp_path / "code.py").write_text("def score(layer):\n    return layer.weight.abs()\n")
    words = {"missing": tmp_path / "missing", "model": tiny_model, "code": tmp_path / "code.py"}
    refused(here(*(word.format(**words) for word in command)))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("archive.sqlite", b"no database"),
        ("events.jsonl", b"no event\n"),
        ("config.yaml", b"no: run"),
        ("config.yaml", b"\xff"),
    ],
)
@pytest.mark.parametrize("command", [("trace",), ("report",), ("resume",), ("fork",)], ids=" ".join)
def test_a_run_that_cannot_be_read_is_exit_code_2(here, tmp_path, name, content, command):
    run = RunDirectory.create(tmp_path / "run", Config.model_validate({"llm": {"provider": "symbolic"}}))
    (run.path / name).write_bytes(content)
    refused(here(*command, "run"))


@pytest.mark.parametrize(
    "command",
    [
        ("prune", "--model", "{model}", "--out", "file/out", "--windows", "2", "--seqlen", "64"),
        ("trace", "{run}", "--html", "file/out"),
        ("trace", "{run}", "--graph", "json", "--out", "file/out"),
        ("report", "{run}", "--out", "file/out"),
        ("export-algorithm", "{run}:best", "--out", "file/out.py"),
        ("search", "--run-dir", "file/out"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_written_is_exit_code_1(here, tiny_model, recorded, tmp_path, command):
    (tmp_path / "file").write_text("")
    done = here(*(word.format(model=tiny_model, run=recorded) for word in command))
    assert done.returncode == 1, done.stderr
    assert [line.startswith("autoprune: cannot ") for line in done.stderr.splitlines()][-1]
    assert "Traceback" not in done.stderr


@pytest.fixture
def printed(monkeypatch):
    """Run the program in this process with this file as its standard output."""

    def run(words: tuple[str, ...], output: object) -> int:
        from autoprune.cli import main

        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setattr(sys, "argv", ["autoprune", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


PRINTING = [
    ("--help",),
    ("trace", "{run}"),
    ("trace", "{run}", "--json"),
    ("trace", "{run}", "--follow"),
    ("trace", "{run}", "--graph", "mermaid"),
    ("trace", "{run}", "--map"),
    ("report", "{run}", "--out", "report.html"),
    ("resume", "{run}"),
    ("resume", "{run}", "--json"),
    ("approve", "{run}", "--json"),
    ("runs", "{run}/.."),
    ("cache", "--json"),
    ("export-algorithm", "{run}:best", "--out", "best.py", "--force"),
]


@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
def test_a_full_disk_behind_the_output_is_one_line(printed, recorded, cache, tmp_path, monkeypatch, capfd, command):
    monkeypatch.chdir(tmp_path)
    with open("/dev/full", "w") as full:
        assert printed(tuple(word.format(run=recorded) for word in command), full) == 1
    said = capfd.readouterr()
    lines = [line for line in said.err.splitlines() if "contacts" not in line and not line.startswith("left out")]
    assert lines == ["autoprune: cannot write to standard output: No space left on device"]


@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
def test_a_reader_that_has_seen_enough_is_no_error(printed, recorded, cache, tmp_path, monkeypatch, capfd, command):
    monkeypatch.chdir(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        assert printed(tuple(word.format(run=recorded) for word in command), pipe) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("left out")]
    assert [line for line in lines if "contacts" not in line] == []


def test_a_process_with_a_full_disk_behind_its_output_ends_with_one_line(command, environment, recorded):
    """Python itself tries once more as the process ends."""
    with open("/dev/full", "w") as full:
        words = [*command, "trace", recorded, "--json"]
        done = subprocess.run(words, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr


class TestWithAServer:
    pytestmark = ON_POSTGRES

    def test_a_search_that_cannot_start_leaves_no_schema(self, here, small, postgres, tmp_path):
        def schemas() -> object:
            return postgres.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'autoprune%'")

        before = schemas()
        refused(here("search", *small, "--database", postgres.url(password=postgres.quoted), "device=cuda:7"))
        assert schemas() == before
        assert not (tmp_path / "runs").exists()


def test_follow_waits_for_a_run_that_has_not_said_anything_yet(here, tmp_path, monkeypatch):
    run = RunDirectory.create(tmp_path / "run", Config())
    looks = []

    def wait(seconds: float) -> None:
        looks.append(seconds)
        event = {"key": "end", "time": "2026-01-01T00:00:00+00:00", "kind": "run-ended", "data": {"stop": "x"}}
        if len(looks) == 2:
            run.events_file.write_text(json.dumps(event) + "\n")

    monkeypatch.setattr("autoprune.runs.events.time.sleep", wait)
    done = here("trace", "run", "--follow")
    assert (done.returncode, "Traceback" in done.stderr, len(looks)) == (0, False, 2)
