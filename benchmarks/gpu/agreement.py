"""Agreement of a device with the CPU on a small random model, part by part.

Each part gets the same inputs on both, so that a difference is its own. Where rounding may decide (which of two nearly
equal weights is pruned), what is compared is the error of the layer's output, not the mask.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from autoprune.errors import AutoPruneError, CandidateFailure, first_line
from autoprune.evaluation.perplexity import perplexity, window_losses
from autoprune.evaluation.prune import Method
from autoprune.models.gradients import collect_gradients, collect_output_sensitivity
from autoprune.models.observed import Observed
from autoprune.models.statistics import collect_hessians, collect_inputs
from autoprune.models.target import Target
from autoprune.pruning.masks import make_mask
from autoprune.pruning.refinements.table import NAMES as REFINEMENTS
from autoprune.pruning.refinements.table import spec_of as refinement_of
from autoprune.pruning.scores import SCORES
from autoprune.pruning.updates.table import NAMES as UPDATES
from autoprune.pruning.updates.table import spec_of as update_of
from benchmarks.gpu.clock import OUT_OF_TIME, Clock
from benchmarks.gpu.models import CPU, Size, offloaded_target, small_model, target_of, threads
from benchmarks.gpu.walks import prune_all

FAULTS = (AutoPruneError, CandidateFailure, RuntimeError, TypeError, ValueError, LookupError)
"""What a part raises that does not work on a device, as when tensors of two devices meet."""
EXACT, CLOSE, NEAR, ROUGH = 0.0, 1e-4, 1e-2, 3e-2
"""Tolerances, relative: of selections; of sums in float32; of results that hang on selections; of bfloat16."""
SPARSITY = 0.6
STEP = 0.05
"""To which scores are rounded, so that many are equal."""
Statistics = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class Check:
    """The relative `difference` of one part between device and CPU; None if it failed, for the reason in `note`."""

    part: str
    name: str
    difference: float | None
    tolerance: float
    note: str = ""

    @property
    def holds(self) -> bool:
        return self.difference is not None and self.difference <= self.tolerance


Compare = Callable[[], float]


class Agreement:
    """A small model on the CPU and on a device."""

    def __init__(self, size: Size, device: torch.device) -> None:
        self._size, self._device = size, device
        self._model = small_model(size)
        self._tokens = size.tokens()
        self.cpu = target_of(self._model, CPU, torch.float32)
        self._statistics = self._collected(self.cpu)

    @cached_property
    def other(self) -> Target:
        """The model on the device."""
        return target_of(self._model, self._device, torch.float32)

    @cached_property
    def _other_statistics(self) -> Statistics:
        return self._collected(self.other)

    def checks(self, clock: Clock, skip: Callable[[str], bool] = lambda name: False) -> Iterator[Check]:
        """All parts but those to skip, one after the other, as long as there is time."""
        for part, name, tolerance, compare in self._parts():
            if skip(name):
                continue
            if clock.over:
                yield Check(part, name, None, tolerance, OUT_OF_TIME)
                continue
            try:
                with self._there():
                    check = Check(part, name, compare(), tolerance)
            except FAULTS as error:
                check = Check(part, name, None, tolerance, first_line(error))
            yield check

    def _parts(self) -> Iterator[tuple[str, str, float, Compare]]:
        yield "perplexity", "float32", CLOSE, partial(self._perplexity, torch.float32)
        yield "perplexity", "bfloat16", ROUGH, partial(self._perplexity, torch.bfloat16)
        for name in self._statistics[self._names[0]]:
            yield "statistics", name, NEAR if name == "output_sensitivity" else 10 * CLOSE, partial(self._sums, name)
        for name in SCORES:
            tolerance = NEAR if "hessian" in SCORES[name].needs else 10 * CLOSE  # the inverse amplifies rounding
            yield "scores", name, tolerance, partial(self._score, name)
        for group, pattern in (("row", None), ("matrix", None), ("row", (2, 4))):
            shown = group if pattern is None else "{}:{}".format(*pattern)
            yield "masks", shown, EXACT, partial(self._masks, group, pattern)
        for name in REFINEMENTS:
            yield "swaps", name, NEAR, partial(self._refinement, name)
        for name in UPDATES:
            if update_of(name).apply is not None:
                yield "updates", name, NEAR, partial(self._update, name)
            if update_of(name).choose is not None:
                yield "updates", f"{name}, own masks", NEAR, partial(self._own_masks, name)
        for name, method in WALKS.items():
            yield "walk", name, ROUGH, partial(self._walk, method)
        if self._device.type != "cpu":
            yield "walk", "blocks in host memory", CLOSE, self._offloaded

    def _there(self) -> AbstractContextManager[None]:
        """What a device is compared by: the CPU itself, by one thread."""
        return threads(1) if self._device.type == "cpu" else nullcontext()

    @property
    def _names(self) -> list[str]:
        """The layers of the first block, which has all shapes."""
        return [layer.name for layer in self.cpu.layers if layer.block == 0]

    def _collected(self, target: Target) -> Statistics:
        """All statistics of all layers, by layer and name."""
        collected: Statistics = {name: dict(by_name) for name, by_name in collect_inputs(target, self._tokens).items()}
        hessians = {name: tensor for part in collect_hessians(target, self._tokens) for name, tensor in part.items()}
        further = {
            "hessian": hessians,
            "gradient": collect_gradients(target, self._tokens),
            "output_sensitivity": collect_output_sensitivity(target, self._tokens),
        }
        for statistic, by_layer in further.items():
            for name, tensor in by_layer.items():
                collected[name][statistic] = tensor
        return collected

    def _perplexity(self, dtype: torch.dtype) -> float:
        both = [target_of(self._model, device, dtype) for device in (CPU, self._device)]
        return _apart(*(perplexity(window_losses(target, self._tokens)) for target in both))

    def _sums(self, statistic: str) -> float:
        return max(
            _distance(self._statistics[name][statistic], self._other_statistics[name][statistic])
            for name in self._statistics
        )

    def _score(self, name: str) -> float:
        score = SCORES[name]
        views = [Observed(target.prunable, self._statistics) for target in (self.cpu, self.other)]
        return max(_distance(*(score(view.view(layer, SPARSITY)) for view in views)) for layer in self._names)

    def _masks(self, group: str, pattern: tuple[int, int] | None) -> float:
        """The share of mask bits that differ, for scores with many ties."""
        differing = 0.0
        for name in self._names:
            weight = self.cpu.weight(name)
            scores = (weight.abs() / weight.abs().max() / STEP).round()
            masks = [
                make_mask(scores.to(target.device), target.weight(name), self._zeros(name), group, pattern)
                for target in (self.cpu, self.other)
            ]
            differing += _differing(*masks)
        return differing

    def _refinement(self, name: str) -> float:
        refine = refinement_of(name).refine
        return self._errors_apart(
            lambda target, layer, weight, mask, statistic: (refine(weight, mask, statistic, None, 16), None)
        )

    def _update(self, name: str) -> float:
        spec = update_of(name)
        assert spec.apply is not None
        apply = spec.apply
        return self._errors_apart(
            lambda target, layer, weight, mask, statistic: (
                mask,
                apply(weight, mask, spec.prepare(statistic("hessian"))),
            )
        )

    def _own_masks(self, name: str) -> float:
        spec = update_of(name)
        assert spec.choose is not None
        choose = spec.choose

        def edit(
            target: Target, layer: str, weight: Tensor, mask: Tensor, statistic: Callable[[str], Tensor]
        ) -> tuple[Tensor, Tensor]:
            updated, chosen = choose(weight, self._zeros(layer), spec.prepare(statistic("hessian")), None)
            return chosen, updated

        return self._errors_apart(edit)

    def _errors_apart(self, edit: "Callable[..., tuple[Tensor, Tensor | None]]") -> float:
        """The largest relative difference of a layer's output error after an edit from the same mask."""
        apart = 0.0
        for name in self._names:
            dense, hessian = self.cpu.weight(name), self._statistics[name]["hessian"]
            score = SCORES["wanda"](Observed(self.cpu.prunable, self._statistics).view(name, SPARSITY))
            mask = make_mask(score, dense, self._zeros(name), "row")
            errors = []
            for target in (self.cpu, self.other):
                statistic = partial(_statistic, self._statistics[name], target.device)
                made, updated = edit(target, name, target.weight(name), mask.to(target.device), statistic)
                new = dense * made.cpu() if updated is None else updated.cpu()
                lost = (dense - new).double()
                errors.append(float(((lost @ hessian.double()) * lost).sum()))
            apart = max(apart, _apart(*errors))
        return apart

    def _walk(self, method: Method) -> float:
        """Perplexities after pruning block by block behind pruned blocks."""
        values = []
        for target in (self.cpu, self.other):
            with target.edited() as edits:
                prune_all(target, self._tokens, method, edits, SPARSITY)
                values.append(perplexity(window_losses(target, self._tokens)))
        return _apart(*values)

    def _offloaded(self) -> float:
        """A pruned model whose blocks stay in host memory against one that is on the device."""
        away = offloaded_target(small_model(self._size), self._device, "small")
        values = []
        for target in (self.other, away):
            for method in (Method(), WALKS["SparseGPT"]):
                with target.edited() as edits:
                    prune_all(target, self._tokens, method, edits, SPARSITY)
                    values.append(perplexity(window_losses(target, self._tokens)))
        return max(_apart(values[0], values[2]), _apart(values[1], values[3]))

    def _zeros(self, name: str) -> int:
        return round(SPARSITY * self.cpu.weight(name).numel())


WALKS: Mapping[str, Method] = {
    "Wanda": Method(),
    "Wanda with swaps": Method(refinement="swaps"),
    "SparseGPT": Method(update="obs", own_masks=True),
    "Wanda with ADMM": Method(update="admm"),
}
"""What is pruned block by block."""


def _statistic(statistics: Mapping[str, Tensor], device: torch.device, name: str) -> Tensor:
    return statistics[name].to(device)


def _apart(one: float, other: float) -> float:
    """The relative difference of two positive figures; infinite if one is not finite."""
    return abs(one - other) / abs(one) if math.isfinite(one) and math.isfinite(other) and one else math.inf


def _distance(one: Tensor, other: Tensor) -> float:
    """The norm of the difference of two tensors, relative to that of the first, in float64 on the CPU."""
    one, other = one.cpu().double(), other.cpu().double()
    return float((one - other).norm() / one.norm().clamp_min(1e-300))


def _differing(one: Tensor, other: Tensor) -> float:
    return float((one.cpu() != other.cpu()).double().mean())
