"""N:M patterns, and where and how often candidates are measured: on the workbench of the tiny model."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from autoprune.errors import CandidateFailure, UsageError
from autoprune.executors.in_process import InProcessExecutor
from autoprune.runs import directory

WANDA = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"
BY_MODULE = (
    f'UNIT = "module"\n{WANDA}\n\ndef allocate(units, sparsity):\n    return [0.9 * (u.role == "v") for u in units]\n'
)
WITH_ALLOCATION = f"{WANDA}\n\ndef allocate(units, sparsity):\n    return [1.0 - sparsity for unit in units]\n"


def forbid(workbench):
    """From here on nothing is scored and nothing is passed through the model."""
    workbench.bench.readable = workbench.bench.losses = None


@pytest.mark.parametrize(("pattern", "share"), [("2:4", 0.5), ("1:4", 0.75)])
def test_a_pattern_is_kept_by_baselines_and_candidates_alike(new_workbench, pattern, share):
    workbench = new_workbench().with_pattern(pattern)
    assert workbench.sparsity == share
    names = [workbench.run.save_source(source) for source in (WANDA, WITH_ALLOCATION)]
    rows = [workbench.patterned("wanda", "report"), *(workbench.candidate(name, "report") for name in names)]
    assert [row.window_losses for row in rows] == [rows[0].window_losses] * 3
    assert {row.zeros for row in rows} == {round(share * workbench.bench.target.weights)}
    assert {layer.sparsity for layer in rows[1].layers} == {share}


def test_a_pattern_and_its_sparsity_are_measured_apart(new_workbench):
    workbench = new_workbench()
    name = workbench.run.save_source(WANDA)
    free, bound = (each.candidate(name, "report") for each in (workbench, workbench.with_pattern("2:4")))
    assert free.sparsity == bound.sparsity == 0.5
    assert free.window_losses != bound.window_losses
    other = new_workbench("other")
    other.run.save_source(WANDA)
    forbid(other)
    assert other.with_pattern("2:4").candidate(name, "report").perplexity == bound.perplexity
    assert other.candidate(name, "report").perplexity == free.perplexity


def test_a_pattern_that_does_not_divide_the_inputs_is_refused(new_workbench):
    workbench = new_workbench()
    for pattern, complaint in (("3:5", "3:5 does not divide the 32 inputs"), ("none", "no pattern")):
        with pytest.raises(UsageError, match=complaint):
            workbench.with_pattern(pattern)


def test_a_candidate_may_give_every_matrix_a_density_of_its_own(new_workbench):
    workbench = new_workbench()
    row = workbench.candidate(workbench.run.save_source(BY_MODULE), "search")
    sparsity = {layer.name: layer.sparsity for layer in row.layers}
    values = [share for name, share in sparsity.items() if "v_proj" in name]
    others = [share for name, share in sparsity.items() if "v_proj" not in name]
    assert max(values) < min(others)
    assert row.zeros == round(0.5 * row.weights)


class Elsewhere:
    """An executor that notes its jobs, and does each when everybody who will ask has asked."""

    def __init__(self, askers):
        self.conditions = {"threads": 7}
        self.jobs = []
        self.asked = threading.Barrier(askers, timeout=60)
        self.here = None

    def measure(self, job):
        self.jobs.append(job)
        return self.here.measure(job)


@pytest.fixture
def elsewhere(new_workbench):
    """A workbench that measures candidates in such an executor."""
    workbench = new_workbench(advanced={"cache": False})
    workbench.measurer.executor = Elsewhere(2)
    workbench.measurer.executor.here = InProcessExecutor(workbench.bench, workbench.measurer.sandbox)
    return workbench


def test_two_siblings_with_the_same_source_are_measured_once(elsewhere):
    name = elsewhere.run.save_source(WANDA)

    def ask(place):
        elsewhere.measurer.executor.asked.wait()
        return elsewhere.candidate(name, "search")

    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(ask, range(2))
    assert one == other
    assert [job.name for job in elsewhere.measurer.executor.jobs] == [name]


def test_waiting_for_an_executor_keeps_nobody_from_this_process_own_work(elsewhere):
    name, done = elsewhere.run.save_source(WANDA), threading.Event()

    def wait(job):
        assert done.wait(60)
        return elsewhere.measurer.executor.here.measure(job)

    elsewhere.measurer.executor.measure = wait
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(elsewhere.candidate, name, "search")
        assert elsewhere.dense("search").perplexity > 0
        assert not asked.done()
        done.set()
        assert asked.result().subject == name


def test_what_another_number_of_threads_measured_is_another_entry_of_the_cache(new_workbench):
    first, second = new_workbench("first"), new_workbench("second")
    name = first.run.save_source(WANDA)
    second.run.save_source(WANDA)
    first.candidate(name, "search")
    second.measurer.executor = Elsewhere(1)
    second.measurer.executor.here = InProcessExecutor(second.bench, second.measurer.sandbox)
    assert not second.candidate(name, "search").cached
    assert len(second.measurer.executor.jobs) == 1


def test_a_source_does_not_get_the_measurement_of_another_of_the_same_name(new_workbench, monkeypatch):
    """A name is the beginning of a hash: here one digit of it, so that two sources share one, as made for it."""
    monkeypatch.setattr(directory, "NAME_DIGITS", 1)
    others = (f"{WANDA}# {number}\n" for number in range(1000))
    other = next(each for each in others if directory.content_hash(each) == directory.content_hash(WANDA))
    first, second, third = new_workbench("first"), new_workbench("second"), new_workbench("third")
    (name,) = {
        first.run.save_source(WANDA),
        second.run.save_source(other),
        third.run.save_source(WANDA),
    }
    cached = [each.candidate(name, "search").cached for each in (first, second, third)]
    assert cached == [False, False, True]


def test_another_calibration_sample_is_measured_in_this_process(elsewhere):
    name = elsewhere.run.save_source(WANDA)
    elsewhere.calibrated(1).candidate(name, "report")
    assert elsewhere.measurer.executor.jobs == []
    elsewhere.with_sparsity(0.6).candidate(name, "report")
    assert [job.recipe.sparsity for job in elsewhere.measurer.executor.jobs] == [0.6]


def test_a_refined_baseline_says_so_in_its_name_and_is_measured_apart_and_once(new_workbench):
    first, second = new_workbench("first"), new_workbench("second")
    rows = [first.baseline("wanda", "sdsa", "search", refinement) for refinement in ("none", "swaps")]
    assert [row.name for row in rows] == ["wanda+sdsa", "wanda+swaps+sdsa"]
    assert rows[0].zeros == rows[1].zeros
    assert rows[0].window_losses != rows[1].window_losses
    under = first.with_pattern("2:4").patterned("wanda", "report", "swaps")
    assert (under.name, under.sparsity) == ("wanda+swaps", 0.5)
    forbid(second)
    assert second.baseline("wanda", "sdsa", "search", "swaps").perplexity == rows[1].perplexity


def test_a_candidate_with_the_kit_is_measured_unless_the_kit_is_off(new_workbench):
    source = "from autoprune.kit import matrix_mask\ndef score(layer):\n    return layer.weight.abs()\n"
    for kit in ("on", "off"):
        workbench = new_workbench(kit, agents={"kit": kit}, advanced={"cache": False})
        name = workbench.run.save_source(source)
        if kit == "on":
            assert workbench.candidate(name, "search").perplexity > 1
            continue
        with pytest.raises(CandidateFailure, match="may import torch and math") as caught:
            workbench.candidate(name, "search")
        assert (caught.value.stage, caught.value.reason) == ("screen", "forbidden")
