"""What a strong model leaves in a run: long sources, a long reasoning, a formula, and a sentence about the best."""

from typing import Any

from autoprune.report.picture import Picture
from autoprune.runs.archive import Archive, Proposal
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog, read_events

HELPERS = "".join(
    f'def helper_{number}(x):\n    """Helper {number}."""\n' + "    x = x * 2\n" * 24 + "    return x\n\n\n"
    for number in range(4)
)
SOURCE = (
    f"import torch\n\nSWEEPS = 7\n\n\n{HELPERS}def score(layer):\n    return helper_0(layer.weight.abs()) * SWEEPS\n"
)
REASONING = "The choice of one weight depends on the others. " * 200
FORMULA = "minimise p H pᵀ over masks m, p = W · (1 − m)"
SENTENCE = "It keeps the weights whose removal changes the outputs of a layer least."


def make_strong(
    run: RunDirectory, source: str = SOURCE, reasoning: str = REASONING, formula: str = FORMULA, said: str = SENTENCE
) -> tuple[str, str]:
    """Gives the best candidate of a run a long source, and another one a source that differs from it in a number.

    Returns both slots. The first candidate that there is is the parent of the best.
    """
    best = Picture.of(read_events(run.events_file)).best
    assert best is not None
    archive, events = Archive(run.archive_file), EventLog(run.events_file)
    proposals = {proposal.slot: proposal for proposal in archive.proposals()}
    child = next(slot for slot in reversed(proposals) if slot != best.slot)
    thought: dict[str, Any] = {"idea": "coordinate descent", "reasoning": reasoning, "formula": formula}
    thought |= {"why": "the loss is quadratic", "expected": "better"}
    first = next(iter(proposals))
    for slot, code, parent in (
        (best.slot, source, first),
        (child, source.replace("SWEEPS = 7", "SWEEPS = 9"), best.slot),
    ):
        before, name = proposals[slot], run.save_source(code)
        facts = {"slot": slot, "operator": "write", "engine": "llm", "thought": thought, "candidate": name}
        archive.add_proposal(
            Proposal(revision=1, generation=before.generation, parents=[parent], chain=before.chain, **facts)
        )
        events.emit("proposed", f"proposed/{slot}/1", revision=1, problem="", **facts)
    events.emit("explained", "explained", slot=best.slot, candidate=run.save_source(source), text=said, by="analyst")
    events.close()
    archive.close()
    return best.slot, child
