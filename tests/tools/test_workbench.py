"""Tuned baselines, a tuned allocation for the candidates, N:M patterns, and where candidates are measured: on the
workbench of the tiny model."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from autoprune.errors import UsageError
from autoprune.evaluation.tuning import Tuned
from autoprune.executors.here import Here
from autoprune.pruning.allocation import families
from autoprune.pruning.allocation.families import Setting
from autoprune.runs import directory
from autoprune.tools import workbench as module
from autoprune.tools.rows import parameters, shown_name

WANDA = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"
BY_MODULE = (
    f'UNIT = "module"\n{WANDA}\n\ndef allocate(units, sparsity):\n    return [0.9 * (u.role == "v") for u in units]\n'
)
WITH_ALLOCATION = f"{WANDA}\n\ndef allocate(units, sparsity):\n    return [1.0 - sparsity for unit in units]\n"
TUNE = {"tune_baselines": True, "baseline_scores": ["wanda"]}


@pytest.fixture
def tunings(monkeypatch):
    """Every tuning that is made from here on: (score, family, sparsity)."""
    made = []
    real = module.tune

    def tune(bench, score, family, sparsity, unit, constants):
        made.append((score, family, sparsity))
        return real(bench, score, family, sparsity, unit, constants)

    monkeypatch.setattr(module, "tune", tune)
    return made


def forbid(workbench):
    """From here on nothing is scored and nothing is passed through the model."""
    workbench.bench.measure = workbench.bench.losses = None


def test_a_tuned_baseline_says_so_with_its_parameters_and_is_no_worse_on_the_search_split(new_workbench, tunings):
    workbench = new_workbench(**TUNE)
    row = workbench.baseline("wanda", "dlp", "search")
    tuned = Tuned(**row.data["tuning"])
    assert (shown_name(row), parameters(row)) == ("wanda+dlp tuned", str(tuned.setting))
    assert "width" in parameters(row)
    plain = new_workbench("plain", cache=False).baseline("wanda", "dlp", "search")
    assert row.perplexity <= plain.perplexity
    assert (shown_name(plain), parameters(plain)) == ("wanda+dlp", "")
    assert row.data["zeros"] == plain.data["zeros"]
    assert tunings == [("wanda", "dlp", 0.5)]


def test_nothing_is_tuned_where_there_is_nothing_to_tune_or_nobody_asked(new_workbench, tunings):
    assert shown_name(new_workbench(**TUNE).baseline("wanda", "uniform", "search")) == "wanda+uniform"
    assert shown_name(new_workbench("other").baseline("wanda", "dlp", "search")) == "wanda+dlp"
    assert tunings == []


def test_a_tuning_is_made_once_by_a_run_and_once_by_all_runs_with_the_cache(new_workbench, tunings):
    first, second = new_workbench("first", **TUNE), new_workbench("second", **TUNE)
    rows = [first.baseline("wanda", "dlp", split) for split in ("search", "report")]
    forbid(first)
    forbid(second)
    again = [each.baseline("wanda", "dlp", split) for each in (first, second) for split in ("search", "report")]
    assert [row.data["tuning"] for row in again] == [rows[0].data["tuning"]] * 4
    assert [row.perplexity for row in again] == [row.perplexity for row in rows] * 2
    assert tunings == [("wanda", "dlp", 0.5)]


def test_another_calibration_sample_has_the_parameters_of_the_first_and_another_sparsity_its_own(
    new_workbench, tunings
):
    workbench = new_workbench(**TUNE)
    for place in (workbench, workbench.calibrated(1), workbench.at(0.7), workbench.calibrated(1).at(0.7)):
        assert place.baseline("wanda", "atp", "report").data["tuning"]["family"] == "atp"
    assert tunings == [("wanda", "atp", 0.5), ("wanda", "atp", 0.7)]
    same = workbench.calibrated(1).baseline("wanda", "atp", "report")
    assert (
        same.data["tuning"]["parameters"] == workbench.baseline("wanda", "atp", "search").data["tuning"]["parameters"]
    )
    assert same.perplexity != workbench.baseline("wanda", "atp", "report").perplexity


def test_elsewhere_the_parameters_of_the_search_are_kept_if_they_are_not_to_be_tuned_anew(
    new_workbench, tiny_model, tunings
):
    workbench = new_workbench(**TUNE, tune_elsewhere=False)
    there = workbench.on(str(tiny_model), print)
    here = workbench.baseline("wanda", "atp", "search")
    other = [
        place.baseline("wanda", "atp", "report")
        for place in (workbench.at(0.7), workbench.calibrated(1).at(0.7), there.at(0.7), there.calibrated(1).at(0.7))
    ]
    assert {shown_name(row) for row in other} == {"wanda+atp tuned in the search"}
    assert {parameters(row) for row in other} == {parameters(here)}
    assert [row.sparsity for row in other] == [pytest.approx(0.7, abs=1e-4)] * 4
    assert workbench.at(0.5).baseline("wanda", "atp", "report").subject == here.subject
    assert tunings == [("wanda", "atp", 0.5)]
    assert {row.subject for row in workbench.archive.measurements("search")} == {"baseline:wanda+uniform", here.subject}


def test_a_score_far_behind_keeps_the_default_and_says_that_it_is_untuned(new_workbench, tunings, monkeypatch):
    monkeypatch.setattr(module, "FAR_BEHIND", 1.0)
    workbench = new_workbench(tune_baselines=True)
    perplexity = {score: workbench.baseline(score, "uniform", "search").perplexity for score in ("magnitude", "wanda")}
    best, worst = sorted(perplexity, key=perplexity.__getitem__)
    row = workbench.baseline(worst, "dlp", "search")
    assert (shown_name(row), parameters(row)) == (f"{worst}+dlp", "untuned")
    assert shown_name(workbench.baseline(best, "dlp", "search")) == f"{best}+dlp tuned"
    assert [score for score, _, _ in tunings] == [best]


def test_candidates_and_seeds_get_sdsa_as_it_was_tuned_with_wanda(new_workbench, tunings, monkeypatch):
    monkeypatch.setattr(families, "STRENGTHS", families.STRENGTHS[-2:])
    workbench = new_workbench(allocation={"tune": True})
    name, other = (workbench.run.save_source(source) for source in (WANDA, WITH_ALLOCATION))
    measured = workbench.candidate(name, "search")
    seed = workbench.seed("wanda", "search")
    assert measured.data["window_losses"] == seed.data["window_losses"]
    assert measured.data["layers"] == seed.data["layers"]
    magnitude = workbench.seed("magnitude", "search")
    assert shown_name(magnitude) == "magnitude+sdsa tuned with wanda"
    assert [layer["sparsity"] for layer in magnitude.data["layers"]] == [
        layer["sparsity"] for layer in seed.data["layers"]
    ]
    assert tunings == [("wanda", "sdsa", 0.5)]
    own = workbench.candidate(other, "search")
    uniform = new_workbench("uniform").baseline("wanda", "uniform", "search")
    assert own.data["window_losses"] == uniform.data["window_losses"]


def test_what_candidates_are_recorded_under_depends_on_the_tuned_parameters(new_workbench):
    tuned, plain = new_workbench("tuned", allocation={"tune": True}), new_workbench("plain")
    found = []
    for width in (0.1, 0.2):
        tuned.own_setting = lambda width=width: Setting("dlp", "block", {"width": width})
        assert tuned.settings("dense", "search") == plain.settings("dense", "search")
        found.append(tuned.settings("abc", "search"))
    assert len({*found, plain.settings("abc", "search")}) == 3


@pytest.mark.parametrize(("pattern", "share"), [("2:4", 0.5), ("1:4", 0.75)])
def test_a_pattern_is_kept_by_baselines_and_candidates_alike(new_workbench, pattern, share):
    workbench = new_workbench().under(pattern)
    assert workbench.config.sparsity == share
    names = [workbench.run.save_source(source) for source in (WANDA, WITH_ALLOCATION)]
    rows = [workbench.patterned("wanda", "report"), *(workbench.candidate(name, "report") for name in names)]
    assert [row.data["window_losses"] for row in rows] == [rows[0].data["window_losses"]] * 3
    assert {row.data["zeros"] for row in rows} == {round(share * workbench.bench.target.weights)}
    assert {layer["sparsity"] for layer in rows[1].data["layers"]} == {share}


def test_a_pattern_and_its_sparsity_are_measured_apart(new_workbench):
    workbench = new_workbench()
    name = workbench.run.save_source(WANDA)
    free, bound = (each.candidate(name, "report") for each in (workbench, workbench.under("2:4")))
    assert free.sparsity == bound.sparsity == 0.5
    assert free.data["window_losses"] != bound.data["window_losses"]
    other = new_workbench("other")
    other.run.save_source(WANDA)
    forbid(other)
    assert other.under("2:4").candidate(name, "report").perplexity == bound.perplexity
    assert other.candidate(name, "report").perplexity == free.perplexity


def test_a_pattern_that_does_not_divide_the_inputs_is_refused(new_workbench):
    workbench = new_workbench()
    for pattern, complaint in (("3:5", "3:5 does not divide the 32 inputs"), ("none", "no pattern")):
        with pytest.raises(UsageError, match=complaint):
            workbench.under(pattern)


def test_a_candidate_may_give_every_matrix_a_density_of_its_own(new_workbench):
    workbench = new_workbench()
    row = workbench.candidate(workbench.run.save_source(BY_MODULE), "search")
    sparsity = {layer["name"]: layer["sparsity"] for layer in row.data["layers"]}
    values = [share for name, share in sparsity.items() if "v_proj" in name]
    others = [share for name, share in sparsity.items() if "v_proj" not in name]
    assert max(values) < min(others)
    assert row.data["zeros"] == round(0.5 * row.data["weights"])


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
    workbench = new_workbench(cache=False)
    workbench.executor = Elsewhere(2)
    workbench.executor.here = Here(workbench.config.allocation, workbench.bench, workbench.sandbox)
    return workbench


def test_two_siblings_with_the_same_source_are_measured_once(elsewhere):
    name = elsewhere.run.save_source(WANDA)

    def ask(place):
        elsewhere.executor.asked.wait()
        return elsewhere.candidate(name, "search")

    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(ask, range(2))
    assert one == other
    assert [job.name for job in elsewhere.executor.jobs] == [name]


def test_waiting_for_an_executor_keeps_nobody_from_this_process_own_work(elsewhere):
    name, done = elsewhere.run.save_source(WANDA), threading.Event()

    def wait(job):
        assert done.wait(60)
        return elsewhere.executor.here.measure(job)

    elsewhere.executor.measure = wait
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
    second.executor = Elsewhere(1)
    second.executor.here = Here(second.config.allocation, second.bench, second.sandbox)
    assert not second.candidate(name, "search").data.get("cached")
    assert len(second.executor.jobs) == 1


def test_a_source_does_not_get_the_measurement_of_another_of_the_same_name(new_workbench, monkeypatch):
    """A name is the beginning of a hash: here one digit of it, so that two sources share one, as made for it."""
    monkeypatch.setattr(directory, "NAME_DIGITS", 1)
    others = (f"{WANDA}# {number}\n" for number in range(1000))
    other = next(each for each in others if directory.content_hash(each) == directory.content_hash(WANDA))
    first, second, third = new_workbench("first"), new_workbench("second"), new_workbench("third")
    (name,) = {first.run.save_source(WANDA), second.run.save_source(other), third.run.save_source(WANDA)}
    cached = [bool(each.candidate(name, "search").data.get("cached")) for each in (first, second, third)]
    assert cached == [False, False, True]


def test_another_calibration_sample_is_measured_in_this_process(elsewhere):
    name = elsewhere.run.save_source(WANDA)
    elsewhere.calibrated(1).candidate(name, "report")
    assert elsewhere.executor.jobs == []
    elsewhere.at(0.6).candidate(name, "report")
    assert [job.sparsity for job in elsewhere.executor.jobs] == [0.6]


def test_a_refined_baseline_says_so_in_its_name_and_is_measured_apart_and_once(new_workbench):
    first, second = new_workbench("first"), new_workbench("second")
    rows = [first.baseline("wanda", "sdsa", "search", refinement) for refinement in ("none", "swaps")]
    assert [shown_name(row) for row in rows] == ["wanda+sdsa", "wanda+swaps+sdsa"]
    assert rows[0].data["zeros"] == rows[1].data["zeros"]
    assert rows[0].data["window_losses"] != rows[1].data["window_losses"]
    under = first.under("2:4").patterned("wanda", "report", "swaps")
    assert (shown_name(under), under.sparsity) == ("wanda+swaps", 0.5)
    forbid(second)
    assert second.baseline("wanda", "sdsa", "search", "swaps").perplexity == rows[1].perplexity


def test_a_refined_allocation_is_tuned_from_where_it_was_tuned_without(new_workbench, tunings):
    workbench = new_workbench(**TUNE)
    row = workbench.baseline("wanda", "dlp", "search", "swaps")
    assert (shown_name(row), "width" in parameters(row)) == ("wanda+swaps+dlp tuned", True)
    assert tunings == [("wanda", "dlp", 0.5)]
    assert row.perplexity <= new_workbench("plain").baseline("wanda", "dlp", "search", "swaps").perplexity
    report = workbench.baseline("wanda", "dlp", "report", "swaps")
    other = workbench.calibrated(1).baseline("wanda", "dlp", "report", "swaps")
    assert parameters(report) == parameters(other) == parameters(row)
    assert report.perplexity != other.perplexity
    assert tunings == [("wanda", "dlp", 0.5)]
