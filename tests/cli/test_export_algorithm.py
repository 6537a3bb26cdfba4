"""`autoprune export-algorithm`: from a run to a file that other commands take."""

import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from autoprune.config import load_config
from autoprune.llm.provider import choose_llm
from autoprune.runs.archive import Archive, Proposal
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from autoprune.search.session import open_context, work
from tests.small_search import SMALL


@pytest.fixture(scope="module")
def searched(tiny_model, tmp_path_factory):
    """The directory of a small search without an LLM, whose best candidate brings no allocation of its own."""
    home = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOPRUNE_CACHE", str(home / "cache"))
        config = load_config(
            None, [f"model={tiny_model}", *SMALL, "search.max_candidates=4", "advanced.layer_error=null"]
        )
        run = RunDirectory.create(home / "run", config)
        events = EventLog(run.events_file)
        with open_context(run, config, choose_llm(config.llm), events) as context:
            work(context)
        events.close()
    return run


def best(run):
    archive = Archive(run.archive_file)
    measured = [each for each in archive.outcomes() if each.status == "measured"]
    archive.close()
    return min(measured, key=lambda each: each.data["perplexity"])


def docstring(path):
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_the_file_holds_the_candidates_code_under_a_short_docstring(here, searched, tmp_path):
    outcome = best(searched)
    done = here("export-algorithm", f"{searched.path}:best", "--out", "found.py", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["slot"], said["candidate"], said["notes"]) == (outcome.slot, outcome.candidate, "found.md")
    text = (tmp_path / "found.py").read_text(encoding="utf-8")
    assert len(text.encode()) == said["bytes"]
    assert text.endswith(searched.source(outcome.candidate))
    told = docstring(tmp_path / "found.py")
    assert len(told.splitlines()) < 10
    assert "autoprune.kit" not in told
    for part in (outcome.candidate, f"in the run {searched.name}", "at sparsity 0.5, report split", "best baseline: "):
        assert part in " ".join(told.split())
    assert told.endswith("Lineage and confirmation: found.md")


def test_the_notes_hold_thought_settings_confirmation_and_use(here, searched, tmp_path):
    outcome = best(searched)
    done = here("export-algorithm", f"{searched.path}:best", "--out", "found.py")
    assert done.stdout.endswith("lineage and confirmation: found.md\n")
    assert done.stdout.count("\n") == 1
    notes = (tmp_path / "found.md").read_text(encoding="utf-8")
    headings = re.findall("^## (.*)", notes, re.MULTILINE)
    assert [name for name in headings if name != "Lineage"] == ["Thought", "Search", "Confirmation", "Use"]
    for part in (outcome.candidate, "- **why**: ", "- **sparsity**: 0.5\n", "### Candidates against baselines"):
        assert part in notes
    for name in ("magnitude+uniform", "wanda+sdsa"):
        verdict = rf"\| {outcome.slot} {outcome.candidate[:8]} \| {re.escape(name)} .*(better|worse|shown) \|"
        assert re.search(verdict, notes)
    assert "autoprune prune --model llama --algorithm found.py --sparsity 0.5" in notes
    assert str(searched.path.parent) not in notes + (tmp_path / "found.py").read_text(encoding="utf-8")


def test_slot_hash_and_best_name_the_same(here, searched, tmp_path):
    outcome = best(searched)
    texts = set()
    for wanted in ("best", outcome.slot, outcome.candidate[:8]):
        assert here("export-algorithm", f"{searched.path}:{wanted}", "--out", "f.py", "--force").returncode == 0
        texts.add((tmp_path / "f.py").read_text(encoding="utf-8"))
    assert len(texts) == 1


def test_prune_and_compare_take_the_file_and_measure_what_the_candidate_measured(here, searched, tiny_model, tmp_path):
    here("export-algorithm", f"{searched.path}:best", "--out", "found.py")
    small = ["--model", str(tiny_model), "--seqlen", "64", "--calibration-samples", "4", "--windows", "4"]
    words = [*small, "--sandbox", "local", "--device", "cpu", "--json", "--sparsity", "0.5"]
    asked = ["--algorithms", f"found.py,{searched.path}:best", "--allocations", "sdsa", "--dtype", "float32"]
    rows = json.loads(here("compare", *words, *asked).stdout)
    assert rows[1]["perplexity"] == rows[2]["perplexity"]
    archive = Archive(searched.archive_file)
    measured = {row.perplexity for row in archive.measurements("report") if row.subject == best(searched).candidate}
    archive.close()
    assert any(rows[1]["perplexity"] == pytest.approx(each, rel=1e-6) for each in measured)
    done = here("prune", *words, "--algorithm", "found.py", "--out", "pruned")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sparsity"] == pytest.approx(0.5, abs=1e-4)


def test_a_self_contained_file_holds_what_it_uses_of_the_kit(here, tmp_path):
    run = RunDirectory.create(tmp_path / "run", load_config(None, []))
    use = "kit.row_mask(layer.weight.abs(), 7).float()"
    source = f"from autoprune import kit\n\n\ndef score(layer):\n    return {use}\n"
    archive = Archive(run.archive_file)
    archive.add_proposal(Proposal("g1.c1", 0, 1, "explore", "llm", [], {"idea": "a mask"}, run.save_source(source)))
    archive.close()
    words = ("export-algorithm", f"{run.path}:g1.c1", "--out")
    assert here(*words, "with.py").returncode == 0
    assert here(*words, "own.py", "--self-contained").returncode == 0
    with_kit, own = (tmp_path / name for name in ("with.py", "own.py"))
    assert "Imports autoprune.kit" in docstring(with_kit)
    assert "Imports autoprune.kit" not in docstring(own)
    assert not {"autoprune"} & {node.module for node in ast.walk(ast.parse(own.read_text())) if hasattr(node, "module")}
    layer = SimpleNamespace(weight=torch.randn(3, 8, generator=torch.Generator().manual_seed(0)))
    scores = []
    for path in (with_kit, own):
        names = {}
        exec(path.read_text(encoding="utf-8"), names)
        scores.append(names["score"](layer))
    assert torch.equal(*scores)


@pytest.mark.parametrize("name", ["mine.py", "mine.md"])
def test_a_file_is_not_written_over_without_force(here, searched, tmp_path, name):
    (tmp_path / name).write_text("mine\n")
    done = here("export-algorithm", f"{searched.path}:best", "--out", "mine.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{name} already exists" in done.stderr
    assert [path.read_text() for path in tmp_path.glob("mine.*")] == ["mine\n"]
    assert here("export-algorithm", f"{searched.path}:best", "--out", "mine.py", "--force").returncode == 0
    assert "def score(layer)" in (tmp_path / "mine.py").read_text()
    assert "## Confirmation" in (tmp_path / "mine.md").read_text()


@pytest.mark.parametrize(
    ("wanted", "out", "code", "complaint"),
    [
        ("best", "f.py", 2, "not of the form RUN:CANDIDATE"),
        ("nowhere:best", "f.py", 2, "not a run directory"),
        ("{run}:g9.c9", "f.py", 2, "no candidate 'g9.c9' in this run; there are: g1.c1"),
        ("{run}:best", "f.txt", 2, "must end in .py"),
        ("{run}:best", "nowhere/f.py", 1, "cannot write nowhere/f.py: No such file"),
    ],
)
def test_what_cannot_be_done_is_one_line(here, searched, wanted, out, code, complaint):
    done = here("export-algorithm", wanted.format(run=searched.path), "--out", out)
    assert (done.returncode, done.stdout) == (code, "")
    assert complaint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_candidate_of_a_run_of_version_1_is_exported(here, old_run, tmp_path):
    done = here("export-algorithm", f"{old_run}:best", "--out", "old.py")
    assert done.returncode == 0, done.stderr
    assert "aefff679eebcb9d0" in docstring(tmp_path / "old.py")
    assert "wanda+sdsa" in (tmp_path / "old.md").read_text(encoding="utf-8")


def test_a_setting_of_the_run_that_is_no_more_is_named_beside_the_commands(here, old_run, tmp_path):
    settings = Path(old_run) / "config.yaml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("kappa: null", "kappa: 0.25"), encoding="utf-8")
    done = here("export-algorithm", f"{old_run}:best", "--out", "old.py")
    assert done.returncode == 0, done.stderr
    notes = (tmp_path / "old.md").read_text(encoding="utf-8")
    assert "# The run had another setting: allocation.kappa=0.25 is no setting any more" in notes
