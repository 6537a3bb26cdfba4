"""Algorithms by name, by file and by run: candidates score in the sandbox, published scores here, both alike."""

import pytest
import torch

from autoprune.candidates.contract import MAX_SOURCE_BYTES
from autoprune.candidates.screen import screen
from autoprune.config import Config
from autoprune.config_sections import SandboxSettings
from autoprune.errors import CandidateFailure, UsageError
from autoprune.measuring.algorithms import open_algorithms
from autoprune.report.algorithm_file import documented
from autoprune.runs.archive import Archive, Proposal
from autoprune.runs.directory import RunDirectory

SETTINGS = SandboxSettings(engine="local", seconds=60, memory_mb=1024)
WANDA = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"


def opened(*names: str):
    return open_algorithms(names, SETTINGS)


def test_a_file_scores_as_the_published_formula_that_it_holds(bench, tmp_path):
    (tmp_path / "mine.py").write_text(WANDA)
    told = {layer.name: 0.5 for layer in bench.layers}
    with opened("wanda", str(tmp_path / "mine.py")) as algorithms:
        assert [algorithm.name for algorithm in algorithms] == ["wanda", "mine"]
        found = []
        for algorithm in algorithms:
            with algorithm.open(bench.readable(algorithm.needs)) as scoring:
                assert scoring.group == "row"
                found.append(list(scoring.scores(told)))
    for (name, published), (other, candidate) in zip(*found, strict=True):
        assert name == other
        assert torch.equal(published, candidate)


def test_a_file_that_holds_its_whole_history_in_its_docstring_is_read(tmp_path):
    source = documented(WANDA, "A pruning algorithm\n\nLineage\n" + "    g1.c1: │ 12.5 │\n" * 2000, MAX_SOURCE_BYTES)
    (tmp_path / "old.py").write_text(source, encoding="utf-8")
    with opened(str(tmp_path / "old.py")) as (algorithm,):
        assert (algorithm.name, algorithm.source, algorithm.needs) == ("old", source, ())
    assert not [finding for finding in screen(source) if finding.severity == "error"]


def test_a_file_never_runs_in_this_process(bench, tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "trap.py").write_text(f"open({str(marker)!r}, 'w')\n{WANDA}")
    with opened(str(tmp_path / "trap.py")) as (trap,), pytest.raises(CandidateFailure), trap.open(bench.readable()):
        pass
    assert not marker.exists()


def test_a_published_score_may_be_compared_otherwise_than_its_paper_does(bench):
    told = {layer.name: 0.5 for layer in bench.layers}
    with opened("wanda", "wanda@matrix") as algorithms:
        opened_ones = [algorithm.open(bench.readable()) for algorithm in algorithms]
        with opened_ones[0] as row, opened_ones[1] as matrix:
            assert (row.group, matrix.group) == ("row", "matrix")
            assert torch.equal(next(row.scores(told))[1], next(matrix.scores(told))[1])
    with pytest.raises(UsageError, match="'column'"), opened("wanda@column"):
        pass


def test_what_a_file_needs_is_what_it_names(tmp_path):
    (tmp_path / "by_gradient.py").write_text("def score(layer):\n    return layer.gradient * layer.weight.abs()\n")
    with opened("sparsegpt", "wanda", str(tmp_path / "by_gradient.py")) as algorithms:
        assert [algorithm.needs for algorithm in algorithms] == [("hessian",), (), ("gradient",)]


def test_a_candidate_of_a_run_is_found_by_slot_or_hash(tmp_path):
    run = RunDirectory.create(tmp_path / "run", Config())
    name = run.save_source(WANDA)
    archive = Archive(run.archive_file)
    archive.add_proposal(Proposal("g1.c2", 0, 1, "explore", "symbolic", [], {}, name))
    archive.close()
    for wanted in ("g1.c2", name[:6]):
        with opened(f"{run.path}:{wanted}") as (algorithm,):
            assert algorithm.source == WANDA
            assert algorithm.name == f"run:{wanted}"
    with pytest.raises(UsageError, match=r"no candidate 'g9.c9' .* there are: g1.c2"), opened(f"{run.path}:g9.c9"):
        pass


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("best", "unknown algorithm 'best'"),
        ("none.py", "cannot read the algorithm none.py"),
        ("nowhere:g1.c1", "not a run directory"),
    ],
)
def test_what_cannot_be_found_is_one_line_before_a_sandbox_is_started(name, complaint, logged):
    with pytest.raises(UsageError, match=complaint) as caught, open_algorithms([name], SETTINGS):
        pass
    assert "\n" not in str(caught.value)
    assert logged == []


def test_a_file_that_is_no_text_or_too_large_is_named(tmp_path):
    (tmp_path / "latin.py").write_bytes("# ü".encode("latin-1"))
    (tmp_path / "large.py").write_bytes(b"#" * 100_000)
    for name, complaint in (("latin.py", "not UTF-8"), ("large.py", "100000 bytes")):
        with pytest.raises(UsageError, match=complaint), opened(str(tmp_path / name)):
            pass
