"""Sizes before anything is loaded, and where a model then goes."""

import pytest
import torch
from transformers import LlamaConfig

from autoprune.errors import AutoPruneError, UsageError
from autoprune.log import log_to
from autoprune.models.footprint import GIB, Footprint, Room, choose_offload, free_room
from autoprune.models.loading import empty_model, weight_files
from autoprune.models.target import load_target

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def size(tiny_model) -> Footprint:
    return Footprint(empty_model(str(tiny_model)))


def chosen(size: Footprint, free: Room) -> str:
    said: list[str] = []
    with log_to(said.append):
        found = choose_offload("auto", size, torch.float32, CPU, free, "tiny")
    assert len(said) == (found != "none")
    return found


def test_sizes_are_those_of_the_loaded_model(size, tiny_target, tiny_model):
    assert (size.prunable, size.count) == (tiny_target.weights, len(tiny_target.layers))
    assert size.outside + sum(size.blocks) == sum(each.numel() for each in tiny_target.model.parameters())
    assert (size.hidden, size.vocabulary) == (32, 384)
    assert [file.name for file in weight_files(str(tiny_model))] == ["model.safetensors"]


def test_a_model_far_larger_than_memory_has_sizes_from_its_configuration_alone(tmp_path):
    LlamaConfig(
        vocab_size=128_000,
        hidden_size=8192,
        intermediate_size=28_672,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=8,
        tie_word_embeddings=True,
    ).save_pretrained(tmp_path)
    size = Footprint(empty_model(str(tmp_path)))
    assert size.outside == 128_000 * 8192 + 8192  # head and embeddings are one, and there is a norm
    assert size.prunable == 80 * 8192 * (2 * 8192 + 2 * 1024 + 3 * 28_672)
    assert choose_offload("auto", size, torch.bfloat16, CPU, Room(400 * GIB), "large") == "none"
    assert choose_offload("auto", size, torch.bfloat16, CPU, Room(20 * GIB), "large") == "disk"
    assert choose_offload("auto", size, torch.bfloat16, GPU, Room(400 * GIB, 24 * GIB), "large") == "memory"
    assert choose_offload("auto", size, torch.bfloat16, GPU, Room(20 * GIB, 24 * GIB), "large") == "disk"


def test_blocks_go_to_disk_where_the_pruned_model_does_not_fit(size):
    whole, least = (size.held(4, offload, gpu=False, pruned=True).host for offload in ("none", "disk"))
    assert least < whole / 2
    assert chosen(size, Room(2 * whole)) == "none"
    assert chosen(size, Room(whole)) == "disk"  # a share is left for the passes
    with pytest.raises(AutoPruneError, match="even block by block") as caught:
        chosen(size, Room(least // 2))
    assert "\n" not in str(caught.value)


def test_what_is_asked_for_is_not_questioned_unless_it_means_nothing(size):
    assert choose_offload("disk", size, torch.float32, CPU, Room(GIB), "tiny") == "disk"
    assert choose_offload("none", size, torch.float32, CPU, Room(0), "tiny") == "none"
    with pytest.raises(UsageError, match="offload=memory is for a GPU"):
        choose_offload("memory", size, torch.float32, CPU, Room(GIB), "tiny")


def test_a_limit_on_memory_sends_blocks_to_disk_and_is_said(size, tiny_model, cache, logged):
    whole = size.held(4, "none", gpu=False, pruned=True).host
    target = load_target(str(tiny_model), "cpu", "float32", memory_gb=whole / GIB)
    assert target.mapped
    assert logged == [f"offload disk: a pruned {tiny_model} does not fit on cpu, so its blocks are loaded one by one"]
    assert free_room(CPU, memory_gb=whole / GIB).host == whole
