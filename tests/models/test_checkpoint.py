"""What a checkpoint lacks, or holds otherwise than as plain numbers, is never made up: one line instead."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import MixtralConfig, MixtralForCausalLM

from autoprune.models.gguf_target import gguf_target
from autoprune.models.packed import pack, unpack
from tests.gguf_models import write_gguf
from tests.models.checkpoints import SIZE, WEIGHTS, edit_config, edit_tensors, llama, load, refusal, saved

BOTH = pytest.mark.parametrize("offload", ["none", "disk"])
LOST = {
    "a renamed prefix": (lambda key: f"module.{key}", ("lacks 21 of the 21", "module.model.embed_tokens.weight")),
    "a layer": (lambda key: None if "layers.1.mlp" in key else key, ("lacks 3 of the 21", "layers.1.mlp.gate_proj")),
    "an untied head": (lambda key: None if "lm_head" in key else key, ("lacks 1 of the 21", "lm_head.weight")),
    "the embedding": (lambda key: None if "embed" in key else key, ("lacks 1 of the 21", "model.embed_tokens.weight")),
    "a norm": (lambda key: None if key == "model.norm.weight" else key, ("lacks 1 of", "model.norm.weight")),
    "a block": (lambda key: None if ".layers.1." in key else key, ("lacks 9 of", "layers.1.input_layernorm", "6 more")),
}


@BOTH
@pytest.mark.parametrize("case", LOST)
def test_weights_that_a_checkpoint_lacks_are_named(tmp_path, case, offload):
    rename, said = LOST[case]
    folder = saved(llama(), tmp_path / "m")
    edit_tensors(folder, lambda all: {new: value for key, value in all.items() if (new := rename(key))})
    line = refusal(folder, offload)
    assert all(words in line for words in said)


@BOTH
@pytest.mark.parametrize("stored", ["embedding only", "head only", "both"])
def test_a_tied_head_may_be_stored_or_not(tmp_path, stored, offload):
    folder = saved(llama(tie_word_embeddings=True), tmp_path / "m")

    def change(all):
        embedding = all.pop("model.embed_tokens.weight")
        names = {"embedding only": ["model.embed_tokens"], "head only": ["lm_head"]}
        wanted = names.get(stored, ["model.embed_tokens", "lm_head"])
        return {**all, **{f"{name}.weight": embedding.clone() for name in wanted}}

    edit_tensors(folder, change)
    target = load(folder, offload)
    expected = llama(tie_word_embeddings=True).lm_head.weight
    assert torch.equal(target.model.get_output_embeddings().weight, expected)
    edit_tensors(folder, lambda all: {key: value for key, value in all.items() if "layers" in key or "norm" in key})
    assert "lacks 2 of the 21" in refusal(folder, offload)


@BOTH
def test_a_base_models_names_are_known(tmp_path, offload):
    folder = saved(llama(tie_word_embeddings=True), tmp_path / "m")
    edit_tensors(folder, lambda all: {key.removeprefix("model."): value for key, value in all.items()})
    assert load(folder, offload).weights > 0


def test_what_the_model_has_no_use_for_is_one_line(tmp_path, logged):
    folder = saved(llama(), tmp_path / "m")
    edit_tensors(folder, lambda all: {**all, **{f"value_head.{each}": torch.ones(2) for each in range(5)}})
    load(folder)
    [line] = logged
    assert "5 tensors of the checkpoint are no part of LlamaForCausalLM: value_head.0" in line
    assert "and 2 more" in line


@BOTH
@pytest.mark.parametrize(
    ("setting", "value"),
    [("intermediate_size", 40), ("head_dim", 16), ("num_key_value_heads", 4), ("vocab_size", 400)],
)
def test_shapes_that_do_not_fit_the_configuration_are_named(tmp_path, setting, value, offload):
    folder = saved(llama(), tmp_path / "m")
    edit_config(folder, **{setting: value})
    line = refusal(folder, offload)
    assert "does not fit its config.json" in line
    assert ", not [" in line


def test_more_layers_in_the_configuration_than_in_the_checkpoint_are_named(tmp_path):
    folder = saved(llama(), tmp_path / "m")
    edit_config(folder, num_hidden_layers=3)
    assert "model.layers.2." in refusal(folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda shard, index: shard.unlink(), ("lacks", "download it again")),
        (lambda shard, index: shard.write_bytes(shard.read_bytes()[:-40]), ("cut short or damaged", "download it")),
        (lambda shard, index: shard.write_bytes(b""), ("cut short or damaged",)),
        (lambda shard, index: shard.write_text("version https://git-lfs.github.com/spec/v1\n"), ("cut short",)),
        (lambda shard, index: index.unlink(), ("cannot be loaded", "no file named model.safetensors")),
        (lambda shard, index: index.write_text('{"weight_map": 7}'), ("index.json", "cannot be read")),
        (lambda shard, index: _without(index, shard.name), ("lacks", "tensors of LlamaForCausalLM")),
    ],
    ids=["lost", "cut", "empty", "pointer", "no index", "damaged index", "lost from the index"],
)
def test_a_download_that_is_not_complete_is_one_line(tmp_path, damage, said):
    folder = saved(llama(), tmp_path / "m", max_shard_size="20kB")
    shards = sorted(folder.glob("model-*-of-*.safetensors"))
    assert len(shards) > 3
    assert load(folder).fingerprint == load(saved(llama(), tmp_path / "whole")).fingerprint
    damage(shards[2], folder / "model.safetensors.index.json")
    line = refusal(folder)
    assert all(words in line for words in said)


def _without(index: Path, shard: str) -> None:
    tree = json.loads(index.read_text())
    tree["weight_map"] = {key: file for key, file in tree["weight_map"].items() if file != shard}
    index.write_text(json.dumps(tree))


@BOTH
def test_bin_files_go_through_the_same_check(tmp_path, offload):
    folder = saved(llama(), tmp_path / "m")
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    file = folder / "pytorch_model.bin"
    torch.save(tensors, file)
    assert load(folder, offload).weights > 0
    torch.save(tensors, file, _use_new_zipfile_serialization=False)  # as before 2020
    assert load(folder, offload).weights > 0
    few = {**tensors, "lm_head.weight": tensors["lm_head.weight"].char()}
    torch.save(few, file, _use_new_zipfile_serialization=False)
    assert "is quantised (lm_head.weight in int8)" in refusal(folder, offload)
    torch.save({key: value for key, value in tensors.items() if "layers.1" not in key}, file)
    assert "lacks 9 of the 21" in refusal(folder, offload)
    for content in (file.read_bytes()[:500], b"", b"version https://git-lfs.github.com/spec/v1\n"):
        file.write_bytes(content)
        assert "cannot be loaded" in refusal(folder, offload)


@BOTH
@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.float8_e4m3fn])
@pytest.mark.parametrize("parts", [1, 2])
def test_numbers_of_few_bits_in_bin_files_are_quantised(tmp_path, kind, parts, offload):
    folder = saved(llama(), tmp_path / "m")
    tensors = {key: value.to(kind) if "mlp" in key else value for key, value in load_file(folder / WEIGHTS).items()}
    (folder / WEIGHTS).unlink()
    names = [f"pytorch_model-{part}.bin" if parts > 1 else "pytorch_model.bin" for part in range(parts)]
    for part, name in enumerate(names):
        torch.save({key: tensors[key] for key in sorted(tensors)[part::parts]}, folder / name)
    if parts > 1:
        where = {key: names[at % parts] for at, key in enumerate(sorted(tensors))}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    line = refusal(folder, offload)
    assert "is quantised (model.layers.0.mlp." in line
    assert f"weight in {str(kind).removeprefix('torch.')}" in line


@pytest.mark.parametrize("beside", ["weight_scale", "SCB", "weight.absmax"])
def test_what_only_quantised_weights_have_beside_them_is_never_left_out(tmp_path, beside):
    folder = saved(llama(), tmp_path / "m")
    edit_tensors(folder, lambda all: {**all, f"model.layers.0.mlp.up_proj.{beside}": torch.ones(3)})
    assert f"is quantised (model.layers.0.mlp.up_proj.{beside})" in refusal(folder)


@pytest.fixture
def mixtral(tmp_path):
    torch.manual_seed(0)
    return saved(MixtralForCausalLM(MixtralConfig(**SIZE, num_local_experts=4)), tmp_path / "mixtral")


@BOTH
@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("layers.1.block_sparse_moe.experts.1.w1", "layers.1.block_sparse_moe.experts.1.w1.weight"),
        ("layers.0.block_sparse_moe.experts.2.", "layers.0.block_sparse_moe.experts.2.w1.weight"),
        ("layers.0.block_sparse_moe.experts.3.", "model.layers.0.mlp.experts"),
        ("layers.1.block_sparse_moe.experts", "layers.1.mlp.experts.down_proj"),
        ("layers.0.block_sparse_moe.gate", "layers.0.mlp.gate.weight"),
    ],
)
def test_lost_experts_are_named(mixtral, lost, said, offload):
    edit_tensors(mixtral, lambda all: {key: value for key, value in all.items() if lost not in key})
    assert said in refusal(mixtral, offload)


def test_a_gguf_file_that_lacks_a_tensor_is_refused_and_not_kept(tmp_path, cache):
    folder = saved(llama(), tmp_path / "m")
    whole = write_gguf(folder, tmp_path / "whole.gguf")
    assert gguf_target(str(whole)).is_dir()
    lacking = write_gguf(folder, tmp_path / "lacking.gguf", leave_out="model.layers.1.mlp.up_proj.weight")
    line = refusal(lacking)
    assert "lacks 1 of the 21 tensors of LlamaForCausalLM: model.layers.1.mlp.up_proj.weight" in line
    assert not list((cache / "models").glob("lacking-*"))


def test_an_unpacked_model_goes_through_the_same_check(tmp_path):
    folder = saved(llama(), tmp_path / "m")
    edit_tensors(folder, lambda all: {key: value for key, value in all.items() if key != "lm_head.weight"})
    pack(folder, tmp_path / "packed.autoprune")
    unpack(tmp_path / "packed.autoprune", tmp_path / "unpacked")
    assert "lm_head.weight" in refusal(tmp_path / "unpacked")


QUANTISED = {
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 16},
    "awq": {"quant_method": "awq", "bits": 4, "version": "gemm"},
    "bitsandbytes": {"load_in_4bit": True},
    "compressed-tensors": {"quant_method": "compressed-tensors", "format": "pack-quantized"},
    "fp8": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    "mxfp4": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
    "hqq": {"quant_method": "hqq"},
    "torchao": {"quant_method": "torchao", "quant_type": "int4_weight_only"},
    "exl2": {"quant_method": "exl2", "bits": 4.0},
    "no-such-method": {"quant_method": "no-such-method"},
}


@pytest.mark.parametrize("place", ["whole", "text_config"])
@pytest.mark.parametrize("method", QUANTISED)
def test_a_quantised_checkpoint_is_refused_with_its_method(tmp_path, method, place):
    folder = saved(llama(), tmp_path / "m")
    said = {"quantization_config": QUANTISED[method]}
    edit_config(folder, **(said if place == "whole" else {"text_config": said}))
    assert refusal(folder) == f"{folder} is quantised ({method}); give the unquantised model"


@pytest.mark.parametrize(
    ("file", "method"), [("quantize_config.json", "gptq"), ("quant_config.json", "awq"), ("qmodel.pt", "hqq")]
)
def test_so_is_one_of_which_a_file_beside_says_so(tmp_path, file, method):
    folder = saved(llama(), tmp_path / "m")
    (folder / file).write_text("{}")
    assert f"is quantised ({method})" in refusal(folder)


def test_so_is_one_of_mlx(tmp_path):
    folder = saved(llama(), tmp_path / "m")
    edit_config(folder, quantization={"group_size": 64, "bits": 4})
    assert "is quantised (to 4 bits)" in refusal(folder)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8, torch.uint8])
def test_so_is_one_whose_weights_are_no_plain_numbers(tmp_path, dtype):
    folder = saved(llama(), tmp_path / "m")
    edit_tensors(folder, lambda all: {key: value.to(dtype) if "proj" in key else value for key, value in all.items()})
    assert "is quantised (model.layers.0.mlp.down_proj.weight in" in refusal(folder)


@pytest.mark.parametrize("suffix", ["qweight", "weight_packed", "W_q"])
def test_so_is_one_whose_tensors_say_so(tmp_path, suffix):
    folder = saved(llama(), tmp_path / "m")

    def change(all):
        return {key.replace("proj.weight", f"proj.{suffix}"): value for key, value in all.items()}

    edit_tensors(folder, change)
    assert "is quantised (model.layers.0.mlp.down_proj." in refusal(folder)


def test_an_empty_quantisation_is_none(tmp_path):
    folder = saved(llama(), tmp_path / "m")
    edit_config(folder, quantization_config=None)
    assert load(folder).weights > 0


@pytest.mark.parametrize(
    ("setting", "value"),
    [("hidden_size", "wide"), ("num_attention_heads", 0), ("rope_parameters", 7), ("intermediate_size", None)],
)
def test_a_configuration_that_makes_no_sense_is_one_line(tmp_path, setting, value):
    folder = saved(llama(), tmp_path / "m")
    edit_config(folder, **{setting: value})
    assert "cannot be loaded" in refusal(folder)
