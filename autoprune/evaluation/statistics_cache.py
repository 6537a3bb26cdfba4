"""The cache of calibration statistics on disk, by model, dtype and calibration tokens."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
import transformers
from torch import Tensor

from autoprune.cache import spare_cache, use_spare, writable_cache
from autoprune.downloads import cache_dir
from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.evaluation.texts import Windows
from autoprune.models.bundle import SENSITIVITY, VERSION, join_bundles, widen_bundle, write_bundle
from autoprune.models.footprint import Room, free_room, shown
from autoprune.models.gradients import collect_gradients, collect_output_sensitivity
from autoprune.models.statistics import collect_hessians, collect_inputs
from autoprune.models.target import Target
from autoprune.progress import progress

logger = logging.getLogger(__name__)
PLACE = "statistics"
"""The folder in the user's cache."""
SENSITIVITY_WINDOWS = 4
"""Calibration windows for the output sensitivities of sampled blocks. Few suffice to weigh the rows of an error, and
backward passes are expensive."""
Collected = TypeVar("Collected")
Collector = Callable[[Target, Tensor, Callable[[], None]], Iterable[Collected]]


def _at_once(collect: Callable[[Target, Tensor, Callable[[], None]], Collected]) -> Collector[Collected]:
    """A collector that yields everything as one part."""
    return lambda target, windows, advance: [collect(target, windows, advance)]


_COLLECTORS: dict[str, Collector[dict[str, Tensor]]] = {
    "gradient": _at_once(collect_gradients),
    "hessian": collect_hessians,
    SENSITIVITY: _at_once(collect_output_sensitivity),
}


class StatisticsCache:
    """Creates and finds bundles of one target and one calibration text."""

    def __init__(self, target: Target, calibration: Windows, root: Path) -> None:
        self._target = target
        self._windows = calibration.tokens
        self._root = root
        self.seconds = 0.0
        """Time spent on collecting statistics (and writing those on demand) so far."""
        # The shape is included, since the length of windows changes the statistics.
        text = f"{calibration.fingerprint}/{tuple(calibration.tokens.shape)}"
        versions = f"{torch.__version__}/{transformers.__version__}"
        facts = f"{VERSION}/{target.fingerprint}/{text}/{target.device.type}/{versions}"
        self._name = hashlib.sha256(facts.encode()).hexdigest()[:16]

    def of(self, calibration: Windows) -> "StatisticsCache":
        """A cache of the same target with another calibration text."""
        return StatisticsCache(self._target, calibration, self._root)

    def bundle(self, extra_fields: tuple[str, ...] = ()) -> Path:
        """The directory of the bundle with exactly these on-demand statistics."""
        return self._found_or_made("-".join(["dense", *sorted(extra_fields)]), partial(self._make, extra_fields))

    def sample(self, blocks: Sequence[int]) -> Path:
        """The directory of the bundle with Hessians and output sensitivities of these decoder blocks."""

        def make(path: Path) -> None:
            base, few = self.bundle(), some_of(self._windows, SENSITIVITY_WINDOWS)
            self._log_collecting(f"output sensitivity of {len(blocks)} blocks from {len(few)} windows, their hessian")
            sensitivity = _at_once(partial(collect_output_sensitivity, blocks=blocks))
            parts = {
                "hessian": self._passes("hessian", partial(collect_hessians, blocks=blocks), self._windows),
                SENSITIVITY: self._passes(SENSITIVITY, sensitivity, few),
            }
            widen_bundle(base, path, parts)

        kind = f"dense-sample-of-{'-'.join(map(str, blocks))}-by-{SENSITIVITY_WINDOWS}"
        return self._found_or_made(kind, make)

    def _found_or_made(self, kind: str, make: Callable[[Path], None]) -> Path:
        """The directory of a bundle, created if missing; in the spare cache if this one cannot be written."""
        name = f"{self._name}-{kind}"
        if (path := self._root / name).exists():
            return path
        if self._root == cache_dir() / PLACE:
            self._root = writable_cache() / PLACE
        if (path := self._root / name).exists():
            return path
        try:
            make(path)
        except AutoPruneError as error:  # for example, a full disk
            if spare_cache() is not None or self._root != cache_dir() / PLACE:
                raise
            self._root = use_spare(str(error)) / PLACE
            make(path := self._root / name)
        return path

    def _make(self, extra_fields: tuple[str, ...], path: Path) -> None:
        if not extra_fields:
            self._collect(path)
        elif len(extra_fields) == 1:
            (field,) = extra_fields
            base = self.bundle()
            if field == "gradient":
                self._need_room_for_gradient()
            self._log_collecting(field)
            widen_bundle(base, path, {field: self._passes(field, _COLLECTORS[field], self._windows)})
        else:  # each statistic is collected only once
            join_bundles([self.bundle((field,)) for field in sorted(extra_fields)], path)

    def _collect(self, path: Path) -> None:
        logger.info(f"collecting dense statistics from {len(self._windows)} x {self._windows.shape[1]} tokens")
        (statistics,) = self._passes("statistics", _at_once(collect_inputs), self._windows)
        write_bundle(path, self._target.layers, self._target.weight, statistics)

    def _log_collecting(self, what: str) -> None:
        logger.info(f"collecting {what} from {len(self._windows)} windows")

    def _need_room_for_gradient(self) -> None:
        """Raises CandidateFailure if there is no memory for the sums of gradients, which are as large as the model."""
        needed, device = 4 * sum(layer.size for layer in self._target.layers), self._target.device
        room = Room(device=needed) if device.type == "cuda" else Room(host=needed)
        if not room.fits(free := free_room(device)):
            raise CandidateFailure(
                "start", "memory", f"the gradient needs {shown(room)} beside the model, and {shown(free)} are free"
            )

    def _passes(self, name: str, collect: Collector[Collected], windows: Tensor) -> Iterator[Collected]:
        """Run one collector over calibration windows, with a progress bar."""
        started = time.perf_counter()
        with progress(name, len(windows), "windows", logging.DEBUG, once=True) as advance:
            yield from collect(self._target, windows, lambda: advance(1))
        self.seconds += time.perf_counter() - started


def some_of(windows: Tensor, count: int) -> Tensor:
    """At most `count` of the windows [samples, seqlen], evenly spaced."""
    return windows[:: max(len(windows) // count, 1)][:count]
