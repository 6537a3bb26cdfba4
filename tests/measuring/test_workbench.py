"""Tuned baselines, a tuned allocation for the candidates, N:M patterns, and where candidates are measured: on the
workbench of the tiny model."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from autoprune.errors import UsageError
from autoprune.evaluation.measurement_spec import MeasurementSpec
from autoprune.evaluation.tuning import Tuned, parameters_of
from autoprune.executors.in_process import InProcessExecutor
from autoprune.measuring import tuner as module
from autoprune.measuring.measurer import Measurer
from autoprune.measuring.tuner import Tuner
from autoprune.pruning.allocation import sdsa_settings
from autoprune.pruning.allocation.spec import Setting
from autoprune.runs import directory

WANDA = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"
BY_MODULE = (
    f'UNIT = "module"\n{WANDA}\n\ndef allocate(units, sparsity):\n    return [0.9 * (u.role == "v") for u in units]\n'
)
WITH_ALLOCATION = f"{WANDA}\n\ndef allocate(units, sparsity):\n    return [1.0 - sparsity for unit in units]\n"
TUNE = {"baselines": {"tune": True, "scores": ["wanda"]}}


@pytest.fixture
def tunings(monkeypatch):
    """Every tuning that is made from here on: (score, family, sparsity)."""
    made = []
    real = module.tune

    def tune(bench, score, default, recipe, subject):
        made.append((score, default.family, recipe.sparsity))
        return real(bench, score, default, recipe, subject)

    monkeypatch.setattr(module, "tune", tune)
    return made


def forbid(workbench):
    """From here on nothing is scored and nothing is passed through the model."""
    workbench.bench.readable = workbench.bench.losses = None


def test_a_tuned_baseline_says_so_with_its_parameters_and_is_no_worse_on_the_search_split(new_workbench, tunings):
    workbench = new_workbench(**TUNE)
    row = workbench.baseline("wanda", "dlp", "search")
    tuned = Tuned.of(row)
    assert (row.name, parameters_of(row)) == ("wanda+dlp tuned", str(tuned.setting))
    assert "width" in parameters_of(row)
    plain = new_workbench("plain", advanced={"cache": False}).baseline("wanda", "dlp", "search")
    assert row.perplexity <= plain.perplexity
    assert (plain.name, parameters_of(plain)) == ("wanda+dlp", "")
    assert row.zeros == plain.zeros
    assert tunings == [("wanda", "dlp", 0.5)]


def test_nothing_is_tuned_where_there_is_nothing_to_tune_or_nobody_asked(new_workbench, tunings):
    assert new_workbench(**TUNE).baseline("wanda", "uniform", "search").name == "wanda+uniform"
    assert new_workbench("other").baseline("wanda", "dlp", "search").name == "wanda+dlp"
    assert tunings == []


def test_a_tuning_is_made_once_by_a_run_and_once_by_all_runs_with_the_cache(new_workbench, tunings):
    first, second = new_workbench("first", **TUNE), new_workbench("second", **TUNE)
    rows = [first.baseline("wanda", "dlp", split) for split in ("search", "report")]
    forbid(first)
    forbid(second)
    again = [each.baseline("wanda", "dlp", split) for each in (first, second) for split in ("search", "report")]
    assert [row.tuning for row in again] == [rows[0].tuning] * 4
    assert [row.perplexity for row in again] == [row.perplexity for row in rows] * 2
    assert tunings == [("wanda", "dlp", 0.5)]


def test_another_calibration_sample_has_the_parameters_of_the_first_and_another_sparsity_its_own(
    new_workbench, tunings
):
    workbench = new_workbench(**TUNE)
    for place in (
        workbench,
        workbench.calibrated(1),
        workbench.with_sparsity(0.7),
        workbench.calibrated(1).with_sparsity(0.7),
    ):
        assert place.baseline("wanda", "atp", "report").tuning["family"] == "atp"
    assert tunings == [("wanda", "atp", 0.5), ("wanda", "atp", 0.7)]
    same = workbench.calibrated(1).baseline("wanda", "atp", "report")
    assert same.tuning["parameters"] == workbench.baseline("wanda", "atp", "search").tuning["parameters"]
    assert same.perplexity != workbench.baseline("wanda", "atp", "report").perplexity


def test_elsewhere_the_parameters_of_the_search_are_kept_if_they_are_not_to_be_tuned_anew(
    new_workbench, tiny_model, tunings
):
    workbench = new_workbench(**TUNE, confirmation={"tune_elsewhere": False})
    there = workbench.with_model(str(tiny_model))
    here = workbench.baseline("wanda", "atp", "search")
    places = (workbench, workbench.calibrated(1), there, there.calibrated(1))
    other = [place.with_sparsity(0.7).baseline("wanda", "atp", "report") for place in places]
    assert {row.name for row in other} == {"wanda+atp tuned in the search"}
    assert {parameters_of(row) for row in other} == {parameters_of(here)}
    assert [row.sparsity for row in other] == [pytest.approx(0.7, abs=1e-4)] * 4
    assert workbench.with_sparsity(0.5).baseline("wanda", "atp", "report").subject == here.subject
    assert tunings == [("wanda", "atp", 0.5)]
    assert {row.subject for row in workbench.archive.measurements("search")} == {
        "baseline:wanda+uniform",
        here.subject,
    }


def test_a_score_far_behind_keeps_the_default_and_says_that_it_is_untuned(new_workbench, tunings, monkeypatch):
    monkeypatch.setattr(module, "FAR_BEHIND", 1.0)
    workbench = new_workbench(baselines={"tune": True})
    perplexity = {score: workbench.baseline(score, "uniform", "search").perplexity for score in ("magnitude", "wanda")}
    best, worst = sorted(perplexity, key=perplexity.__getitem__)
    row = workbench.baseline(worst, "dlp", "search")
    assert (row.name, parameters_of(row)) == (f"{worst}+dlp", "untuned")
    assert workbench.baseline(best, "dlp", "search").name == f"{best}+dlp tuned"
    assert [score for score, _, _ in tunings] == [best]


def test_candidates_and_seeds_get_sdsa_as_it_was_tuned_with_wanda(new_workbench, tunings, monkeypatch):
    monkeypatch.setattr(sdsa_settings, "STRENGTHS", sdsa_settings.STRENGTHS[-2:])
    workbench = new_workbench(allocation={"tune": True})
    name, other = (workbench.run.save_source(source) for source in (WANDA, WITH_ALLOCATION))
    measured = workbench.candidate(name, "search")
    seed = workbench.seed("wanda", "search")
    assert measured.window_losses == seed.window_losses
    assert measured.layers == seed.layers
    magnitude = workbench.seed("magnitude", "search")
    assert magnitude.name == "magnitude+sdsa tuned with wanda"
    assert [layer.sparsity for layer in magnitude.layers] == [layer.sparsity for layer in seed.layers]
    assert tunings == [("wanda", "sdsa", 0.5)]
    own = workbench.candidate(other, "search")
    uniform = new_workbench("uniform").baseline("wanda", "uniform", "search")
    assert own.window_losses == uniform.window_losses


def test_what_candidates_are_recorded_under_depends_on_the_tuned_parameters(new_workbench, monkeypatch):
    workbench = new_workbench("tuned", allocation={"tune": True})
    name, recipes = workbench.run.save_source(WANDA), []
    monkeypatch.setattr(Measurer, "candidate", lambda measurer, name, recipe, *words: recipes.append(recipe))
    for kappa in (0.1, 0.2):
        setting = Setting("sdsa", "block", {"kappa": kappa})
        monkeypatch.setattr(Tuner, "tuned", lambda *words, setting=setting: SimpleNamespace(setting=setting))
        workbench.candidate(name, "search")
    new_workbench("plain").candidate(name, "search")
    keys = {MeasurementSpec.of(workbench.bench, name, "search", recipe).key() for recipe in recipes}
    assert len(keys) == len(recipes) == 3


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


def test_a_refined_allocation_is_tuned_from_where_it_was_tuned_without(new_workbench, tunings):
    workbench = new_workbench(**TUNE)
    row = workbench.baseline("wanda", "dlp", "search", "swaps")
    assert (row.name, "width" in parameters_of(row)) == ("wanda+swaps+dlp tuned", True)
    assert tunings == [("wanda", "dlp", 0.5)]
    assert row.perplexity <= new_workbench("plain").baseline("wanda", "dlp", "search", "swaps").perplexity
    report = workbench.baseline("wanda", "dlp", "report", "swaps")
    other = workbench.calibrated(1).baseline("wanda", "dlp", "report", "swaps")
    assert parameters_of(report) == parameters_of(other) == parameters_of(row)
    assert report.perplexity != other.perplexity
    assert tunings == [("wanda", "dlp", 0.5)]
