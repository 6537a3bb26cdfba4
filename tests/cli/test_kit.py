"""`autoprune kit`: from a candidate of a run to a function of the kit, and on to candidates that use it."""

import json

import pytest

from autoprune.config import load_config
from autoprune.llm.provider import choose_llm
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from autoprune.search.session import open_context, work
from tests.agents.strong_model import Model
from tests.llm.faulty_server import ChatServer
from tests.small_search import SMALL

CODE = '''```python
import torch

POWER = 0.5
seen = []


def reach(layer):
    """The reach of the inputs."""
    return layer.input_norm**POWER


def damped(weight, amount):
    return weight.abs() / (weight.abs().mean() + amount)


def impure(weight):
    seen.append(weight)
    return weight


def swaps(weight):
    return weight


def shaky(weight):
    return weight + len(set(str(id(weight))))


def score(layer):
    return damped(layer.weight, 0.1) * reach(layer)
```'''


@pytest.fixture(scope="module")
def run(tiny_model, tmp_path_factory):
    """A small search with a scripted chat model, whose one candidate has helpers."""
    home = tmp_path_factory.mktemp("kit")
    with pytest.MonkeyPatch.context() as patch, ChatServer([""]) as server:
        patch.setenv("AUTOPRUNE_CACHE", str(home / "cache"))
        server.script = Model(f"IDEA: damped reach\nWHY: w\nEXPECTED: better\nBUILDS_ON: nothing\n{CODE}")
        words = ("llm.provider=openai", f"llm.base_url={server.base_url}", "llm.profile=strong")
        words += ("agents.symbolic_share=0", "search.max_candidates=1", "search.generation_size=1")
        config = load_config(None, [f"model={tiny_model}", *SMALL, *words, "advanced.layer_error=null"])
        run = RunDirectory.create(home / "run", config)
        events = EventLog(run.events_file)
        with open_context(run, config, choose_llm(config.llm), events) as context:
            work(context)
        events.close()
    return run


@pytest.fixture
def own(monkeypatch, tmp_path):
    monkeypatch.setenv("AUTOPRUNE_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "kit"


def added(here, *words):
    return here("kit", "add", *words, "--sandbox", "local")


def test_the_helpers_of_a_candidate_become_functions_with_their_lineage(here, run, own):
    done = added(here, f"{run.path}:best", "--json")
    assert done.returncode == 0, done.stderr
    reach, damped = json.loads(done.stdout)
    assert (reach["name"], reach["signature"], reach["summary"]) == ("reach", "(layer)", "The reach of the inputs.")
    assert "a fresh process gave the same result" in reach["tried"]
    assert damped["summary"] == "damped reach"
    assert damped["tried"] == "not tried: nothing is known of its parameter amount"
    lineage = reach["lineage"]
    assert (lineage["run"], lineage["slot"], lineage["functions"]) == ("run", "g1.c1", ["reach"])
    assert (lineage["model"], lineage["sparsity"]) == ("llama", 0.5)
    assert lineage["report_perplexity"] > 1
    assert lineage["found_by"] not in ("", "the engine llm")
    assert sorted(path.name for path in own.iterdir()) == ["damped.md", "damped.py", "reach.md", "reach.py"]
    assert (own / "reach.py").read_text().startswith("POWER = 0.5\n\n\ndef reach(layer):\n")
    assert "damped reach" in (own / "reach.md").read_text()


def test_the_list_shows_those_of_the_package_and_ones_own_which_can_be_removed(here, run, own):
    assert added(here, f"{run.path}:g1.c1", "--function", "reach", "--name", "own_reach").returncode == 0
    listed = here("kit", "list")
    assert "weighted_descent" in listed.stdout
    assert "own_reach" in listed.stdout
    assert f"your functions: {own}" in listed.stdout.replace("\n", "")
    facts = json.loads(here("kit", "list", "--json").stdout)
    assert [(each["name"], each["own"]) for each in facts["functions"]] == [
        ("weighted_descent", False),
        ("own_reach", True),
    ]
    shown = here("kit", "show", "own_reach").stdout
    assert "def own_reach(layer):" in shown
    assert "candidate: " in shown
    assert here("kit", "remove", "own_reach").stdout == f"removed {own}/own_reach.py\n"
    assert "own_reach" not in here("kit", "list").stdout


def test_a_file_uses_a_found_function_and_its_row_says_so(here, run, own, tiny_model, tmp_path):
    assert added(here, f"{run.path}:best", "--function", "reach").returncode == 0
    use = "from autoprune import kit\n\n\ndef score(layer):\n    return layer.weight.abs() * kit.found.reach(layer)\n"
    (tmp_path / "mine.py").write_text(use)
    (tmp_path / "same.py").write_text("def score(layer):\n    return layer.weight.abs() * layer.input_norm**0.5\n")
    words = ["--model", str(tiny_model), "--seqlen", "64", "--calibration-samples", "4", "--windows", "4"]
    words += ["--sandbox", "local", "--device", "cpu", "--allocations", "uniform", "--dtype", "float32"]
    done = here("compare", *words, "--algorithms", "mine.py,same.py", "--json")
    assert done.returncode == 0, done.stderr
    _, mine, same = json.loads(done.stdout)
    assert mine["perplexity"] == same["perplexity"]
    assert (mine["found"], same["found"]) == ("reach", "")


MISUSE = {
    ("add", "{run}"): "is not of the form RUN:CANDIDATE",
    ("add", "nowhere:best"): "not a run directory",
    ("add", "{run}:g9.c9"): "no candidate 'g9.c9' in this run; there are: g1.c1",
    ("add", "{run}:best", "--function", "nothing"): "has no function 'nothing'; it has reach, damped, impure, ",
    ("add", "{run}:best", "--name", "mine"): "--name needs one function, but these are reach, damped",
    ("add", "{run}:best", "--function", "impure"): "impure of {run}:best cannot be distilled: seen is not a constant",
    ("add", "{run}:best", "--function", "shaky"): "cannot be distilled: shaky uses id, which is not a builtin of pure",
    ("add", "{run}:best", "--function", "swaps"): "kit.swaps is a published function; choose another name by --name",
    ("add", "{run}:best", "--function", "reach", "--name", "weighted_descent"): "weighted_descent exists already",
    ("add", "{run}:best", "--function", "reach", "--name", "../reach"): "'../reach' is not a name of ASCII letters",
    ("add", "{run}:best", "--function", "reach", "--name", "score"): "score has a meaning of its own in a candidate",
    ("show", "nothing"): "there is no found function 'nothing'; there are: weighted_descent",
    ("remove", "nothing"): "kit.found.nothing does not exist; your own are: none",
    ("remove", "weighted_descent"): "kit.found.weighted_descent is a function of the package, which stays",
}


@pytest.mark.parametrize(("words", "complaint"), MISUSE.items(), ids=[complaint[:40] for complaint in MISUSE.values()])
def test_misuse_is_one_line_and_nothing_is_written(here, run, own, words, complaint):
    done = here("kit", *(word.format(run=run.path) for word in words))
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint.format(run=run.path) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not own.exists()


def test_a_kit_that_cannot_be_written_is_one_line(here, run, own, tmp_path):
    (tmp_path / "data").write_text("a file")
    done = added(here, f"{run.path}:best", "--function", "reach")
    assert (done.returncode, done.stdout) == (1, "")
    *_, error = done.stderr.splitlines()  # after the line on the sandbox
    assert error.startswith("autoprune: cannot write ")
