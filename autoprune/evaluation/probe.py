"""Estimates of the cost of a run, from timing its code on models of one and two decoder blocks.

These have the model's embeddings, head and block shapes with random values, so no weights are loaded. Times are
extrapolated linearly in the number of blocks, and of windows for passes.
"""

import gc
import time
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autoprune.config import Config
from autoprune.config_values import Refinement
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Algorithm, Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import measure
from autoprune.evaluation.perplexity import check_length, windows_per_pass
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.statistics_cache import StatisticsCache
from autoprune.evaluation.structured_evaluator import measure_structured
from autoprune.evaluation.structured_recipe import PublishedStructured, RanksStructures, StructuredRecipe
from autoprune.evaluation.texts import SPLITS, Windows
from autoprune.log import quiet
from autoprune.models.blocks import decoder_blocks, text_config
from autoprune.models.identity import checksum
from autoprune.models.loading import empty_model
from autoprune.models.reduce_families import family_of
from autoprune.models.statistics import collect_inputs
from autoprune.models.target import Target
from autoprune.pruning.refinements import table as refinements
from autoprune.pruning.structures.spec import BLOCK
from autoprune.runs.measurement import Measurement

PROBED = (1, 1, 2)
"""Decoder blocks of the models that are timed; the first one is a warm-up."""
REPEATS = 2
"""Repetitions of each timing, of which the shortest counts."""
SCALE = 0.02
"""Standard deviation of the random values, as in the initialisation of models."""
CANDIDATE = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"
STRUCTURED_CANDIDATE = """STRUCTURE = {kinds}


def score(structures):
    return sum(part.weight.abs().flatten(1).sum(1) for part in structures.parts)
"""
"""The sources of typical candidates."""

MakeCandidate = Callable[[str], Any]
"""From a source to an algorithm in a sandbox, of weights or of structures by its text."""


@dataclass(frozen=True)
class Costs:
    """Seconds per window (collect, hessian, loss) or in total.

    `collect`: statistics of a calibration window. `hessian`: its full Hessians. `loss`: of a window. `write`:
    statistics and weights to disk. `hash`: of all parameters. `score`: all of a measurement except its passes;
    `refined`: the same with the slowest refinement of baselines, or with the compensation of structures; `candidate`:
    the same in the sandbox, which needs `memory` bytes.
    """

    collect: float
    hessian: float
    loss: float
    write: float
    hash: float
    score: float
    refined: float
    candidate: float
    memory: int = 0

    def of_blocks(self, two: "Costs", blocks: int) -> "Costs":
        """Extrapolate from these costs of one block and those of two to a number of blocks."""

        def line(name: str) -> float:
            first, second = getattr(self, name), getattr(two, name)
            return float(first + (blocks - 1) * max(second - first, 0.0))

        times = {field.name: line(field.name) for field in fields(self) if field.name != "memory"}
        return Costs(**times, memory=max(self.memory, two.memory))


@quiet()
def probe(
    config: Config,
    dtype: torch.dtype,
    device: torch.device,
    folder: Path,
    make_candidate: MakeCandidate,
    advance: Callable[[int], None] = lambda count: None,
) -> Costs:
    """The costs of the configured model on this machine. `folder`: for bundles. `advance`: called after each of
    PROBED.

    Reconstruction errors of sampled blocks are not measured, since all blocks would be sampled. Needs memory for
    embeddings, head and two blocks. Raises UsageError for a missing model, and if its blocks depend on each other.
    """
    costs: list[Costs] = []
    config = config.model_copy(update={"advanced": config.advanced.model_copy(update={"layer_error": None})})
    per_block = family_of(empty_model(config.model), config.model).per_block if config.search.kinds else ()
    for blocks in PROBED:
        try:
            target = Target(stack(config.model, blocks, dtype, device, per_block), None, config.model)
        except UsageError as error:
            raise UsageError(f"no plan: one or two decoder blocks do not run without the others ({error})") from None
        costs.append(_costs(target, config, folder / str(len(costs)), make_candidate))
        advance(1)
    blocks = len(decoder_blocks(empty_model(config.model))[1])
    return costs[1].of_blocks(costs[2], blocks)


def stack(name: str, blocks: int, dtype: torch.dtype, device: torch.device, per_block: Sequence[str] = ()) -> nn.Module:
    """The model reduced to some of its middle blocks, with random values. `per_block`: keys of its configuration whose
    lists are cut too, so that it describes the model."""
    model: Any = empty_model(name)
    path, listed = decoder_blocks(model)
    start = max(min(len(listed) // 2, len(listed) - blocks), 0)
    model.set_submodule(path, nn.ModuleList(list(listed)[start : start + blocks]))
    text_config(model).num_hidden_layers = len(listed[start : start + blocks])
    for key in per_block:
        if (values := getattr(text_config(model), key, None)) is not None:
            setattr(text_config(model), key, values[start : start + blocks])
    filled: dict[nn.Parameter, nn.Parameter] = {}  # keeps tied parameters tied
    for module in model.modules():
        for key, parameter in list(module.named_parameters(recurse=False)):
            if parameter not in filled:
                values = torch.empty(parameter.shape, dtype=dtype, device=device).normal_(0.0, SCALE)
                filled[parameter] = nn.Parameter(values, requires_grad=False)
            setattr(module, key, filled[parameter])
    return model.to(device)


def _costs(target: Target, config: Config, folder: Path, make_candidate: MakeCandidate) -> Costs:
    check_length(target, config.data.seqlen)
    vocabulary = target.model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    batch = windows_per_pass(target.dtype)
    tokens = torch.randint(vocabulary, (batch, config.data.seqlen), generator=torch.Generator().manual_seed(0))
    windows = {split: Windows(split, "probe", tokens, f"probe-{split}") for split in SPLITS}
    collect = _shortest(lambda: collect_inputs(target, tokens))
    started = time.perf_counter()
    bench = Bench(target, windows, config, StatisticsCache(target, windows["calibration"], folder))
    write = max(time.perf_counter() - started - collect, 0.0)
    blocks_alone = config.search.kinds == (BLOCK,)  # of one block none can be removed; masking costs more than that
    times = _of_structures if config.search.kinds and not blocks_alone else _of_weights
    return Costs(
        collect=collect / batch,
        write=write,
        hash=_shortest(lambda: checksum(target.model)),
        **times(bench, config, make_candidate, batch),
    )


class _Measured:
    """The passes and the memory of some measurements."""

    def __init__(self) -> None:
        self._passes: list[float] = []
        self._memory: list[int] = []

    def add(self, measurement: Measurement) -> None:
        self._passes.append(measurement.seconds["eval"])
        self._memory.append(measurement.memory_bytes or 0)

    def costs(self, batch: int, hessian: float, score: float, more: float, candidate: float) -> dict[str, Any]:
        """Costs of measuring by name. `score`, `candidate`: seconds with passes over a batch; `more`: what the slowest
        refinement adds."""
        loss = min(self._passes)
        return {
            "hessian": hessian / batch,
            "loss": loss / batch,
            "score": max(score - loss, 0.0),
            "refined": max(score - loss, 0.0) + more,
            "candidate": max(candidate - loss, 0.0),
            "memory": max(self._memory),
        }


def _of_weights(bench: Bench, config: Config, make_candidate: MakeCandidate, batch: int) -> dict[str, Any]:
    made = _Measured()

    def measured(algorithm: Algorithm, refinement: Refinement = "none") -> None:
        made.add(measure(bench, algorithm, Recipe(config.sparsity, refinement=refinement, rounds=1), "search"))

    published = Published.named("wanda")
    score = _shortest(lambda: measured(published))
    hessian = _hessians(bench) if refinements.any_reads(config.baselines.refinements, "hessian") else 0.0
    refined = 0.0
    for name in config.baselines.refinements:
        if name != refinements.NONE:
            one_round = max(_shortest(partial(measured, published, name)) - score, 0.0)
            refined = max(refined, refinements.spec_of(name).rounds * one_round)
    candidate = _shortest(lambda: measured(make_candidate(CANDIDATE)))
    return made.costs(batch, hessian, score, refined, candidate)


def _of_structures(bench: Bench, config: Config, make_candidate: MakeCandidate, batch: int) -> dict[str, Any]:
    made, way = _Measured(), config.search.compensate
    assert config.search.structure is not None
    recipe = StructuredRecipe(config.search.structure, config.sparsity, "magnitude")

    def measured(algorithm: RanksStructures, compensate: str = "none") -> None:
        made.add(measure_structured(bench, algorithm, replace(recipe, compensate=compensate), "search"))

    published = PublishedStructured(recipe.algorithm)
    score = _shortest(lambda: measured(published))
    hessian = _hessians(bench) if way == "least-squares" else 0.0
    compensated = _shortest(lambda: measured(published, way)) if way != "none" else score
    source = STRUCTURED_CANDIDATE.format(kinds=config.search.kinds)
    candidate = _shortest(lambda: measured(make_candidate(source), way))
    return made.costs(batch, hessian, score, max(compensated - score, 0.0), candidate)


def _hessians(bench: Bench) -> float:
    """Seconds of collecting them."""
    bench.take_statistics_seconds()
    bench.statistics(hessian=True)
    return bench.take_statistics_seconds()


def _shortest(work: Callable[[], object]) -> float:
    # A real run collects garbage, too, without which memory on a device is not freed.
    return min(timeit.repeat(work, setup=gc.enable, number=1, repeat=REPEATS))
