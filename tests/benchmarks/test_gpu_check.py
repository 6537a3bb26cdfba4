"""`scripts/gpu-check`: on the CPU as a command, and its parts on a simulated GPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.agreement import Agreement, Check
from benchmarks.gpu.check import main, markdown
from benchmarks.gpu.clock import OUT_OF_TIME, Clock, OutOfTime
from benchmarks.gpu.costs import BY_BLOCK, METHODS, OUT_OF_MEMORY, WHOLE, Meter, _make, costs
from benchmarks.gpu.models import TINY
from benchmarks.gpu.search import search_checks
from tests.simulated_gpu import simulated_gpu

SCRIPT = Path(__file__).parents[2] / "scripts" / "gpu-check"
CUDA = torch.device("cuda")
PARTS = {"perplexity", "statistics", "scores", "masks", "swaps", "updates", "walk", "search"}


@pytest.mark.long
def test_the_command_compares_and_measures_everything(tmp_path):
    words = [sys.executable, str(SCRIPT), "--device", "cpu", "--scale", "tiny", "--out", str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    report = json.loads((tmp_path / "gpu-check.json").read_text())
    assert report["agree"]
    assert {check["part"] for check in report["checks"]} == PARTS
    assert sum(check["part"] == "search" for check in report["checks"]) == 5
    assert {cost["phase"] for cost in report["costs"]} >= set(METHODS)
    assert all(cost["seconds"] is not None and not cost["note"] for cost in report["costs"])
    assert "All parts agree" in (tmp_path / "gpu-check.md").read_text()


def test_without_time_everything_is_skipped_and_the_check_fails(tmp_path, capsys):
    assert main(["--device", "cpu", "--scale", "tiny", "--minutes", "0", "--out", str(tmp_path)]) == 1
    report = json.loads((tmp_path / "gpu-check.json").read_text())
    assert {row["note"] for row in report["checks"]} == {OUT_OF_TIME}
    assert {row["note"] for row in report["costs"]} <= {OUT_OF_TIME, "skipped: no model"}
    assert f"gpu-check: perplexity float32: failed: {OUT_OF_TIME}" in capsys.readouterr().err


def test_a_missing_device_is_one_line(tmp_path, capsys):
    assert main(["--device", "cuda:7", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("gpu-check: device 'cuda:7' cannot be used")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_gpu_agrees_with_the_cpu():
    with simulated_gpu():
        # Without ALPS, whose iterations take as long as all the rest.
        checks = list(Agreement(TINY, CUDA).checks(Clock(600), skip=lambda name: "alps" in name))
    assert {check.part for check in checks} == PARTS - {"search"}
    assert "blocks in host memory" in {check.name for check in checks}
    assert not [check for check in checks if not check.holds]


@pytest.mark.long
def test_a_search_on_a_gpu_has_the_verdicts_of_one_on_the_cpu():
    with simulated_gpu():
        checks = list(search_checks(TINY, "cuda", Clock(600)))
    assert len(checks) == 5
    assert not [check for check in checks if not check.holds]


@pytest.mark.long
def test_a_search_ends_when_the_time_is_over_and_says_so():
    clock = Clock(3)  # less than a search needs before its first candidate
    checks = list(search_checks(TINY, "cpu", clock))
    assert clock.over
    assert [(check.part, check.difference, check.note) for check in checks] == [("search", None, OUT_OF_TIME)]


def test_a_model_that_is_made_after_the_time_is_over_is_given_up():
    made = []
    with pytest.raises(OutOfTime):
        _make(torch.device("cpu"), TINY, WHOLE, Clock(0), made, lambda block: None)
    assert made == []


@pytest.mark.long
def test_costs_are_measured_in_both_places():
    with simulated_gpu():
        measured = list(costs(CUDA, TINY, Clock(600)))
    assert {cost.place for cost in measured} == {WHOLE, BY_BLOCK}
    assert all(cost.seconds is not None and cost.peak_bytes and not cost.note for cost in measured)


def test_out_of_memory_is_a_row():
    def work(begin):
        raise torch.OutOfMemoryError("CUDA out of memory")

    cost = Meter(torch.device("cpu"), WHOLE, 2, Clock(600)).measured("SparseGPT", work)
    assert (cost.note, cost.seconds, cost.blocks) == (OUT_OF_MEMORY, None, 0)


def test_a_difference_is_marked_in_the_table():
    about = dict.fromkeys(("device_name", "date", "torch", "transformers", "scale"), "x")
    check = Check("scores", "wanda", 0.5, 1e-3)
    row = {
        "part": check.part,
        "name": check.name,
        "difference": 0.5,
        "tolerance": 1e-3,
        "note": "",
        "holds": check.holds,
    }
    text = markdown({"about": about, "agree": False, "seconds": 1.0, "checks": [row], "costs": []})
    assert "| scores | wanda | 5.0e-01 | 1e-03 | **no** |" in text
    assert "Some parts do not agree" in text
