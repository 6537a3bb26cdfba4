"""Estimates a run's time and memory by phase on this machine before it starts, from a measured probe."""

import logging
import os
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from autoprune.config import Config
from autoprune.errors import AutoPruneError
from autoprune.evaluation.memory_estimate import MemoryEstimate, reads_hessians
from autoprune.evaluation.probe import PROBED, Costs, probe
from autoprune.measuring.phase_seconds import Storage, phase_seconds
from autoprune.models.footprint import OFFLOADS, Footprint, Room, choose_offload, free_room, shown
from autoprune.models.loading import DTYPES, choose_device, empty_model, faster_dtype, weight_files
from autoprune.models.target import Target
from autoprune.phases import BASELINE, CANDIDATE, CONFIRMATION, LOAD, REFINED, STATISTICS, UPDATED, WHOLE
from autoprune.progress import progress
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.choose_sandbox import make_sandbox

SAMPLE = 64 * 2**20
"""Bytes that are read to measure the disk's speed."""


@dataclass(frozen=True)
class Phase:
    """One phase: seconds, its peak memory beyond that of libraries, and whether as much is free."""

    name: str
    seconds: float
    memory: Room
    fits: bool


@dataclass(frozen=True)
class ResourcePlan:
    """Phases of a run with `weights` prunable weights in `matrices` of `blocks` decoder blocks. `files`: bytes of the
    weights' files on this machine. `advice`: settings with which it would fit; empty if it fits."""

    model: str
    weights: int
    matrices: int
    blocks: int
    dtype: str
    device: str
    offload: str
    files: int
    read_mb_per_second: float | None
    free: Room
    phases: list[Phase]
    advice: str

    @property
    def fits(self) -> bool:
        return all(phase.fits for phase in self.phases)


def plan(config: Config) -> ResourcePlan:
    """Plan a search with these settings without loading the model; its files are read to measure the disk's speed.

    Raises UsageError for a missing model, AutoPruneError when it does not fit even block by block.
    """
    device = choose_device(config.device)
    empty = empty_model(config.model)
    size = Footprint(empty)
    dtype = faster_dtype(size.matrices, device) if config.dtype == "auto" else DTYPES[config.dtype]
    free = free_room(device, config.advanced.memory_gb)
    whole = config.search.structure is not None  # whose blocks cannot be loaded one by one
    offload = "none" if whole else choose_offload(config.offload, size, dtype, device, free, config.model)
    _check_probe(size, dtype, device, free, config.model)
    files = weight_files(config.model)
    speed = read_speed(files, cold=offload == "disk")
    with closing(make_sandbox(config.sandbox)) as sandbox:
        costs = _probed(config, dtype, device, sandbox)
    needs = MemoryEstimate(size, config, dtype, offload, device.type == "cuda")
    seconds = phase_seconds(config, costs, _stored(size, dtype, files, speed, offload == "disk"))
    rooms = _rooms(config, needs, costs.memory)
    phases = []
    for name in seconds:
        room = rooms.get(name, rooms[REFINED])  # of compensated methods
        phases.append(Phase(name, seconds[name], room, room.fits(free)))
    return ResourcePlan(
        model=config.model,
        weights=size.prunable,
        matrices=size.count,
        blocks=len(size.blocks),
        dtype=str(dtype).removeprefix("torch."),
        device=str(device),
        offload=offload,
        files=sum(file.stat().st_size for file in files),
        read_mb_per_second=speed and speed / 1e6,
        free=free,
        phases=phases,
        advice="" if all(phase.fits for phase in phases) else advice(config, size, dtype, device, free, costs.memory),
    )


def expected_seconds(config: Config, target: Target, sandbox: Sandbox) -> dict[str, float]:
    """Seconds by phase of a search on a target that is loaded, from a probe in its dtype and on its device.

    Raises AutoPruneError if there is no room for the probe beside the target, or it cannot be made.
    """
    size, files = Footprint(empty_model(config.model)), weight_files(config.model)
    device, dtype = target.device, target.dtype
    _check_probe(size, dtype, device, free_room(device, config.advanced.memory_gb), config.model)
    speed = read_speed(files, cold=True) if target.mapped else None
    costs = _probed(config, dtype, device, sandbox)
    return phase_seconds(config, costs, _stored(size, dtype, files, speed, target.mapped))


def _stored(size: Footprint, dtype: torch.dtype, files: list[Path], speed: float | None, on_disk: bool) -> Storage:
    count = sum(file.stat().st_size for file in files)
    return Storage(sum(size.blocks) * dtype.itemsize, len(size.blocks), count, speed, on_disk)


_COSTS: dict[tuple[object, ...], Costs] = {}
"""What was probed, by all that the costs depend on."""


def _probed(config: Config, dtype: torch.dtype, device: torch.device, sandbox: Sandbox) -> Costs:
    """The costs of the model on this machine, remembered in this process. The generators of random numbers are left as
    they were."""
    kind = (*config.baselines.refinements, config.search.structure, config.search.compensate)
    key = (config.model, config.sparsity, config.data.seqlen, kind, dtype, str(device), sandbox.name)
    if key in _COSTS:
        return _COSTS[key]
    sandbox.wait_until_warm()
    make_candidate = partial(Candidate, "probe", sandbox=sandbox)
    with (
        tempfile.TemporaryDirectory(prefix="autoprune-") as folder,
        torch.random.fork_rng(devices=()),  # nothing of a search draws random numbers on a device
        progress("probing this machine", len(PROBED), "models", logging.DEBUG) as advance,
    ):
        _COSTS[key] = probe(config, dtype, device, Path(folder), make_candidate, advance)
    return _COSTS[key]


def read_speed(files: list[Path], cold: bool) -> float | None:
    """Bytes per second of reading the weights' files; None without files. `cold`: from the disk, not its cache."""
    if not files:
        return None
    file = max(files, key=lambda path: path.stat().st_size)
    offset = max(file.stat().st_size - SAMPLE, 0) // 2
    with open(file, "rb", buffering=0) as opened:
        if cold and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(opened.fileno(), offset, SAMPLE, os.POSIX_FADV_DONTNEED)
        opened.seek(offset)
        started = time.perf_counter()
        count = len(opened.read(SAMPLE))
        return count / (time.perf_counter() - started)


def _rooms(config: Config, needs: MemoryEstimate, sandboxed: int) -> dict[str, Room]:
    """Memory by phase."""
    data = config.data
    rooms = {
        LOAD: needs.load(),
        STATISTICS: needs.statistics(),
        BASELINE: needs.measuring(data.search_windows),
        REFINED: needs.measuring(data.search_windows, refined=reads_hessians(config)),
        UPDATED: needs.measuring(data.search_windows, refined=reads_hessians(config)),
        CANDIDATE: needs.measuring(data.search_windows, sandboxed),
        CONFIRMATION: needs.measuring(data.report_windows, sandboxed, reads_hessians(config)),
    }
    largest = Room(max(room.host for room in rooms.values()), max(room.device for room in rooms.values()))
    return {**rooms, WHOLE: largest}


def advice(
    config: Config, size: Footprint, dtype: torch.dtype, device: torch.device, free: Room, sandboxed: int
) -> str:
    """The smallest change of settings with which everything fits; else how much memory would be needed."""
    gpu = device.type == "cuda"
    least: tuple[int, str] | None = None
    for offload in OFFLOADS if config.search.structure is None else OFFLOADS[:1]:
        if offload == "memory" and not gpu:
            continue
        for kind in dict.fromkeys((dtype, torch.bfloat16)):
            room = _rooms(config, MemoryEstimate(size, config, kind, offload, gpu), sandboxed)[WHOLE]
            setting = f"offload={offload} dtype={str(kind).removeprefix('torch.')}"
            if room.fits(free):
                return f"it would fit with {setting}"
            least = min(least or (room.host + room.device, ""), (room.host + room.device, f"{shown(room)} ({setting})"))
    assert least is not None  # at least one kind of offload was tried
    return f"it does not fit here; the least is {least[1]}, and {shown(free)} are free"


def _check_probe(size: Footprint, dtype: torch.dtype, device: torch.device, free: Room, model: str) -> None:
    """Raises AutoPruneError if embeddings, head and two blocks with their pristine copies do not fit."""
    needed = (size.outside + 4 * max(size.blocks)) * dtype.itemsize
    room = Room(device=needed) if device.type == "cuda" else Room(host=needed)
    if not room.fits(free):
        raise AutoPruneError(
            f"a probe of {model} needs {shown(room)}, for embeddings and two blocks; {shown(free)} are free"
        )
