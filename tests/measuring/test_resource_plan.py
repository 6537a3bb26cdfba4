"""What a search will take: phases from a probe, and what would make a model fit."""

import pytest
import torch
from transformers import LlamaConfig

from autoprune.config import Config
from autoprune.errors import AutoPruneError, UsageError
from autoprune.measuring.resource_plan import advice, plan, read_speed
from autoprune.models.footprint import GIB, Footprint, Room
from autoprune.models.loading import empty_model
from tests.conftest import DATA
from tests.models.reductions import random_model

CPU = torch.device("cpu")


def settings(model: object, **more: object) -> Config:
    tree = {"model": str(model), "device": "cpu", "dtype": "float32", "data": DATA, "sandbox": {"engine": "local"}}
    return Config.model_validate({**tree, **more})


def test_every_phase_has_time_and_memory_and_the_search_is_more_than_its_parts(tiny_model):
    found = plan(settings(tiny_model))
    phases = {phase.name: phase for phase in found.phases}
    assert (found.matrices, found.blocks, found.offload, found.advice) == (21, 3, "none", "")
    assert found.fits
    assert all(phase.seconds > 0 and phase.memory.host > 0 and phase.memory.device == 0 for phase in found.phases)
    assert phases["the whole search"].seconds >= 12 * phases["one candidate"].seconds
    assert phases["the whole search"].memory.host == max(phase.memory.host for phase in found.phases)
    assert phases["one candidate"].memory.host > phases["one baseline"].memory.host


def test_refined_baselines_have_a_phase_of_their_own_where_there_are_any(tiny_model):
    phases = {phase.name: phase for phase in plan(settings(tiny_model)).phases}
    assert phases["one refined baseline"].seconds >= phases["one baseline"].seconds
    assert phases["one refined baseline"].memory.host >= phases["one baseline"].memory.host
    without = settings(tiny_model, baselines={"refinements": ["none"]})
    assert "one refined baseline" not in {phase.name for phase in plan(without).phases}


@pytest.mark.parametrize(
    ("structure", "compensate"),
    [("width", "none"), ("heads", "bias"), ("mix", "least-squares"), ("depth", "none")],
)
def test_a_search_of_structures_has_a_plan(tiny_model, structure, compensate):
    search = {"structure": structure, "compensate": compensate}
    found = plan(settings(tiny_model, sparsity=0.15, search=search, offload="disk"))
    phases = {phase.name: phase for phase in found.phases}
    assert found.fits
    assert found.offload == "none"
    assert all(phase.seconds > 0 and phase.memory.host > 0 for phase in found.phases)
    assert phases["the whole search"].seconds >= 12 * phases["one candidate"].seconds
    named = [name for name in phases if name.startswith("one baseline")]
    assert named == ["one baseline", *([f"one baseline, {compensate}"] if compensate != "none" else [])]
    assert "one refined baseline" not in phases


def test_structures_of_blocks_of_several_kinds_have_a_plan(tmp_path):
    random_model("gemma3_text").save_pretrained(tmp_path)
    found = plan(settings(tmp_path, sparsity=0.2, search={"structure": "width"}))
    assert found.fits


def test_structures_that_do_not_fit_are_not_offloaded(tmp_path):
    LlamaConfig(hidden_size=4096, intermediate_size=11_008, num_hidden_layers=32).save_pretrained(tmp_path)
    size, config = Footprint(empty_model(str(tmp_path))), settings("m", search={"structure": "width"})
    assert advice(config, size, torch.float32, CPU, Room(10 * GIB), 0).startswith("it does not fit here; the least is ")


def test_a_model_that_does_not_fit_or_is_not_there_is_one_line(tiny_model):
    with pytest.raises(AutoPruneError, match="does not fit, even block by block"):
        plan(settings(tiny_model, advanced={"memory_gb": 1e-5}))
    with pytest.raises(UsageError, match="there is no model"):
        plan(settings("nobody/no-such-model"))


def test_the_least_change_that_makes_a_model_fit_is_named(tmp_path):
    LlamaConfig(hidden_size=4096, intermediate_size=11_008, num_hidden_layers=32).save_pretrained(tmp_path)
    size = Footprint(empty_model(str(tmp_path)))

    def said(gib: float) -> str:
        return advice(settings("m"), size, torch.float32, CPU, Room(round(gib * GIB)), 0)

    assert said(80) == "it would fit with offload=none dtype=float32"
    assert said(40) == "it would fit with offload=none dtype=bfloat16"
    assert said(10) == "it would fit with offload=disk dtype=float32"
    assert said(0.1).startswith("it does not fit here; the least is ")


def test_a_disk_is_read_at_some_speed(tmp_path):
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    assert read_speed([], cold=False) is None
    assert all((read_speed([tmp_path / "file"], cold=cold) or 0) > 0 for cold in (False, True))
