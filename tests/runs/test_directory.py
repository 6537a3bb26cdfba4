import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoprune.config import Config
from autoprune.errors import AutoPruneError, UsageError
from autoprune.runs.directory import RunDirectory, content_hash, list_runs
from autoprune.runs.lookup import run_and_candidate


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "run", Config(sparsity=0.7))


def test_settings_come_back_as_they_were_written(run):
    run.write_settings(Config(sparsity=0.7, seed=3), {"model": "abc"})
    config, record = RunDirectory.open(run.path).settings()
    assert (config.sparsity, config.seed, record) == (0.7, 3, {"model": "abc"})


def test_a_directory_that_holds_a_run_is_not_overwritten(run):
    with pytest.raises(UsageError, match="already contains a run"):
        RunDirectory.create(run.path, Config())


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not a run directory"):
        RunDirectory.open(tmp_path)


def test_a_run_is_found_by_a_unique_prefix_of_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOPRUNE_RUNS", str(tmp_path))
    for name in ("20261130-one", "20261130-one-2", "20261201-two"):
        RunDirectory.create(tmp_path / name, Config())
    assert RunDirectory.open(Path("202612")).name == "20261201-two"
    assert RunDirectory.open(Path("20261130-one")).name == "20261130-one"
    with pytest.raises(UsageError, match="20261130 begins the names of 2 runs: 20261130-one, 20261130-one-2"):
        RunDirectory.open(Path("20261130"))
    with pytest.raises(UsageError, match="is not a run directory"):
        RunDirectory.open(Path("202"))  # too short to mean one
    assert run_and_candidate("202612:best")[0].name == "20261201-two"


def test_a_run_is_in_use_while_it_is_locked(run):
    assert not run.in_use
    with run.locked():
        assert run.in_use
    assert not run.in_use


BROKEN = ("", "format: 1\n", "format: 1\nconfig: {sparsity: 3}\nrecord: {}\n", "{", "a: \xff")


@pytest.mark.parametrize("content", BROKEN)
def test_broken_settings_are_one_clear_line(run, content):
    run.settings_file.write_text(content, encoding="latin-1")
    with pytest.raises(UsageError, match=r"config\.yaml cannot be read"):
        RunDirectory.open(run.path)


def test_a_run_of_a_newer_format_is_refused(run):
    run.settings_file.write_text("format: 99\nconfig: {}\nrecord: {}\n")
    with pytest.raises(UsageError, match="newer autoprune"):
        RunDirectory.open(run.path)


def test_a_source_is_named_by_its_content_and_found_again(run):
    source = "def score(layer):\r\n    return layer.weight  # ü\n"
    name = run.save_source(source)
    assert name == content_hash(source) == run.save_source(source)
    assert run.source(name) == source


def test_a_source_changed_on_disk_is_not_run(run):
    name = run.save_source("def score(layer): ...\n")
    (run.candidates / f"{name}.py").write_text("import os\n")
    with pytest.raises(AutoPruneError, match="changed after it was recorded"):
        run.source(name)


def test_only_one_process_works_on_a_run(run):
    code = (
        "from pathlib import Path; from autoprune.runs.directory import RunDirectory; import sys\n"
        "with RunDirectory(Path(sys.argv[1])).locked(): print('got it')"
    )
    with run.locked():
        other = subprocess.run([sys.executable, "-c", code, run.path], capture_output=True, text=True, env=os.environ)
    assert "worked on by another process" in other.stderr
    with run.locked():
        pass


def test_runs_are_listed_by_name(tmp_path):
    for name in ("b", "a"):
        RunDirectory.create(tmp_path / name, Config())
    assert [run.name for run in list_runs(tmp_path)] == ["a", "b"]
