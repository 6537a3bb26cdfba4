"""Storage of measurements in the archive of the run and in the user's cache for all runs."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from autoprune.errors import AutoPruneError
from autoprune.evaluation.ladder import EVERYTHING, Ladder, StoppedEarly
from autoprune.evaluation.measurement_cache import MeasurementCache
from autoprune.evaluation.measurement_spec import MeasurementSpec
from autoprune.runs.archive import Archive
from autoprune.runs.measurement import Measurement


@dataclass
class MeasurementStore:
    """Looks measurements up before they are made, and stores them. `cache`: optional. `made`: number of measurements
    that were neither in the archive nor in the cache."""

    archive: Archive
    cache: MeasurementCache | None = None
    made: int = 0
    _alone: dict[str, threading.RLock] = field(default_factory=dict)
    """Locks per key, so that no other thread makes the same measurement meanwhile."""
    _read: dict[str, Measurement] = field(default_factory=dict)
    """Rows of the archive, which never change and are read again for every candidate."""

    def known(self, spec: MeasurementSpec) -> Measurement | None:
        """The measurement in the archive, if any."""
        key = spec.key()
        measured = self._read.get(key) or self.archive.measurement(spec.subject, spec.split, key)
        if measured is not None:
            self._read[key] = measured
        return measured

    def get(
        self,
        spec: MeasurementSpec,
        conditions: dict[str, Any],
        measure: Callable[[], Measurement],
        ladder: Ladder = EVERYTHING,
    ) -> Measurement:
        """The stored measurement, else the result of `measure`, which is stored. `conditions`: for the key of the
        cache.

        Raises what `measure` raises, and what the ladder raises for a stored measurement.
        """
        with self._alone.setdefault(spec.key(), threading.RLock()):
            stored = self.known(spec)
            if stored is not None and ladder is not EVERYTHING:
                # From before the run was resumed, or from the run that it is a fork of: it ends as if measured now.
                ladder.replay(stored)
            elif stored is None:
                cache_key = spec.cache_key(**conditions) if self.cache else ""
                measured = self.cache.find(cache_key, ladder) if self.cache else None
                if measured is None:
                    self.made += 1
                    try:
                        measured = measure()
                    except StoppedEarly as stopped:
                        self._keep(cache_key, stopped.partial)
                        raise
                    self._keep(cache_key, measured)
                self.archive.add_measurement(spec.key(), measured)
                stored = self.known(spec)
        if stored is None:
            raise AutoPruneError(f"the archive did not keep the measurement of {spec.subject}")
        return stored

    def _keep(self, key: str, measured: Measurement) -> None:
        if self.cache:
            self.cache.put(key, measured)
