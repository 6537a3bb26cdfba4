"""A probe: what a bench costs that is made of one or two of a model's own decoder blocks, and of the whole from that.

Embeddings, head and blocks have the model's shapes and random values, so nothing of it is loaded. What is timed is the
very code of a run. Every time is a straight line in the number of blocks, and in that of windows where passes are.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autoprune.config import Config
from autoprune.config_values import SWAP_ROUNDS, Refinement
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Algorithm, Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import measure
from autoprune.evaluation.perplexity import check_length, windows_per_pass
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.statistics_cache import StatisticsCache
from autoprune.evaluation.texts import SPLITS, Windows
from autoprune.log import quiet
from autoprune.models.blocks import decoder_blocks, text_config
from autoprune.models.identity import checksum
from autoprune.models.loading import empty_model
from autoprune.models.statistics import collect_inputs
from autoprune.models.target import Target

REPEATS = 2
"""The shortest of so many times counts: anything else that happens on the machine only adds."""
SCALE = 0.02
"""Standard deviation of the random values, as models are initialised."""
CANDIDATE = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"
"""The source that stands for a candidate."""

MakeCandidate = Callable[[str], Algorithm]
"""From a source to an algorithm that runs in a sandbox."""


@dataclass(frozen=True)
class Costs:
    """Seconds: of passes over one window, and of what is done once.

    `collect`, `loss`: a calibration window with its statistics, and a window of another split. `hessian`: a calibration
    window with full Hessians. `write`: statistics and weights to disk. `hash`: over all parameters. `score`: scores,
    masks, and all of a measurement but its passes; `refined`: the same with swaps; `candidate`: the same in the
    sandbox, which then took `memory` bytes.
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
        """Those of a model of so many blocks, when these are of one."""

        def line(name: str) -> float:
            first, second = getattr(self, name), getattr(two, name)
            return float(first + (blocks - 1) * max(second - first, 0.0))

        times = {field.name: line(field.name) for field in fields(self) if field.name != "memory"}
        return Costs(**times, memory=max(self.memory, two.memory))


@quiet()
def probe(
    config: Config, dtype: torch.dtype, device: torch.device, folder: Path, make_candidate: MakeCandidate
) -> Costs:
    """The costs of the configured model on this machine, as `folder` is one to write bundles to.

    Without the reconstruction errors of sampled blocks: one or two blocks would all be sampled.
    Needs room for embeddings, head and two blocks. Raises UsageError for a model that is not there, and for one whose
    blocks need each other.
    """
    costs: list[Costs] = []
    config = config.model_copy(update={"advanced": config.advanced.model_copy(update={"layer_error": None})})
    for blocks in (1, 1, 2):  # the first only wakes everything up
        try:
            target = Target(stack(config.model, blocks, dtype, device), None, config.model)
        except UsageError as error:
            raise UsageError(f"no plan: one or two decoder blocks do not run without the others ({error})") from None
        costs.append(_costs(target, config, folder / str(len(costs)), make_candidate))
    blocks = len(decoder_blocks(empty_model(config.model))[1])
    return costs[1].of_blocks(costs[2], blocks)


def stack(name: str, blocks: int, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """A model with so many of the blocks from the middle of this one, with random values."""
    model: Any = empty_model(name)
    path, listed = decoder_blocks(model)
    start = max(min(len(listed) // 2, len(listed) - blocks), 0)
    model.set_submodule(path, nn.ModuleList(list(listed)[start : start + blocks]))
    text_config(model).num_hidden_layers = len(listed[start : start + blocks])
    made: dict[nn.Parameter, nn.Parameter] = {}  # tied ones stay tied
    for module in model.modules():
        for key, parameter in list(module.named_parameters(recurse=False)):
            if parameter not in made:
                values = torch.empty(parameter.shape, dtype=dtype, device=device).normal_(0.0, SCALE)
                made[parameter] = nn.Parameter(values, requires_grad=False)
            setattr(module, key, made[parameter])
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
    passes: list[float] = []
    sandboxed: list[int] = []

    def measured(algorithm: Algorithm, refinement: Refinement = "none") -> None:
        measurement = measure(bench, algorithm, Recipe(config.sparsity, refinement=refinement, rounds=1), "search")
        passes.append(measurement.seconds["eval"])
        sandboxed.append(measurement.memory_bytes or 0)

    published = Published.named("wanda")
    score = _shortest(lambda: measured(published))
    hessian = one_round = 0.0
    if "swaps" in config.baselines.refinements:
        bench.take_statistics_seconds()
        bench.hessians(wanted=True)
        hessian = bench.take_statistics_seconds()
        one_round = max(_shortest(lambda: measured(published, "swaps")) - score, 0.0)
    candidate = _shortest(lambda: measured(make_candidate(CANDIDATE)))
    loss = min(passes)
    return Costs(
        collect=collect / batch,
        hessian=hessian / batch,
        loss=loss / batch,
        write=write,
        hash=_shortest(lambda: checksum(target.model)),
        score=max(score - loss, 0.0),
        refined=max(score - loss, 0.0) + SWAP_ROUNDS * one_round,
        candidate=max(candidate - loss, 0.0),
        memory=max(sandboxed),
    )


def _shortest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
