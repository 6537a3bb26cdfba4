import math

import pytest
import torch

from autoprune.config_sections import DataSettings
from autoprune.evaluation.perplexity import perplexity, window_losses
from autoprune.evaluation.texts import load_splits
from autoprune.models.target import Target, load_target


def losses_by_transformers(target: Target, windows: torch.Tensor) -> list[float]:
    with torch.inference_mode():
        return [float(target.model(row.unsqueeze(0), labels=row.unsqueeze(0)).loss) for row in windows]


def test_losses_equal_those_of_transformers_on_the_same_windows(tiny_target):
    settings = DataSettings(seqlen=48, calibration_samples=1, search_windows=5, report_windows=1)
    windows = load_splits(settings, tiny_target.tokenizer)["search"].tokens
    ours, theirs = window_losses(tiny_target, windows), losses_by_transformers(tiny_target, windows)
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert perplexity(ours) == pytest.approx(math.exp(sum(theirs) / len(theirs)), rel=1e-4)


def test_every_window_counts_alike_and_is_heard_of(tiny_target):
    windows = torch.arange(5 * 16).view(5, 16) % 300
    heard: list[int] = []
    losses = window_losses(tiny_target, windows, lambda: heard.append(1))
    assert len(losses) == len(heard) == 5
    alone = [window_losses(tiny_target, windows[at : at + 1])[0] for at in range(5)]
    assert losses == pytest.approx(alone, rel=1e-5)


def test_a_uniform_guess_has_the_vocabulary_as_its_perplexity():
    assert perplexity([math.log(384.0)] * 3) == pytest.approx(384.0)


def test_a_loss_too_large_for_a_float_is_infinite():
    assert perplexity([1e4, 1.0]) == math.inf
    assert math.isnan(perplexity([math.nan, 1.0]))


@pytest.mark.model
def test_the_built_in_model_agrees_with_transformers_and_between_dtypes(built_in_model):
    settings = DataSettings(seqlen=256, calibration_samples=1, search_windows=3, report_windows=1)
    exact = load_target(str(built_in_model), "cpu", "float32")
    windows = load_splits(settings, exact.tokenizer)["search"].tokens
    ours = window_losses(exact, windows)
    assert ours == pytest.approx(losses_by_transformers(exact, windows), rel=1e-4)
    assert 5 < perplexity(ours) < 60
    exact.model.to(torch.bfloat16)
    rounded = Target(exact.model, exact.tokenizer, "rounded")
    assert perplexity(window_losses(rounded, windows)) == pytest.approx(perplexity(ours), rel=0.01)
