"""Pruning on the walk, against independent whole-model implementations, on tiny models of every architecture."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from autoprune.errors import CandidateFailure, UsageError
from autoprune.evaluation.online import OnlineBudget
from autoprune.evaluation.prune import Method, Scorer, prune_blocks
from autoprune.models.bundle import Bundle
from autoprune.models.gradients import collect_gradients
from autoprune.models.observed import Observed
from autoprune.models.saving import count_zeros, save_pruned
from autoprune.models.target import Target, load_target
from autoprune.pruning.allocation.sdsa import SDSA
from autoprune.pruning.layers import LayerInfo, Session
from autoprune.pruning.scores import SCORES, Score
from tests.architectures.families import COMMON, VOCABULARY, tiny
from tests.conftest import save_tokenizer
from tests.models.layer_inputs import layer_inputs

WINDOWS = torch.randint(3, VOCABULARY, (4, 16), generator=torch.Generator().manual_seed(1))


def target_of(family: str) -> Target:
    return Target(tiny(family), None, family)


def share_of(
    share: float, layers: Sequence[LayerInfo], block: Observed
) -> tuple[Mapping[str, int], Mapping[str, float]]:
    return {layer.name: round(share * layer.size) for layer in layers}, {layer.name: share for layer in layers}


class ByFormula:
    """A published score, compared within another group if that is given."""

    edits_defined: frozenset[str] = frozenset()

    def __init__(self, score: Score, block: Observed) -> None:
        self.group = score.group
        self._score, self._block = score, block

    def scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
    ) -> Iterator[tuple[str, Tensor]]:
        for name in layers or ():
            yield name, self._score(self._block.view(name, sparsity[name]))


def opening(score: str) -> Scorer:
    return lambda block: nullcontext(ByFormula(SCORES[score], block))


def prune_for_good(target: Target, score: str, share: float, method: Method, sequential: bool) -> None:
    chosen = SCORES[score]
    gradients = collect_gradients(target, WINDOWS) if "gradient" in chosen.needs else None
    prune_blocks(
        target,
        WINDOWS,
        method,
        partial(share_of, share),
        opening(score),
        target.for_good,
        sequential=sequential,
        hessian="hessian" in chosen.needs,
        dense={"gradient": gradients.__getitem__} if gradients else {},
    )


def block_inputs(target: Target, block: int) -> dict[str, Tensor]:
    """What the layers of a block are given in whole forward passes of the model as it is."""
    return layer_inputs(target, [layer for layer in target.prunable if layer.info.block == block], WINDOWS)


def wanda_row_by_row(weight: Tensor, x: Tensor, zeros: int) -> Tensor:
    rows = len(weight)
    score = weight.double().abs() * x.norm(dim=0)
    pruned = weight.clone()
    for row in range(rows):
        share = zeros // rows + (row < zeros % rows)
        pruned[row, score[row].argsort(stable=True)[:share]] = 0.0
    return pruned


def sparsegpt_column_by_column(weight: Tensor, x: Tensor, zeros: int, block: int = 128) -> Tensor:
    """The paper's algorithm as it is printed, for at most one block of columns."""
    assert weight.shape[1] <= block
    hessian = x.T @ x / len(x)
    hessian += 0.01 * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)
    upper = torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True)
    values = weight.double().clone()
    order = (values.square() / upper.diagonal().square()).flatten().argsort(stable=True)
    keep = torch.ones(values.numel(), dtype=torch.bool)
    keep[order[:zeros]] = False
    keep = keep.view(values.shape)
    for column in range(values.shape[1]):
        error = values[:, column] * ~keep[:, column] / upper[column, column]
        values[:, column] *= keep[:, column]
        values[:, column + 1 :] -= error[:, None] * upper[column, column + 1 :]
    return values.float()


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text", "bloom"])
def test_wanda_equals_whole_passes_and_plain_loops(family, sequential):
    target, reference, dense = target_of(family), target_of(family), target_of(family)
    prune_for_good(target, "wanda", 0.55, Method(), sequential)
    for block in range(3):
        inputs = block_inputs(reference if sequential else dense, block)
        for layer in reference.prunable:
            if layer.info.block == block:
                zeros = round(0.55 * layer.info.size)
                layer.weight.copy_(wanda_row_by_row(layer.weight, inputs[layer.info.name], zeros))
                assert torch.equal(target.live_weight(layer.info.name), layer.weight)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt_neox", "qwen3"])
def test_sparsegpt_equals_whole_passes_and_the_printed_algorithm(family, sequential):
    target, reference, dense = target_of(family), target_of(family), target_of(family)
    prune_for_good(target, "sparsegpt", 0.5, Method("obs", own_masks=True), sequential)
    for block in range(3):
        inputs = block_inputs(reference if sequential else dense, block)
        for layer in reference.prunable:
            if layer.info.block == block:
                expected = sparsegpt_column_by_column(
                    layer.weight, inputs[layer.info.name], round(0.5 * layer.info.size)
                )
                found = target.live_weight(layer.info.name)
                torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-4)
                layer.weight.copy_(found)


@pytest.mark.parametrize("family", COMMON)
def test_every_architecture_keeps_an_exact_budget_through_saving_and_loading(family, tmp_path: Path):
    target = target_of(family)
    save_tokenizer(tmp_path / "tokenizer")
    prune_for_good(target, "wanda", 0.61, Method("obs"), sequential=True)
    wanted = {layer.name: round(0.61 * layer.size) for layer in target.layers}
    for name, zeros in wanted.items():
        weight = target.live_weight(name)
        assert weight.numel() - int(weight.count_nonzero()) == zeros
        assert not bool(((weight == 0) & weight.signbit()).any())
    logits = target.model(WINDOWS).logits
    assert bool(logits.isfinite().all())

    from transformers import AutoTokenizer

    target.tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    exported = save_pruned(target, tmp_path / "out", {}, torch.float32)
    loaded = load_target(str(tmp_path / "out"), "cpu", "float32")
    assert exported.zeros == count_zeros(loaded) == sum(wanted.values())
    torch.testing.assert_close(loaded.model(WINDOWS).logits, logits)


@pytest.mark.parametrize("update", ["none", "obs"])
@pytest.mark.parametrize("score", ["magnitude", "wanda", "ria", "gblm", "pruner-zero", "sparsegpt"])
def test_any_score_goes_with_any_update(score, update):
    target = target_of("llama")
    prune_for_good(target, score, 0.5, Method(update), sequential=False)
    assert count_zeros(target) == sum(round(0.5 * layer.size) for layer in target.layers)


@pytest.mark.parametrize("own_masks", [False, True])
def test_a_pattern_holds_in_every_group(own_masks):
    target = target_of("llama")
    method = Method("obs", (2, 4), own_masks)
    prune_for_good(target, "sparsegpt", 0.5, method, sequential=True)
    for layer in target.layers:
        groups = target.live_weight(layer.name).reshape(-1, 4)
        assert bool((groups.count_nonzero(dim=1) == 2).all())


def test_an_update_comes_nearer_to_the_dense_model_than_none():
    dense = target_of("llama")
    expected = dense.model(WINDOWS).logits
    distance = {}
    for update in ("none", "obs"):
        target = target_of("llama")
        prune_for_good(target, "wanda", 0.5, Method(update), sequential=True)
        distance[update] = float((target.model(WINDOWS).logits - expected).norm())
    assert distance["obs"] < distance["none"]


def test_own_masks_without_an_update_are_refused():
    with pytest.raises(UsageError, match="update none chooses none"):
        Method("none", own_masks=True)


@pytest.mark.parametrize("sparsity", [0.3, 0.6, 0.85])
def test_online_allocation_keeps_the_exact_total(sparsity):
    target = target_of("llama")
    budget = OnlineBudget(target, WINDOWS[:1], SDSA(), sparsity)

    prune_blocks(target, WINDOWS, Method(), budget, opening("wanda"), target.for_good, sequential=True)
    assert count_zeros(target) == round(sparsity * target.weights)


def test_a_block_can_be_read_from_files_too():
    target = target_of("llama")
    paths = []

    def scorer(block: Observed) -> AbstractContextManager[Session]:
        bundle = Bundle(block.path)
        paths.append(block.path)
        for layer in block.layers:
            here, there = block.view(layer.name, 0.5), bundle.view(layer.name, 0.5)
            assert here.__dict__.keys() == there.__dict__.keys()
            assert torch.equal(here.weight, there.weight)
            assert torch.equal(here.hessian, there.hessian)
        return opening("wanda")(block)

    plan = partial(share_of, 0.5)
    with target.edited() as edits:
        prune_blocks(target, WINDOWS, Method(), plan, scorer, edits, sequential=True, hessian=True)
    assert len(paths) == 3
    assert not any(path.exists() for path in paths)


@pytest.mark.parametrize("method", [Method(), Method("obs", refinement="swaps"), Method("obs", own_masks=True)])
def test_every_dense_weight_and_its_mask_are_seen(method):
    target, dense = target_of("llama"), target_of("llama")
    seen: dict[str, Tensor] = {}

    def see(name: str, weight: Tensor, mask: Tensor, updated: Tensor | None) -> None:
        assert (updated is None) == (method.update == "none")
        assert torch.equal(weight, dense.weight(name))
        seen[name] = mask.clone()

    plan = partial(share_of, 0.5)
    prune_blocks(target, WINDOWS, method, plan, opening("wanda"), target.for_good, sequential=True, seen=see)
    assert list(seen) == [layer.name for layer in target.layers]
    assert all(torch.equal(target.live_weight(name) != 0, mask) for name, mask in seen.items())


def test_a_block_of_which_not_all_layers_are_scored_is_the_algorithms_failure():
    class Forgetful(ByFormula):
        def scores(
            self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
        ) -> Iterator[tuple[str, Tensor]]:
            return super().scores(sparsity, (layers or ())[:-1], pattern)

    target, plan = target_of("llama"), partial(share_of, 0.5)
    with target.edited() as edits, pytest.raises(CandidateFailure, match="6 of the 7 layers were scored") as failure:
        prune_blocks(
            target,
            WINDOWS,
            Method(),
            plan,
            lambda block: nullcontext(Forgetful(SCORES["wanda"], block)),
            edits,
            sequential=False,
        )
    assert (failure.value.stage, failure.value.reason) == ("check", "protocol")
    target.verify()
