"""Tiny randomly initialised models of the families of causal language models that transformers knows."""

import inspect
from typing import Any

import torch
import transformers
from torch import nn
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedConfig

VOCABULARY = 384
BLOCKS = 3
SIZE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "d_model": 32,
    "n_embd": 32,
    "embedding_size": 32,
    "intermediate_size": 48,
    "ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "encoder_ffn_dim": 48,
    "num_hidden_layers": BLOCKS,
    "n_layer": BLOCKS,
    "n_layers": BLOCKS,
    "decoder_layers": BLOCKS,
    "encoder_layers": 1,
    "num_attention_heads": 4,
    "n_head": 4,
    "n_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "n_positions": 64,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "sliding_window": 6,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "state_size": 8,
    "time_step_rank": 4,
    "mamba_d_state": 8,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
"""By the names that configurations have for them; a family gets those that its configuration knows. The windows of
sliding attention are shorter than the tests' texts, so that masks differ between blocks."""

_MULTI_LATENT = {"num_key_value_heads": 4}
_MIXED = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}

EXTRAS: dict[str, dict[str, Any]] = {
    "axk1": _MULTI_LATENT,
    "axk2": _MULTI_LATENT,
    "codegen": {"rotary_dim": 4},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
        "ffn_config": {"hidden_size": 32, "ffn_hidden_size": 16, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deepseek_v2": _MULTI_LATENT,
    "deepseek_v3": _MULTI_LATENT,
    "deepseek_v32": _MULTI_LATENT,
    "dots1": {"n_shared_experts": 1},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma2": _MIXED,
    "gemma3_text": _MIXED,
    "gemma3n_text": {
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "vocab_size_per_layer_input": VOCABULARY,
        "hidden_size_per_layer_input": 8,
        "laurel_rank": 4,
        "altup_num_inputs": 2,
        "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
    },
    "gemma4_text": {
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "global_head_dim": 8,
        "vocab_size_per_layer_input": VOCABULARY,
        "hidden_size_per_layer_input": 8,
    },
    "glm4_moe_lite": _MULTI_LATENT,
    "glm_moe_dsa": _MULTI_LATENT,
    "gpt_neo": {"num_layers": BLOCKS, "attention_types": [[["global", "local", "global"], 1]], "window_size": 6},
    "gpt_oss": _MIXED,
    "gptj": {"rotary_dim": 4},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"], "num_dense_layers": 1},
    "longcat_flash": {
        **_MULTI_LATENT,
        "num_layers": 2,
        "zero_expert_num": 1,
        "moe_topk": 2,
        "expert_ffn_hidden_size": 16,
        "ffn_hidden_size": 48,
    },
    "mamba2": {"num_heads": 8, "n_groups": 1},
    "minicpm3": _MULTI_LATENT,
    "sarvam_mla": _MULTI_LATENT,
    "youtu": _MULTI_LATENT,
    "zaya": {"num_experts_per_tok": 1},
    "zamba": {
        "num_hidden_layers": 5,
        "layers_block_type": ["linear_attention", "linear_attention", "hybrid", "linear_attention", "hybrid"],
    },
    "zamba2": {
        "num_hidden_layers": 5,
        "layers_block_type": ["linear_attention", "linear_attention", "hybrid", "linear_attention", "hybrid"],
    },
}


def config_of(family: str) -> PreTrainedConfig:
    """A small configuration of a model type."""
    kind = CONFIG_MAPPING[family]
    known = set(getattr(kind, "__dataclass_fields__", {})) or set(inspect.signature(kind.__init__).parameters)
    known |= set(kind.attribute_map)
    return kind(**{**{name: value for name, value in SIZE.items() if name in known}, **EXTRAS.get(family, {})})


def tiny(family: str) -> nn.Module:
    """A random model of the family in float32, the same at every call."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    model: nn.Module = AutoModelForCausalLM.from_config(config_of(family)).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():  # gates that start closed would prune to nothing
                parameter.normal_(0.0, 0.2)
    return model


_QUICK = """
apertus arcee bamba biogpt bloom codegen cohere cohere2 dbrx deepseek_v2 deepseek_v3 diffllama ernie4_5 exaone4 falcon
falcon_mamba gemma gemma2 gemma3_text gemma3n_text gemma4_text glm glm4 glm4_moe glm_moe_dsa gpt2 gpt_bigcode gpt_neo
gpt_neox gpt_oss gptj granite granitemoe helium hunyuan_v1_dense jamba jetmoe lfm2 llama llama4_text longcat_flash
mamba minimax mistral mixtral mpt nemotron olmo olmo2 olmoe openai-gpt opt persimmon phi phi3 phimoe qwen2 qwen2_moe
qwen3 qwen3_moe recurrent_gemma rwkv seed_oss smollm3 stablelm starcoder2 vaultgemma xglm xlstm zamba
"""
_SLOW = """
afmoe aria_text axk1 axk2 bailing_hybrid beam bitnet cohere2_moe ctrl cwm deepseek_v32 deepseek_v4 doge dots1
ernie4_5_moe exaone_moe falcon_h1 flex_olmo flint gemma4_unified_text glm4_moe_lite gpt_neox_japanese granite_swa
granitemoehybrid granitemoeshared hunyuan_v1_moe hy_v3 hy_v4 hyperclovax jais2 kolibri1 laguna lara_mini lfm2_moe lfm3
mamba2 mellum mimo_v2_flash minicpm3 minimax_m2 ministral ministral3 modernbert-decoder moshi nanochat nemotron_h
olmo3 olmo_hybrid qwen3_5_moe_text qwen3_5_text qwen3_next solar_open youtu zamba2 zaya
"""
_COMMON = """
llama qwen2 qwen3 gemma2 gemma3_text mistral phi phi3 gpt_neox mixtral qwen2_moe qwen3_moe gpt_oss opt gpt2 bloom
"""
QUICK, SLOW = _QUICK.split(), _SLOW.split()
"""Model types that work. The slow ones, and those that few people have, are left to the long suite."""
COMMON = _COMMON.split()
"""Those on which tests of single parts run."""

LOOPS = {
    "dory": "model.layers.0 is called 2 times",
    "hrm_text": "model.L_module.layers.0 is called 6 times",
}
"""Families that pass their decoder blocks several times, and what the refusal says of it."""
