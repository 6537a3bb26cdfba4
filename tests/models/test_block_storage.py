"""Blocks that live on disk or elsewhere in memory: the same numbers, one block in memory at a time."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.evaluation.perplexity import window_losses
from autoprune.models.block_storage import PackedMask
from autoprune.models.blocks import decoder_blocks
from autoprune.models.gradients import collect_gradients, collect_output_sensitivity
from autoprune.models.statistics import collect_hessians, collect_inputs
from autoprune.models.target import Target, load_target
from autoprune.pruning.masks import matrix_mask
from tests.architectures.families import COMMON, VOCABULARY, tiny
from tests.models.masked import masked

WINDOWS = torch.randint(3, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(1))
ELSEWHERE = torch.device("cpu", 0)
"""Another name for the same place, so that blocks are really moved."""

Load = Callable[..., Target]


@pytest.fixture
def load(tiny_model: Path, tmp_path: Path, cache: Path) -> Load:
    """Loads a tiny model of a family, saved before, with its blocks where they are wanted."""

    def loaded(family: str, offload: str, dtype: str = "float32", stored: torch.dtype = torch.float32) -> Target:
        folder = tmp_path / f"{family}-{stored}"
        if not folder.exists():
            tiny(family).to(stored).save_pretrained(folder, max_shard_size="20KB")
            for file in tiny_model.glob("*token*"):
                shutil.copy(file, folder)
        return load_target(str(folder), "cpu", dtype, offload=offload)

    return loaded


def masks_of(target: Target) -> dict[str, Tensor]:
    return {
        layer.name: matrix_mask(target.weight(layer.name).abs(), round(0.4 * layer.size)) for layer in target.layers
    }


def in_memory(target: Target) -> list[str]:
    """Names of the parameters of decoder blocks that hold values."""
    return [name for name, each in decoder_blocks(target.model)[1].named_parameters() if not each.is_meta]


@pytest.mark.parametrize("family", COMMON)
def test_losses_of_a_model_on_disk_are_those_of_the_model_in_memory(load, family):
    whole, mapped = load(family, "none"), load(family, "disk")
    assert (whole.mapped, mapped.mapped) == (False, True)
    assert mapped.fingerprint == whole.fingerprint
    assert window_losses(mapped, WINDOWS) == window_losses(whole, WINDOWS)
    masks = masks_of(whole)
    with masked(whole, masks):
        expected = window_losses(whole, WINDOWS)
    with masked(mapped, masks_of(mapped)):
        assert [mapped.zeros(layer.name) for layer in mapped.layers] == [int((~mask).sum()) for mask in masks.values()]
        assert window_losses(mapped, WINDOWS) == expected
        assert torch.equal(mapped.model(WINDOWS).logits[0], _logits(whole, masks)[0])
    assert in_memory(mapped) == []
    assert window_losses(mapped, WINDOWS) == window_losses(whole, WINDOWS) != expected
    mapped.verify()


def _logits(target: Target, masks: dict[str, Tensor]) -> Tensor:
    with masked(target, masks):
        return target.model(WINDOWS).logits


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_the_dtype_of_the_files_need_not_be_that_of_the_model(load, dtype, stored):
    whole, mapped = load("llama", "none", dtype, stored), load("llama", "disk", dtype, stored)
    assert mapped.dtype == whole.dtype
    assert mapped.fingerprint == whole.fingerprint
    assert window_losses(mapped, WINDOWS) == window_losses(whole, WINDOWS)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_statistics_of_a_model_on_disk_are_those_of_the_model_in_memory(load, family):
    whole, mapped = load(family, "none"), load(family, "disk")
    expected, found = collect_inputs(whole, WINDOWS), collect_inputs(mapped, WINDOWS)
    assert found.keys() == expected.keys()
    for name, known in expected.items():
        assert all(torch.equal(found[name][statistic], tensor) for statistic, tensor in known.items())
    for one, other in zip(collect_hessians(whole, WINDOWS), collect_hessians(mapped, WINDOWS), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_at_most_one_block_is_in_memory(load):
    mapped = load("llama", "disk")
    most: list[int] = []

    def look(*ignored: object) -> None:
        most.append(len({name.split(".")[0] for name in in_memory(mapped)}))

    for block in decoder_blocks(mapped.model)[1]:
        block.mlp.register_forward_pre_hook(look)
    window_losses(mapped, WINDOWS)
    mapped.model(WINDOWS)
    collect_inputs(mapped, WINDOWS)
    assert set(most) == {1}


def test_new_weights_are_kept_until_the_end_of_an_edit_or_for_good(load):
    whole, mapped = load("llama", "none"), load("llama", "disk")
    name = mapped.layers[3].name
    before = window_losses(mapped, WINDOWS)
    weight = torch.full(mapped.layers[3].shape, 0.25)
    with mapped.edited() as edits, whole.edited() as edits_of_whole:
        edits.weight(name, weight)
        edits_of_whole.weight(name, weight)
        assert torch.equal(mapped.live_weight(name), weight)
        assert not torch.equal(mapped.weight(name), weight)
        assert window_losses(mapped, WINDOWS) == window_losses(whole, WINDOWS) != before
    assert torch.equal(mapped.live_weight(name), mapped.weight(name))
    assert window_losses(mapped, WINDOWS) == before
    mapped.for_good.weight(name, weight)
    assert torch.equal(mapped.live_weight(name), weight)
    mask = torch.rand(weight.shape) > 0.5
    for target in (mapped, whole):
        target.for_good.mask(name, mask)
        assert torch.equal(target.live_weight(name), target.weight(name) * mask)
        assert torch.equal(target.live_weight(name) != 0, mask)


def test_weights_that_change_while_their_block_is_there_are_felt_at_once_and_later(load):
    mapped = load("llama", "disk")
    name = mapped.layers[0].name
    with mapped.edited() as edits:
        with mapped.visiting(0):
            edits.weight(name, torch.zeros(mapped.layers[0].shape))
            assert mapped.zeros(name) == mapped.layers[0].size
        assert mapped.zeros(name) == mapped.layers[0].size
    assert mapped.zeros(name) < mapped.layers[0].size


@pytest.mark.parametrize("family", ["llama", "bloom"])
def test_blocks_in_host_memory_visit_the_device(load, family):
    whole = load(family, "none")
    away = Target(load(family, "none").model, None, "away", ELSEWHERE)
    assert (away.offloaded, away.mapped) == (True, False)
    assert window_losses(away, WINDOWS) == window_losses(whole, WINDOWS)
    masks = masks_of(whole)
    with masked(whole, masks), masked(away, masks):
        assert window_losses(away, WINDOWS) == window_losses(whole, WINDOWS)
    away.verify()


def test_a_model_that_accelerate_has_spread_out_is_walked_and_masked_like_any_other(load):
    from accelerate import dispatch_model

    whole = load("llama", "none")
    model = load("llama", "none").model
    places = {name: "cpu" for name, each in model.named_modules() if not list(each.children())}
    spread = Target(dispatch_model(model, places, force_hooks=True), None, "spread")
    expected, found = collect_inputs(whole, WINDOWS), collect_inputs(spread, WINDOWS)
    assert all(torch.equal(found[name]["input_norm"], known["input_norm"]) for name, known in expected.items())
    masks = masks_of(whole)
    with masked(whole, masks), masked(spread, masks):
        assert window_losses(spread, WINDOWS) == window_losses(whole, WINDOWS)
    hooked = [each for each in decoder_blocks(model)[1].modules() if hasattr(each, "_hf_hook")]
    assert hooked
    assert all("forward" in vars(each) for each in hooked)


def test_what_needs_the_whole_model_is_refused_in_one_line(load):
    with pytest.raises(UsageError, match=r"the gradient needs all of .* on its device"):
        collect_gradients(load("llama", "disk"), WINDOWS)


@pytest.mark.parametrize("shape", [(5, 7), (8, 16), (1, 1)])
def test_masks_are_held_as_bits(shape):
    mask = torch.rand(shape) > 0.5
    kept = mask.clone()
    packed = PackedMask(mask)
    mask.logical_not_()
    assert packed.mask().dtype == torch.bool
    assert torch.equal(packed.mask(), kept)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_sensitivities_are_the_same_where_blocks_live_on_disk(load, family):
    here, away = (collect_output_sensitivity(load(family, offload), WINDOWS) for offload in ("none", "disk"))
    assert any(bool(sensitivity.any()) for sensitivity in here.values())
    for name, sensitivity in here.items():
        torch.testing.assert_close(away[name], sensitivity, rtol=1e-4, atol=1e-9)
