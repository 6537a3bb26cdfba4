"""Tuning an allocation for masks that are refined, on the tiny model."""

import json
import math
from dataclasses import asdict
from typing import ClassVar

import pytest

from autoprune.errors import CandidateFailure
from autoprune.evaluation import refined_tuning as module
from autoprune.evaluation.refined_tuning import tune_refined
from autoprune.evaluation.tuning import measure_setting, tune
from autoprune.pruning.allocation.families import grid
from autoprune.pruning.allocation.sdsa import SDSA
from autoprune.pruning.identity import checksum


@pytest.fixture
def tuned(bench):
    """A family as it was tuned without and with swaps, and what the latter measures."""

    def tuning(family="dlp"):
        plain = tune(bench, "wanda", family, 0.6, "block", SDSA())
        return plain, *tune_refined(bench, "wanda", plain, 0.6, "block", SDSA(), "swaps")

    return tuning


@pytest.mark.parametrize("family", ["dlp", "owl"])
def test_it_never_loses_to_the_refined_default_and_is_what_the_baseline_measures(bench, tuned, family):
    plain, found, measured = tuned(family)
    default = bench.baseline("wanda", family, 0.6, "search", "swaps")
    again = measure_setting(bench, "wanda", found.setting, 0.6, "search", refinement="swaps")
    assert found.default_loss == pytest.approx(math.log(default.perplexity))
    assert found.loss == pytest.approx(math.log(measured.perplexity))
    assert found.loss <= found.default_loss
    assert measured.window_losses == again.window_losses
    assert measured.zeros == round(0.6 * bench.target.weights)
    assert (found.family, found.unit) == (plain.family, plain.unit)
    assert checksum(bench.target.model) == bench.target.fingerprint


def test_it_is_the_same_every_time_and_tries_less_than_the_whole_grid(tuned):
    (_, first, _), (plain, second, _) = tuned("owl"), tuned("owl")
    assert asdict(first) == asdict(second)
    assert first.settings < plain.settings


class Falling:
    """Trials in which the loss falls with the one number of a setting; `tried` holds what was asked."""

    windows, measured = 4, 0
    tried: ClassVar[list[tuple[float, int]]] = []

    def __init__(self, *words):
        self.tried.clear()

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass

    def loss(self, number, windows):
        self.tried.append((number, windows))
        return -number


@pytest.fixture
def falling(monkeypatch):
    monkeypatch.setattr(module, "Trials", Falling)
    monkeypatch.setattr(module, "setting_zeros", lambda bench, setting, *words: next(iter(setting.parameters.values())))


def test_it_goes_from_neighbour_to_neighbour_until_none_is_better(bench, falling):
    plain = tune(bench, "wanda", "atp", 0.6, "block", SDSA())
    found, _ = tune_refined(bench, "wanda", plain, 0.6, "block", SDSA(), "swaps")
    slopes = [number for number, _ in Falling.tried]
    assert len(slopes) == len(set(slopes)) == found.settings
    assert {windows for _, windows in Falling.tried} == {2}
    units = bench.units_by("block").described(("depth",))
    assert max(slopes) == max(each.parameters["beta"] for each in grid("atp", "block", SDSA(), units, 0.6))


def test_what_has_no_finite_perplexity_loses_and_fails_only_if_nothing_has_one(bench, falling, monkeypatch):
    plain = tune(bench, "wanda", "dlp", 0.6, "block", SDSA())
    default, *_ = grid("dlp", "block", SDSA(), [], 0.6)

    def tuned(failing):
        def measure(bench, score, setting, *words, **named):
            if failing(setting):
                raise CandidateFailure("measure", "not-finite", "not finite")
            return measure_setting(bench, score, setting, *words, **named)

        monkeypatch.setattr(module, "measure_setting", measure)
        return tune_refined(bench, "wanda", plain, 0.6, "block", SDSA(), "swaps")

    with pytest.raises(CandidateFailure, match="not finite"):
        tuned(lambda setting: True)
    found, measured = tuned(lambda setting: setting == default)
    assert found.setting != default
    assert math.isfinite(measured.perplexity)
    assert found.default_loss > 1e300
    json.dumps(asdict(found), allow_nan=False)
    found, _ = tuned(lambda setting: setting != default)
    assert found.setting == default
