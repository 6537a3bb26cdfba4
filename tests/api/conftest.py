"""Small settings for the Python API on the tiny model, and a cache of the test's own."""

from typing import Any

import pytest

SMALL: dict[str, Any] = {"seqlen": 48, "calibration_samples": 4, "windows": 3}
LOADED: dict[str, Any] = {**SMALL, "device": "cpu", "dtype": "float32"}


@pytest.fixture
def tiny(tiny_model, cache):
    """The path of the tiny model, with a cache of the test's own."""
    return tiny_model


@pytest.fixture
def live(tiny):
    """The tiny model and its tokenizer, loaded by transformers, in training mode."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(tiny).train(), AutoTokenizer.from_pretrained(tiny)
