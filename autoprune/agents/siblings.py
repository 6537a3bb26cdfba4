"""What the slots of a generation know of each other: the later ones see what the earlier ones have proposed.

So they propose one after the other, which makes what each is told the same in every life of the run; measuring goes on
meanwhile.
"""

import threading

from autoprune.runs.archive import Archive
from autoprune.runs.names import SlotId


class Siblings:
    """Safe to use from the threads of one process, in which all slots of a generation run at the same time."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._answered: dict[str, threading.Event] = {}

    def answered(self, slot: str) -> None:
        """A slot's proposer came to an end, with or without a proposal."""
        self._event(slot).set()

    def before(self, slot: str) -> list[str]:
        """What earlier slots of its generation have proposed at first, a line each. Waits until they have."""
        generation, place = SlotId.parse(slot)
        earlier = [str(SlotId(generation, number)) for number in range(1, place)]
        for each in earlier:
            if not self._ended(each, generation):
                self._event(each).wait()
        first = {each.slot: each for each in self._archive.proposals(generation) if each.revision == 0}
        return [
            f"- [{each}] {first[each].operator}: {first[each].thought.get('idea') or '(no idea was given)'}"
            for each in earlier
            if each in first
        ]

    def _ended(self, slot: str, generation: int) -> bool:
        """Whether it proposed in an earlier life of the run, or ended there."""
        proposed = any(each.slot == slot for each in self._archive.proposals(generation))
        return proposed or any(each.slot == slot for each in self._archive.outcomes(generation))

    def _event(self, slot: str) -> threading.Event:
        with self._lock:
            return self._answered.setdefault(slot, threading.Event())
