"""Tiny randomly initialised models of every architecture that the walk must know."""

from collections.abc import Callable

import torch
import transformers
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig

VOCABULARY = 96
_SIZE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _llama_like(name: str, **extra: object) -> Callable[[], PretrainedConfig]:
    return lambda: getattr(transformers, f"{name}Config")(**{**_SIZE, **extra})


def _opt() -> PretrainedConfig:
    return transformers.OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=64,
        init_std=0.2,
    )


def _gpt2() -> PretrainedConfig:
    return transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=3, n_head=4, n_positions=64, initializer_range=0.2
    )


def _bloom() -> PretrainedConfig:
    return transformers.BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=3, n_head=4, initializer_range=0.2)


_WINDOW = {
    "head_dim": 8,
    "sliding_window": 6,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}

CONFIGS: dict[str, Callable[[], PretrainedConfig]] = {
    "llama": _llama_like("Llama"),
    "qwen2": _llama_like("Qwen2"),
    "qwen3": _llama_like("Qwen3", head_dim=8),
    "gemma2": _llama_like("Gemma2", **_WINDOW),
    "gemma3": _llama_like("Gemma3Text", **_WINDOW),
    "mistral": _llama_like("Mistral", sliding_window=6, head_dim=8),
    "phi": _llama_like("Phi"),
    "phi3": _llama_like("Phi3"),
    "gpt-neox": _llama_like("GPTNeoX"),
    "mixtral": _llama_like("Mixtral", num_local_experts=4),
    "qwen2-moe": _llama_like(
        "Qwen2Moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=16
    ),
    "qwen3-moe": _llama_like("Qwen3Moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, head_dim=8),
    "gpt-oss": _llama_like("GptOss", num_local_experts=4, num_experts_per_tok=2, **_WINDOW),
    "opt": _opt,
    "gpt2": _gpt2,
    "bloom": _bloom,
}
"""By family. The sliding windows are shorter than the test's texts, so that masks differ between blocks."""


def tiny(family: str) -> nn.Module:
    """A random model of the family, the same at every call."""
    torch.manual_seed(0)
    model: nn.Module = AutoModelForCausalLM.from_config(CONFIGS[family]())
    return model.eval()
