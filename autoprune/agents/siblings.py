"""The slots of a generation propose in order, and each prompt shows the proposals of the earlier slots.

The fixed order gives each slot the same prompt when the run is resumed; measurements continue in parallel.
"""

import threading

from autoprune.config_values import WITHOUT_MODEL
from autoprune.runs.archive import Archive
from autoprune.runs.names import SlotId


class Siblings:
    """Thread-safe: all slots of a generation run at the same time in one process."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._answered: dict[str, threading.Event] = {}

    def answered(self, slot: str) -> None:
        """Mark a slot's proposer as done, with or without a proposal."""
        self._event(slot).set()

    def before(self, slot: str) -> list[str]:
        """The first proposals of the generation's earlier slots, one line each. Waits until they are done.

        Slots whose operator needs no model are left out: they take minutes, and hold nothing new.
        """
        generation, place = SlotId.parse(slot)
        earlier = [str(SlotId(generation, number)) for number in range(1, place)]
        for name in earlier:
            if not self._ended(name, generation):
                self._event(name).wait()
        first = {proposal.slot: proposal for proposal in self._archive.proposals(generation) if proposal.revision == 0}
        return [
            f"- [{name}] {first[name].operator}: {first[name].thought.get('idea') or '(no idea was given)'}"
            for name in earlier
            if name in first and first[name].operator not in WITHOUT_MODEL
        ]

    def _ended(self, slot: str, generation: int) -> bool:
        """Whether the slot has proposed or ended in an earlier session of the run."""
        proposed = any(proposal.slot == slot for proposal in self._archive.proposals(generation))
        return proposed or any(outcome.slot == slot for outcome in self._archive.outcomes(generation))

    def _event(self, slot: str) -> threading.Event:
        with self._lock:
            return self._answered.setdefault(slot, threading.Event())
