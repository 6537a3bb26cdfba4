"""A fingerprint is another one wherever a forward pass is, and the same wherever it is the same."""

import json
import shutil

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM

from autoprune.models.identity import checksum
from tests.models.checkpoints import SIZE, edit_config, edit_tensors, llama, load, saved

CHANGES = {
    "rope theta": ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 2.0}}),
    "rope scaling": ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}}),
    "norm epsilon": ("llama", {"rms_norm_eps": 0.5}),
    "activation": ("llama", {"hidden_act": "relu"}),
    "padding token": ("llama", {"pad_token_id": 7}),
    "sliding window": ("mistral", {"sliding_window": 4}),
    "NoPE layers": ("smollm3", {"no_rope_layers": [0, 0]}),
    "soft-capped logits": ("gemma2", {"final_logit_softcapping": 2.0}),
    "layer types": ("gemma2", {"layer_types": ["full_attention", "full_attention"]}),
    "query scale": ("gemma2", {"query_pre_attn_scalar": 64}),
    "experts per token": ("mixtral", {"num_experts_per_tok": 1}),
    "position of the norm": ("opt", {"do_layer_norm_before": False}),
    "final norm": ("opt", {"_remove_final_layer_norm": True}),
}
SAME = {
    "path": {"_name_or_path": "elsewhere"},
    "versions": {"transformers_version": "4.40.0", "torch_dtype": "bfloat16"},
    "classes": {"architectures": ["Other"], "auto_map": {}},
    "generation": {"temperature": 0.3, "top_p": 0.9, "do_sample": True, "max_length": 20, "use_cache": False},
    "tokens": {"bos_token_id": 5, "eos_token_id": [6, 7]},
    "defaults that are spelled out": {"head_dim": None, "hidden_act": "silu", "mlp_bias": False, "pretraining_tp": 1},
    "float32": {"rms_norm_eps": 9.999999974752427e-07},
    "training": {"initializer_range": 0.5, "attention_dropout": 0.1},
    "labels": {"id2label": {"0": "no"}, "label2id": {"no": 0}},
}


def config_of(family: str, **changes: object):
    more = {
        "mistral": {"sliding_window": None},
        "gemma2": {"head_dim": 8, "layer_types": ["sliding_attention", "full_attention"]},
        "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
        "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    }.get(family, {})
    return AutoConfig.for_model(family, **{**SIZE, **more, **changes})


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_weights_under_another_configuration_are_another_model(change):
    family, changes = CHANGES[change]
    first, second = (AutoModelForCausalLM.from_config(config_of(family, **more)) for more in ({}, changes))
    second.load_state_dict(first.state_dict(), strict=False)  # OPT's final norm goes
    assert checksum(first) != checksum(second)


@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_forward_pass_changes_no_fingerprint(tmp_path, change):
    plain = saved(llama(), tmp_path / "plain")
    other = shutil.copytree(plain, tmp_path / "elsewhere")
    edit_config(other, **SAME[change])
    assert load(other).fingerprint == load(plain).fingerprint


def test_the_order_of_keys_and_the_old_way_to_write_rope_change_no_fingerprint(tmp_path):
    plain = saved(llama(), tmp_path / "plain")
    old = shutil.copytree(plain, tmp_path / "old")
    tree = json.loads((old / "config.json").read_text("utf-8"))
    rope = tree.pop("rope_parameters")
    tree |= {"rope_theta": int(rope["rope_theta"]), "rope_scaling": None}
    (old / "config.json").write_text(json.dumps(dict(reversed(tree.items()))), "utf-8")
    assert load(old).fingerprint == load(plain).fingerprint


def test_one_fingerprint_wherever_the_blocks_live_and_however_the_files_are_cut(tmp_path):
    whole = saved(llama(), tmp_path / "whole")
    shards = saved(llama(), tmp_path / "shards", max_shard_size="20kB")
    prints = {load(folder, offload).fingerprint for folder in (whole, shards) for offload in ("none", "disk")}
    assert len(prints) == 1


def test_the_class_is_part_of_it():
    torch.manual_seed(0)
    one = llama()
    mistral = AutoModelForCausalLM.from_config(config_of("mistral"))
    mistral.load_state_dict(one.state_dict())
    assert checksum(one) != checksum(mistral)
    again = type("Other", (type(one),), {})(one.config)
    again.load_state_dict(one.state_dict())
    assert checksum(one) != checksum(again)


def test_so_are_the_attention_and_a_nested_configuration():
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    eager = llama()
    eager.config._attn_implementation = "eager"
    assert checksum(llama()) != checksum(eager)
    text = {**SIZE, "head_dim": 8, "layer_types": ["full_attention", "full_attention"]}
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    vision |= {"image_size": 28, "patch_size": 14}
    models = [
        Gemma3ForConditionalGeneration(
            Gemma3Config(text_config={**text, **more}, vision_config=vision, mm_tokens_per_image=4)
        )
        for more in ({}, {"rms_norm_eps": 0.5})
    ]
    models[1].load_state_dict(models[0].state_dict())
    assert checksum(models[0]) != checksum(models[1])


def deepseek() -> DeepseekV3ForCausalLM:
    """Its routers add a buffer to their scores, which the checkpoint holds."""
    torch.manual_seed(0)
    sizes = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
    experts = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1}
    more = {"moe_intermediate_size": 16, "first_k_dense_replace": 1, "num_key_value_heads": 4}
    return DeepseekV3ForCausalLM(DeepseekV3Config(**{**SIZE, **sizes, **experts, **more}))


def test_so_are_buffers_that_a_checkpoint_holds(tmp_path):
    name = "model.layers.1.mlp.gate.e_score_correction_bias"
    plain = saved(deepseek(), tmp_path / "plain")
    other = shutil.copytree(plain, tmp_path / "other")
    edit_tensors(other, lambda all: {**all, name: torch.tensor([9.0, -9.0, 9.0, -9.0])})
    prints = {(folder, offload): load(folder, offload, "bfloat16").fingerprint
              for folder in (plain, other) for offload in ("none", "disk")}  # fmt: skip
    assert prints[plain, "none"] == prints[plain, "disk"]
    assert prints[other, "none"] == prints[other, "disk"]
    assert len(set(prints.values())) == 2


def test_verify_sees_a_changed_buffer():
    model = deepseek()
    before = checksum(model)
    model.model.layers[1].mlp.gate.e_score_correction_bias.add_(1.0)
    assert checksum(model) != before


@pytest.mark.parametrize("offload", ["none", "disk"])
def test_rotary_angles_are_exact_in_bfloat16_as_transformers_has_them(tmp_path, offload):
    folder = saved(llama(), tmp_path / "m")
    target = load(folder, offload, "bfloat16")
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    tokens = torch.arange(200).unsqueeze(0)
    with torch.inference_mode():
        assert torch.equal(target.model(tokens, use_cache=False).logits, reference(tokens, use_cache=False).logits)
