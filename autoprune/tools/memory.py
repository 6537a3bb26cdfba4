"""What was measured, kept: in the archive of the run, and for all runs in the user's cache."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from autoprune.errors import AutoPruneError
from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.measurement_cache import Known, MeasurementCache
from autoprune.runs.archive import Archive, Measured
from autoprune.tools.rows import measurement_of, row_of


@dataclass
class Memory:
    """Nothing is measured twice. `cache`: None to do without."""

    archive: Archive
    cache: MeasurementCache | None = None
    _alone: dict[tuple[str, str, str], threading.RLock] = field(default_factory=dict)
    """Held while one thing is measured, so that nobody measures it a second time meanwhile."""
    _read: dict[tuple[str, str, str], Measured] = field(default_factory=dict)
    """Rows of the archive that were asked for before: every candidate is compared with all before it, and a row never
    changes."""

    def known(self, subject: str, split: str, settings: str) -> Measured | None:
        """What the archive holds of a subject under these settings."""
        key = subject, split, settings
        row = self._read.get(key) or self.archive.measurement(*key)
        if row is not None:
            self._read[key] = row
        return row

    def remember(
        self,
        subject: str,
        split: str,
        settings: str,
        key: Callable[[], str],
        measure: Callable[[], Known],
        ladder: Ladder = EVERYTHING,
    ) -> Measured:
        """What is known of a subject under these settings, else what `measure` finds, which is kept.

        `settings`: all that the measurement depends on, for the archive; `key`: the same for the cache. Raises what
        `measure` raises, and what the ladder raises of a measurement that is known.
        """
        with self._alone.setdefault((subject, split, settings), threading.RLock()):
            known = self.known(subject, split, settings)
            if known is not None and ladder is not EVERYTHING:
                # By an earlier life of the run, or by the run that this is a fork of: it ends as if measured now.
                ladder.replay(measurement_of(known))
            elif known is None:
                found = self.cache.measure_once(key(), ladder, measure) if self.cache else measure()
                self.archive.add_measurement(row_of(subject, settings, *found))
                known = self.known(subject, split, settings)
        if known is None:
            raise AutoPruneError(f"the archive did not keep the measurement of {subject}")
        return known
