"""Every command answers `--help`, at once, and `doctor` says what a search would use."""

import json
import subprocess
import sys

import pytest
from typer.main import get_command

from autoprune import __version__
from autoprune.cli import app

COMMANDS = tuple(get_command(app).commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(here, name):
    done = here(name, "--help")
    assert done.returncode == 0
    assert f"autoprune {name}" in done.stdout


@pytest.mark.parametrize(
    ("made", "heavy"),
    [
        ("autoprune.cli.app", {"torch", "transformers", "langgraph", "sqlalchemy", "pydantic", "rich.progress"}),
        ("dict(Commands())", {"torch", "transformers", "langgraph", "sqlalchemy"}),
    ],
)
def test_the_list_of_commands_and_the_commands_themselves_import_nothing_heavy(made, heavy):
    code = f"import sys, autoprune.cli; from autoprune.cli.group import Commands; {made}"
    code += f"; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_command_is_wrong_usage(here):
    assert here("prunne").returncode == 2


def test_doctor_says_what_a_search_would_use(here):
    done = here("doctor", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "cores" in found["processors"]
    assert found["torch"]
    assert not found["sandbox"].startswith("none")
    assert "LLM" in found["chat model"]


def test_doctor_marks_what_is_there_what_is_missing_and_what_fails(here, tiny_model):
    words = ("doctor", f"model={tiny_model}", "data.seqlen=48", "dtype=float32", "sandbox.engine=local")
    done = here(*words, "llm.provider=symbolic")
    marks = {line[2:].strip().split("  ")[0]: line[0] for line in done.stdout.splitlines() if line[1:2] == " "}
    assert (marks["torch"], marks["sandbox"], marks["chat model"]) == ("✓", "✓", "✓")
    assert done.stdout.splitlines()[-1] == "ready for a search"
    failed = here(*words, "llm.provider=openai")
    assert "✗  chat model" in failed.stdout
    assert failed.stdout.splitlines()[-1] == "not ready for a search: chat model"


def test_the_version_is_printed(here):
    done = here("--version")
    assert (done.returncode, done.stdout) == (0, f"autoprune {__version__}\n")


@pytest.mark.parametrize("words", [(), ("kit",), ("sandbox",)])
def test_no_help_line_of_a_command_is_cut_off(here, environment, words):
    environment["COLUMNS"] = "80"
    lines = here(*words, "--help").stdout.splitlines()
    listed = lines[lines.index("Commands:") :]
    assert len(listed) > 2
    assert not [line for line in listed if line.endswith(("...", "…"))]


def test_doctor_plans_a_search_for_the_target_it_is_asked_about(here, tiny_model):
    words = ("doctor", "--model", str(tiny_model), "data.seqlen=48", "dtype=float32", "sandbox.engine=local")
    done = here(*words)
    assert done.returncode == 0, done.stderr
    assert "prunable weights in 21 matrices of 3 decoder blocks" in " ".join(done.stdout.split())
    lines = [line.strip() for line in done.stdout.splitlines()]
    for phase in ("load", "statistics", "one baseline", "one candidate", "confirmation", "the whole search"):
        assert any(line.startswith(f"{phase}  ") and line.endswith("yes") for line in lines)
    planned = json.loads(here(*words, "--json").stdout)["plan"]
    assert planned["fits"]
    assert planned["phases"][0].keys() == {"name", "seconds", "memory", "fits"}


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("--model", "nobody/no-such-model"), 2, "there is no model 'nobody/no-such-model'"),
        (("advanced.memory_gb=0.00001", "dtype=float32"), 1, "does not fit, even block by block"),
        (("offload=sometimes",), 2, "offload = 'sometimes'"),
    ],
)
def test_doctor_says_in_one_line_what_cannot_be_planned(here, tiny_model, words, code, complaint):
    done = here("doctor", *(() if "--model" in words else ("--model", str(tiny_model))), *words)
    assert done.returncode == code
    assert complaint in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_the_local_sandbox_holds_what_it_promises(autoprune):
    done = autoprune("sandbox", "check", "--sandbox", "local", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(probe["passed"] for probe in json.loads(done.stdout))


def test_no_runs_is_said_plainly(here):
    done = here("runs")
    assert done.returncode == 0
    assert "no runs in" in done.stdout
