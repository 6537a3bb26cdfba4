"""Every command answers `--help`, at once, and `doctor` says what a search would use."""

import json
import subprocess
import sys

import pytest

COMMANDS = ("search", "resume", "runs", "trace", "doctor", "sandbox")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(autoprune, name):
    done = autoprune(name, "--help")
    assert done.returncode == 0
    assert f"autoprune {name}" in done.stdout


def test_help_imports_nothing_heavy():
    heavy = {"torch", "transformers", "langgraph", "sqlalchemy"}
    code = f"import sys; import autoprune.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_command_is_wrong_usage(autoprune):
    assert autoprune("prunne").returncode == 2


def test_doctor_says_what_a_search_would_use(autoprune):
    done = autoprune("doctor", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "cores" in found["processors"]
    assert found["torch"]
    assert not found["sandbox"].startswith("none")
    assert "LLM" in found["chat model"]


def test_doctor_loads_the_target_it_is_asked_about(autoprune, tiny_model):
    done = autoprune("doctor", "--model", str(tiny_model))
    assert "prunable weights in 21 matrices of 3 decoder blocks" in " ".join(done.stdout.split())


def test_the_local_sandbox_holds_what_it_promises(autoprune):
    done = autoprune("sandbox", "check", "--sandbox", "local", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(probe["passed"] for probe in json.loads(done.stdout))


def test_no_runs_is_said_plainly(autoprune):
    done = autoprune("runs")
    assert done.returncode == 0
    assert "no runs in" in done.stdout
