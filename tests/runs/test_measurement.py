"""What people and rungs read off a measurement."""

import math

import pytest
from pydantic import ValidationError

from autoprune.runs.measurement import LayerDiagnostic, Measurement, perplexity


def measured(subject="baseline:wanda+sdsa", **known):
    return Measurement(subject=subject, split="search", perplexity=known.pop("perplexity", 20.0), **known)


def test_a_baseline_is_known_by_its_name_and_a_candidate_by_the_start_of_its_hash():
    baseline, candidate = measured(), measured("0123456789abcdef")
    assert (baseline.name, baseline.short_name) == ("wanda+sdsa", "wanda+sdsa")
    assert (candidate.name, candidate.short_name) == ("0123456789abcdef", "01234567")


def test_the_worst_layers_are_those_of_the_largest_relative_errors():
    errors = {"a": 0.1, "b": 0.4, "c": 0.2, "d": 0.3}
    layers = [LayerDiagnostic(name=name, sparsity=0.5, relative_error=error) for name, error in errors.items()]
    assert measured(layers=layers).worst_layers == ["b", "d", "c"]
    assert measured().worst_layers == []


def test_the_reconstruction_error_is_known_once_all_sampled_layers_are():
    sampled = {"sampled_layers": 2, "reference_errors": [0.2, 0.6]}
    assert measured(layer_errors=[0.1, 0.3], **sampled).reconstruction == pytest.approx(0.5)
    assert measured(layer_errors=[0.1], **sampled).reconstruction is None
    assert measured(layer_errors=[0.1, 0.3], sampled_layers=2).reconstruction is None  # from before there was one
    assert measured().reconstruction is None


def test_losses_bring_their_perplexity_and_a_part_of_them_is_not_full():
    empty = measured(perplexity=math.nan, windows=3)
    some, all_of_them = empty.with_losses([2.0, 3.0]), empty.with_losses((2.0, 3.0, 4.0))
    assert (some.full, all_of_them.full) == (False, True)
    assert some.perplexity == pytest.approx(math.exp(2.5))
    assert all_of_them.window_losses == [2.0, 3.0, 4.0]
    assert empty.window_losses == []


def test_a_perplexity_that_overflows_is_infinite_and_one_of_nan_is_nan():
    assert perplexity([701.0]) == math.inf
    assert math.isnan(perplexity([1.0, math.nan]))


def test_a_measurement_survives_json_whatever_its_numbers_are():
    odd = measured(perplexity=math.nan, window_losses=[math.inf, 2.5], seconds={"eval": 0.1})
    back = Measurement.model_validate_json(odd.model_dump_json())
    assert math.isnan(back.perplexity)
    assert back.window_losses == odd.window_losses
    assert back.model_copy(update={"perplexity": 1.0}) == odd.model_copy(update={"perplexity": 1.0})


def test_what_other_versions_said_beside_it_is_left_out_and_wrong_types_are_refused():
    assert Measurement.model_validate({**measured().model_dump(), "worst_layers": ["a"]}) == measured()
    with pytest.raises(ValidationError):
        Measurement.model_validate({**measured().model_dump(), "window_losses": "many"})
    with pytest.raises(ValidationError):
        measured().perplexity = 1.0
