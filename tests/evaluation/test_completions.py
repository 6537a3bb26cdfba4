"""Completions that people look at: greedy, the same every time, of the model as it is."""

import torch
from transformers import GenerationConfig

from autoprune.evaluation.completions import PROMPTS, Completion, complete, side_by_side


def generated(target, prompt: str, count: int) -> str:
    """By transformers' own generation, with its cache."""
    encoded = target.tokenizer(prompt, return_tensors="pt")
    end = target.tokenizer.eos_token_id
    settings = GenerationConfig(do_sample=False, max_new_tokens=count, eos_token_id=end, pad_token_id=end)
    ids = target.model.generate(encoded["input_ids"], generation_config=settings)
    return target.tokenizer.decode(ids[0, encoded["input_ids"].shape[1] :], skip_special_tokens=True)


def test_they_are_the_most_probable_tokens_whatever_the_models_settings_are(tiny_target):
    tiny_target.model.generation_config.do_sample = True
    tiny_target.model.generation_config.temperature = 5.0
    assert complete(tiny_target, 2, 6) == [generated(tiny_target, prompt, 6) for prompt in PROMPTS[:2]]
    assert complete(tiny_target, 0) == []


def test_a_pruned_model_is_seen_beside_the_dense_one(tiny_target):
    dense = complete(tiny_target, 1, 6)
    with tiny_target.edited() as edits:
        for layer in tiny_target.layers:
            edits.weight(layer.name, torch.zeros_like(tiny_target.weight(layer.name)))
        pruned = complete(tiny_target, 1, 6)
    assert complete(tiny_target, 1, 6) == dense != pruned
    assert side_by_side(dense, pruned) == [Completion(PROMPTS[0], dense[0], pruned[0])]
