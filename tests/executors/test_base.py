"""A job and what comes of it are plain data: they are the same in another process."""

import pickle

import pytest

from autoprune.errors import CandidateFailure
from autoprune.evaluation.ladder import Ladder, StoppedEarly
from autoprune.evaluation.pruned import NotFinite
from autoprune.evaluation.racing import Race
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.signature import Unlike
from autoprune.executors.base import Job
from autoprune.pruning.allocation.spec import Setting
from autoprune.runs.measurement import Measurement


def again(thing):
    return pickle.loads(pickle.dumps(thing))


def test_a_job_is_the_same_in_another_process():
    ladder = Ladder(Unlike({"someone": b"\x0f"}), 3.0, Race.against("rival", [1.0, 2.0, 3.0, 4.0, 5.0], 0.05))
    recipe = Recipe(0.5, "sdsa", setting=Setting("sdsa", "block", {"kappa": 0.1}), own_first=True)
    job = Job("name", "source", recipe, "search", ladder)
    assert again(job) == job


def test_a_ladder_refuses_twins_wherever_it_is():
    accept = again(Ladder(Unlike({"other": b"\xf0\x00", "twin": b"\x0f\x0f"}))).accept
    with pytest.raises(CandidateFailure, match=r"its masks are those of twin \(agreement 1.0000\)") as caught:
        accept(b"\x0f\x0f")
    assert (caught.value.stage, caught.value.reason) == ("check", "duplicate")
    accept(b"\xff\xff")


def test_a_failure_comes_back_with_all_that_is_known_of_it():
    failure = again(CandidateFailure("score", "exception", "a line", "what it printed"))
    assert (failure.stage, failure.reason, failure.message) == ("score", "exception", "a line")
    assert failure.diagnostics == "what it printed"
    assert str(failure) == "score: exception: a line"


def test_what_was_stopped_early_comes_back_with_what_was_measured():
    partial = Measurement(subject="a", split="search", perplexity=20.0, window_losses=[3.0], signature=b"\x01")
    found = again(StoppedEarly("measure", "raced-out", "a line", partial, 21.0))
    assert isinstance(found, StoppedEarly)
    assert (found.partial, found.estimate) == (partial, 21.0)


def test_so_does_what_is_not_finite():
    measured = Measurement(subject="a", split="search", perplexity=float("inf"), zeros=3)
    found = again(NotFinite(measured))
    assert isinstance(found, NotFinite)
    assert (found.measured, found.stage, found.reason) == (measured, "measure", "not-finite")
