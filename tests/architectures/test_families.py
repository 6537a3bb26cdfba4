"""Every family of causal language models, tiny and random: what is measured equals what transformers computes, and
Wanda's masks equal a few independent lines on whole forward passes, in memory and on disk."""

import shutil
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.perplexity import window_losses
from autoprune.evaluation.probe import probe
from autoprune.models.statistics import collect_inputs
from autoprune.models.target import load_target
from autoprune.pruning.masks import make_mask
from autoprune.pruning.scores import SCORES
from tests.architectures.families import LOOPS, QUICK, SLOW, VOCABULARY, tiny

WINDOWS = torch.randint(3, VOCABULARY, (3, 20), generator=torch.Generator().manual_seed(1))
KEPT = 0.5


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Any:
    """The directory of a family's model, made when it is first asked for."""
    home = tmp_path_factory.mktemp("families")

    @cache
    def directory(family: str) -> Path:
        tiny(family).save_pretrained(home / family)
        for file in tiny_model.glob("*token*"):
            shutil.copy(file, home / family)
        return home / family

    return directory


def losses_by_transformers(model: nn.Module) -> list[float]:
    with torch.inference_mode():
        return [float(model(row[None], labels=row[None], use_cache=False).loss) for row in WINDOWS]


def wanda_by_hand(model: nn.Module) -> dict[str, Tensor]:
    """Module -> mask [out, in] of its weight, from hooks on whole forward passes: |W| times the norm of the inputs, the
    smaller half of each row removed; of the experts stacked in a parameter, `<module>.<expert>.<parameter>`."""
    squares: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64))
    weights: dict[str, Tensor] = {}

    def note(name: str, weight: Tensor, inputs: Tensor) -> None:
        weights[name] = weight
        squares[name] = squares[name] + inputs.reshape(-1, inputs.shape[-1]).double().square().sum(0)

    def linear(name: str) -> Any:
        return lambda module, args: note(
            name, module.weight.T if isinstance(module, Conv1D) else module.weight, args[0]
        )

    def experts(name: str) -> Any:
        def hook(module: Any, args: tuple[Tensor, ...]) -> None:
            rows, index = args[0].reshape(-1, args[0].shape[-1]), args[1]
            turn = (lambda w: w.T) if module.is_transposed else (lambda w: w)
            up = "gate_up_proj" if hasattr(module, "gate_up_proj") else "up_proj"
            bias = getattr(module, f"{up}_bias", torch.zeros(module.num_experts, 1))
            for expert in range(module.num_experts):
                given = rows[(index == expert).any(-1)]
                if len(given):
                    first, second = turn(getattr(module, up)[expert]), turn(module.down_proj[expert])
                    hidden = given @ first.T + bias[expert]
                    between = module._apply_gate(hidden) if up == "gate_up_proj" else module.act_fn(hidden)
                    note(f"{name}.{expert}.{up}", first, given)
                    note(f"{name}.{expert}.down_proj", second, between)

        return hook

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | Conv1D):
            module.register_forward_pre_hook(linear(name))
        elif hasattr(module, "is_transposed"):
            module.register_forward_pre_hook(experts(name))
    with torch.inference_mode():
        for row in WINDOWS:
            model(row[None], use_cache=False)
    masks = {}
    for name, weight in weights.items():
        score = weight.double().abs() * squares[name].sqrt()
        order = score.argsort(dim=1, stable=True)
        masks[name] = torch.ones_like(score, dtype=torch.bool).scatter_(1, order[:, : order.shape[1] // 2], False)
    return masks


@pytest.mark.parametrize("family", [*QUICK, *(pytest.param(each, marks=pytest.mark.long) for each in SLOW)])
def test_perplexity_and_masks_of_a_family_are_those_of_whole_passes(family, saved, cache):
    plain = AutoModelForCausalLM.from_pretrained(saved(family), dtype=torch.float32).eval()
    losses, masks = losses_by_transformers(plain), wanda_by_hand(plain)
    for offload in ("none", "disk"):
        target = load_target(str(saved(family)), "cpu", "float32", offload=offload)
        assert window_losses(target, WINDOWS) == pytest.approx(losses, rel=1e-5)
        statistics = collect_inputs(target, WINDOWS)
        for layer in target.layers:
            weight, norm = target.weight(layer.name), statistics[layer.name]["input_norm"]
            mask = make_mask(weight.abs() * norm, weight, weight.numel() // 2, SCORES["wanda"].group)
            if layer.name in masks:
                assert torch.equal(mask, masks[layer.name]), layer.name
            else:
                assert "experts" in layer.name, layer.name
        target.verify()


@pytest.mark.parametrize("family", LOOPS)
def test_a_family_that_loops_over_its_blocks_is_evaluated_but_not_pruned(family, saved, cache):
    plain = AutoModelForCausalLM.from_pretrained(saved(family), dtype=torch.float32).eval()
    target = load_target(str(saved(family)), "cpu", "float32", offload="none")
    assert window_losses(target, WINDOWS) == pytest.approx(losses_by_transformers(plain), rel=1e-5)
    line = (
        f"{saved(family)} is a {type(plain).__name__}, whose decoder blocks cannot be passed one at a time "
        f"({LOOPS[family]}); it can be evaluated with offload=none, but not pruned"
    )
    with pytest.raises(UsageError) as caught:
        collect_inputs(target, WINDOWS)
    assert str(caught.value) == line
    with pytest.raises(UsageError) as caught:
        window_losses(load_target(str(saved(family)), "cpu", "float32", offload="disk"), WINDOWS)
    assert str(caught.value) == line


@pytest.mark.parametrize("family", ["gemma3n_text", "gemma4_text", "zamba2"])
def test_a_family_whose_blocks_need_each_other_has_no_plan_and_one_line_says_so(family, saved, tmp_path):
    config = Config.model_validate({"model": str(saved(family)), "device": "cpu", "dtype": "float32"})
    with pytest.raises(UsageError, match="no plan: one or two decoder blocks do not run without the others") as caught:
        probe(config, torch.float32, torch.device("cpu"), tmp_path, lambda source: Published.named("wanda"))
    assert "\n" not in str(caught.value)
