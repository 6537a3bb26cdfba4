"""What a new target's first pass must show: finite outputs, causality, and every decoder block at work."""

import pytest
import torch
from transformers import BertConfig, BertLMHeadModel

from autoprune.models.target import load_target
from tests.models.checkpoints import SIZE, edit_tensors, llama, load, refusal, saved

UP = "model.layers.1.mlp.up_proj.weight"


def holding(into, name: str, value: float):
    folder = saved(llama(), into)

    def change(all):
        all[name].view(-1)[0] = value
        return all

    edit_tensors(folder, change)
    return folder


@pytest.mark.parametrize("offload", ["none", "disk"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", [UP, "model.layers.0.input_layernorm.weight", "lm_head.weight"])
def test_nan_in_a_checkpoint_is_named_and_called_damage(tmp_path, name, dtype, offload):
    line = refusal(holding(tmp_path / "m", name, float("nan")), offload, dtype)
    assert f"not finite in {dtype} (NaN in {name})" in line
    assert "the checkpoint is damaged" in line
    assert "causal" not in line


def test_so_is_infinity_where_no_dtype_is_wider(tmp_path):
    line = refusal(holding(tmp_path / "m", UP, float("inf")))
    assert f"infinity in {UP}" in line
    assert "damaged" in line


def test_weights_beyond_float16_are_named_with_the_dtypes_that_hold_them(tmp_path):
    folder = holding(tmp_path / "m", UP, 1e6)
    line = refusal(folder, dtype="float16")
    assert f"not finite in float16 (infinity in {UP}); try dtype bfloat16 or float32" in line
    assert load(folder, dtype="bfloat16").weights > 0


def test_several_are_counted(tmp_path):
    folder = saved(llama(), tmp_path / "m")
    edit_tensors(folder, lambda all: {key: value * float("nan") for key, value in all.items()})
    assert "and 20 more tensors" in refusal(folder)


@pytest.mark.parametrize("offload", ["none", "disk"])
def test_activations_beyond_float16_are_outputs_that_are_not_finite(tmp_path, offload):
    folder = saved(llama(), tmp_path / "m")

    def change(all):
        return {key: value * {"up": 3e4, "gate": 300}.get(key.split(".")[-2][:-5], 1) for key, value in all.items()}

    edit_tensors(folder, change)
    line = refusal(folder, offload, "float16")
    assert "are not finite in float16, though its weights are; try dtype bfloat16 or float32" in line
    assert load(folder, offload, "bfloat16").weights > 0


def test_outputs_that_no_dtype_holds_are_said_to_be_damage(tmp_path):
    folder = saved(llama(), tmp_path / "m")
    edit_tensors(folder, lambda all: {key: value * 1e30 if "proj" in key else value for key, value in all.items()})
    line = refusal(folder)
    assert "not finite in float32, though its weights are: the checkpoint is damaged" in line


def test_rows_of_the_embedding_that_no_token_asks_for_may_hold_anything(tmp_path):
    folder = saved(llama(vocab_size=400), tmp_path / "m")

    def change(all):
        all["model.embed_tokens.weight"][399] = float("nan")
        return all

    edit_tensors(folder, change)
    assert load(folder).weights > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_encoder_is_said_to_be_not_causal(tmp_path, dtype):
    sizes = {key: SIZE[key] for key in ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads")}
    torch.manual_seed(0)
    folder = saved(BertLMHeadModel(BertConfig(**sizes, num_hidden_layers=2, initializer_range=0.2)), tmp_path / "m")
    assert refusal(folder, dtype=dtype) == (
        f"{folder}: BertLMHeadModel is not causal; only decoder-only models can be pruned"
    )


def test_a_finite_causal_decoder_passes(tiny_model):
    assert load_target(str(tiny_model), "cpu", "float16").damaged == {}


def test_matrices_of_zeros_alone_are_one_line(tmp_path, logged):
    folder = saved(llama(), tmp_path / "m")
    edit_tensors(folder, lambda all: {key: value * ("layers.1.mlp" not in key) for key, value in all.items()})
    load(folder)
    [line] = logged
    assert "model.layers.1.mlp.gate_proj.weight" in line
    assert "hold zeros alone; is the checkpoint complete?" in line
