"""Completion: what a shell is offered, at once, and by a real bash."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoprune.cli import complete
from autoprune.cli.parse import REFINEMENTS, UPDATES
from autoprune.runs.events import EventLog

PROGRAM = """
import sys
from autoprune.cli import main
try:
    main()
except SystemExit:
    sys.exit(f"heavy: {sorted({'torch', 'transformers', 'sqlalchemy', 'langgraph', 'plotly'} & set(sys.modules))}")
"""


@pytest.fixture
def offered(environment, tmp_path):
    """What bash is told for the last of some words."""

    def complete(*words):
        bash = {"_AUTOPRUNE_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(("autoprune", *words))}
        bash["COMP_CWORD"] = str(len(words))
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**environment, **bash, "PYTHONPATH": ":".join(sys.path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == "heavy: []\n"
        return done.stdout.split()

    return complete


def test_commands_and_options_are_offered(offered):
    assert offered("tr") == ["trace"]
    assert offered("prune", "--al") == ["--algorithm", "--allocation"]


def test_algorithms_allocations_and_other_words_are_offered(offered):
    assert offered("prune", "--algorithm", "wa") == ["wanda"]
    assert offered("prune", "--allocation", "sdsa") == ["sdsa", "sdsa-paper", "sdsa-staged", "sdsa-online"]
    assert offered("compare", "--algorithms", "magnitude,wa") == ["magnitude,wanda"]
    assert offered("compare", "--allocations", "owl,global,a") == [
        *("owl,global,alphapruning", "owl,global,atp", "owl,global,atp-searched"),
    ]
    assert offered("search", "--llm", "s") == ["self", "symbolic"]
    assert offered("evaluate", "smol") == ["smollm2-135m"]


@pytest.mark.parametrize("command", [("search",), ("fork", "a-run"), ("doctor",)], ids=" ".join)
def test_settings_are_offered_where_they_can_be_given(offered, command):
    assert offered(*command, "data.se") == ["data.seqlen=", "data.search_windows="]


def test_runs_and_what_is_in_them_are_offered(offered, old_run, tmp_path):
    (tmp_path / "runs").mkdir()
    shutil.move(old_run, tmp_path / "runs" / "20261124-tiny")
    for command in ("trace", "report", "resume", "approve", "fork"):
        assert offered(command, "2026") == ["20261124-tiny"]
    assert offered("trace", "runs/") == ["runs/20261124-tiny"]
    assert offered("trace", f"{tmp_path}/runs/") == [f"{tmp_path}/runs/20261124-tiny"]
    assert offered("export-algorithm", "2") == ["20261124-tiny:best"]
    assert offered("prune", "--algorithm", "2026") == ["20261124-tiny:best"]
    assert offered("trace", "20261124-tiny", "g2") == ["g2", "g2.c1", "g2.c2"]
    assert offered("trace", "20261124-tiny", "b") == ["best"]
    assert offered("approve", "20261124-tiny", "g") == []
    log = EventLog(tmp_path / "runs" / "20261124-tiny" / "events.jsonl")
    log.emit("asked", "asked", slot="g3.c1", candidate="0123456789abcdef")
    log.close()
    assert offered("approve", "20261124-tiny", "g") == ["g3.c1"]


def test_of_a_run_that_cannot_be_read_nothing_is_offered(offered, tmp_path):
    assert offered("trace", "nowhere", "g") == []
    (tmp_path / "runs" / "broken").mkdir(parents=True)
    (tmp_path / "runs" / "broken" / "config.yaml").write_text("{")
    assert offered("trace", "bro") == ["broken"]
    assert offered("trace", "broken", "g") == []


def test_the_words_are_those_that_the_program_knows():
    from autoprune.pruning.refinements import table as refinements
    from autoprune.pruning.scores import SCORES
    from autoprune.pruning.updates import table as updates

    assert set(complete.algorithms("")) >= set(SCORES)
    for table, words in ((refinements, REFINEMENTS), (updates, UPDATES)):
        assert words == ("none", *table.NAMES)
        assert all(table.spec_of(name) for name in table.NAMES)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_real_bash_takes_the_script_that_is_shown(environment, tmp_path):
    program = tmp_path / "autoprune"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m autoprune "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(autoprune --show-completion)"
        complete -p autoprune
        COMP_WORDS=(autoprune prune --allocation se) COMP_CWORD=3
        _autoprune_completion autoprune
        echo "${COMPREPLY[@]}"
    """
    paths = {"PATH": f"{tmp_path}:{environment['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env={**environment, **paths}, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["complete -o default -F _autoprune_completion autoprune", "searched"], (
        done.stderr
    )
