"""Time and peak memory of pruning a randomly initialised 7B Llama in bfloat16, with all of it on the device, and with
its blocks in host memory, from where they are loaded one by one."""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from autoprune.errors import AutoPruneError, first_line
from autoprune.evaluation.perplexity import window_losses
from autoprune.evaluation.prune import Method
from autoprune.models.statistics import collect_hessians, collect_inputs
from autoprune.models.target import Target
from benchmarks.gpu.clock import OUT_OF_TIME, Clock, OutOfTime
from benchmarks.gpu.models import CPU, Size, made_on, offloaded_target
from benchmarks.gpu.walks import prune_all

SPARSITY = 0.5
WHOLE, BY_BLOCK = "whole on the device", "blocks in host memory"
PLACES = (WHOLE, BY_BLOCK)
METHODS: dict[str, Method] = {
    "Wanda": Method(),
    "Wanda, 16 rounds of swaps": Method(refinement="swaps"),
    "SparseGPT": Method(update="obs", own_masks=True),
    "Wanda, ADMM": Method(update="admm"),
}
SAMPLED = 8
"""Blocks that each method prunes where they are loaded one by one, since all have the same shape."""
OUT_OF_MEMORY = "out of memory"


class Enough(Exception):
    """As many blocks were done as are needed to know what one takes."""


@dataclass(frozen=True)
class Cost:
    """One phase. `seconds`: None if it did not end; `blocks`: how many of the `of` decoder blocks were done;
    `block_seconds`: of the slowest block but the first, which starts the libraries; `peak_bytes`: of the device, the
    model included, None without a GPU."""

    place: str
    phase: str
    seconds: float | None
    blocks: int
    of: int
    block_seconds: float | None = None
    peak_bytes: int | None = None
    note: str = ""


def costs(device: torch.device, size: Size, clock: Clock) -> Iterator[Cost]:
    """Every phase in both places. A phase that finds no memory or no time ends with a note."""
    for place in PLACES if device.type != "cpu" else PLACES[:1]:
        meter = Meter(device, place, size.blocks, clock)
        made: list[Target] = []
        yield meter.measured("model and fingerprint", partial(_make, device, size, place, clock, made))
        for phase, work in _phases(size.tokens()).items():
            if made:
                yield meter.measured(phase, partial(work, made[0], clock))
            else:
                yield Cost(place, phase, None, 0, size.blocks, note="skipped: no model")
        made.clear()
        _free(device)


Work = Callable[[Target, Clock, Callable[[int], None]], None]
"""One phase on a target. The function that it gets is called with the number of each block."""


def _phases(tokens: Tensor) -> dict[str, Work]:
    def forward(target: Target, clock: Clock, begin: Callable[[int], None]) -> None:
        window_losses(target, tokens, clock.check)

    def statistics(target: Target, clock: Clock, begin: Callable[[int], None]) -> None:
        collect_inputs(target, tokens, clock.check)

    def hessians(target: Target, clock: Clock, begin: Callable[[int], None]) -> None:
        for block, _ in enumerate(collect_hessians(target, tokens, clock.check)):
            begin(block)

    def pruned(method: Method, target: Target, clock: Clock, begin: Callable[[int], None]) -> None:
        with target.edited() as edits:
            prune_all(target, tokens, method, edits, SPARSITY, begin, clock.check)

    text = f"{tokens.shape[0]} x {tokens.shape[1]} tokens"
    return {
        f"perplexity, {text}": forward,
        f"statistics, {text}": statistics,
        f"Hessians, {text}": hessians,
        **{name: partial(pruned, method) for name, method in METHODS.items()},
    }


class Meter:
    """Measures the phases in one place."""

    def __init__(self, device: torch.device, place: str, blocks: int, clock: Clock) -> None:
        self._device, self._place, self._of, self._clock = device, place, blocks, clock

    def measured(self, phase: str, work: Callable[[Callable[[int], None]], object]) -> Cost:
        """Run one phase. `work` gets a function to call with the number of each block that it is about to end."""
        if self._clock.over:
            return Cost(self._place, phase, None, 0, self._of, note=OUT_OF_TIME)
        marks: list[float] = []
        most = self._of if self._place == WHOLE else SAMPLED

        def begin(block: int) -> None:
            self._clock.check()
            _wait_for(self._device)
            marks.append(time.perf_counter())
            if len(marks) > most:
                raise Enough

        _free(self._device)
        started = time.perf_counter()
        note, seconds = "", None
        try:
            work(begin)
            _wait_for(self._device)
            seconds = time.perf_counter() - started
        except Enough:
            note = f"stopped after {most} blocks of the same shape"
        except OutOfTime:
            note = f"{OUT_OF_TIME} after {len(marks)} of {self._of} blocks" if marks else OUT_OF_TIME
        except (torch.OutOfMemoryError, MemoryError):
            note = OUT_OF_MEMORY
        except (AutoPruneError, RuntimeError, TypeError, ValueError) as error:
            note = f"failed: {first_line(error)}"
        steps = [later - earlier for earlier, later in pairwise(marks[1:])]
        done = self._of if seconds is not None else max(len(marks) - 1, 0)
        return Cost(self._place, phase, seconds, done, self._of, max(steps, default=None), _peak(self._device), note)


def _make(
    device: torch.device, size: Size, place: str, clock: Clock, made: list[Target], begin: Callable[[int], None]
) -> None:
    model = made_on(device, size)  # where random values take seconds
    clock.check()
    if place == BY_BLOCK:
        model.to(CPU)
        clock.check()
    made.append(Target(model, None, "random") if place == WHOLE else offloaded_target(model, device, "random"))


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _free(device: torch.device) -> None:
    """Give memory back, and measure the peak from here on."""
    gc.collect()  # a target and the hooks of its model refer to each other
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> int | None:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None
