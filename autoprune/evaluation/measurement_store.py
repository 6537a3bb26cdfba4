"""Every measurement is kept: in the archive of the run, and for all runs in the user's cache."""

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
    """Nothing is measured twice. `cache`: None to do without."""

    archive: Archive
    cache: MeasurementCache | None = None
    _alone: dict[str, threading.RLock] = field(default_factory=dict)
    """Held while one thing is measured, so that nobody measures it a second time meanwhile."""
    _read: dict[str, Measurement] = field(default_factory=dict)
    """What was read from the archive before: every candidate is compared with all before it, and a row never
    changes."""

    def known(self, spec: MeasurementSpec) -> Measurement | None:
        """What the archive holds."""
        key = spec.key()
        found = self._read.get(key) or self.archive.measurement(spec.subject, spec.split, key)
        if found is not None:
            self._read[key] = found
        return found

    def get(
        self,
        spec: MeasurementSpec,
        conditions: dict[str, Any],
        measure: Callable[[], Measurement],
        ladder: Ladder = EVERYTHING,
    ) -> Measurement:
        """What is known, else what `measure` finds, which is kept. `conditions`: of the cache's key, beside the spec.

        Raises what `measure` raises, and what the ladder raises of a measurement that is known.
        """
        with self._alone.setdefault(spec.key(), threading.RLock()):
            known = self.known(spec)
            if known is not None and ladder is not EVERYTHING:
                # By an earlier life of the run, or by the run that this is a fork of: it ends as if measured now.
                ladder.replay(known)
            elif known is None:
                cached = spec.cache_key(**conditions) if self.cache else ""
                found = self.cache.find(cached, ladder) if self.cache else None
                if found is None:
                    try:
                        found = measure()
                    except StoppedEarly as stopped:
                        self._keep(cached, stopped.partial)
                        raise
                    self._keep(cached, found)
                self.archive.add_measurement(spec.key(), found)
                known = self.known(spec)
        if known is None:
            raise AutoPruneError(f"the archive did not keep the measurement of {spec.subject}")
        return known

    def _keep(self, key: str, measured: Measurement) -> None:
        if self.cache:
            self.cache.put(key, measured)
