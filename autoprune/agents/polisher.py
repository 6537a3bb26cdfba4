"""The operator `polish`: a measured candidate with its allocation improved by trials on the search split.

The trials spare or prune decoder blocks a little more, and keep what lowers the loss.
"""

import math
from typing import Any

from autoprune.agents.proposer import Draft, Request, same_formula
from autoprune.agents.symbolic.allocation import as_code
from autoprune.agents.symbolic.source import part
from autoprune.candidates.composition import allocation_of
from autoprune.errors import CandidateFailure
from autoprune.evaluation.polish import SCORINGS, polish
from autoprune.measuring.allocation_trials import allocation_trials
from autoprune.measuring.workbench import Workbench
from autoprune.runs.events import EventLog

FEW = 3
"""Most generations of trials while the search goes on; at its end there are `advanced.polish`."""
UNIFORM = "def allocate(units, sparsity):\n    return [1.0 - sparsity] * len(units)\n\n\n"


def polished_draft(workbench: Workbench, events: EventLog, request: Request) -> Draft:
    """The parent's source with another allocation; without source when the parent fails.

    It takes as long as dozens of measurements, so it reports its progress.
    """
    parent, slot = request.parents[0], request.plan["slot"]
    most = workbench.config.advanced.polish
    generations = most if request.plan.get("last") else min(most, FEW)
    done = 0

    def on_progress(loss: float) -> None:
        nonlocal done
        done += 1
        text = f"polishing the allocation of {parent.name}, {done} of {generations}: {math.exp(loss):.2f}"
        events.emit("notice", f"polishing/{slot}/{done}", text=f"{text} on the search split")

    scorings, seed = SCORINGS * generations, workbench.config.seed
    try:
        with workbench.measurer.lock, allocation_trials(workbench, parent.source, scorings) as candidate:
            result = polish(
                workbench.bench,
                candidate.scoring,
                candidate.trials,
                workbench.sparsity,
                generations,
                seed,
                on_progress,
            )
    except CandidateFailure as failure:
        return Draft(problem=f"the allocation of {parent.name} could not be polished: {failure}")
    source = polished(parent.source, result.factors, result.own)
    thought: dict[str, Any] = {
        "idea": f"the algorithm of {parent.name}, its decoder blocks' densities improved by trials",
        "why": f"{result.windows} windows of trials with {candidate.masks} took the loss on the search split from "
        f"{result.before:.4f} to {result.after:.4f}",
        "expected": "better",
        "builds_on": [],
    }
    thought |= same_formula(parent.thought)
    if "expression" in parent.thought:  # so that its children go on from formula and allocation
        thought["expression"] = parent.thought["expression"]
        thought["allocation"] = as_code(allocation_of(source) or "")
    return Draft(thought, source)


def polished(source: str, factors: list[float], own: bool) -> str:
    """A source whose `allocate` (its `own`, or a uniform one) has each density multiplied by its block's factor."""
    before = "" if own else UNIFORM
    return f"{source.rstrip()}\n\n\n{before}{part('polished')}\n\nallocate = spared(allocate, {factors})\n"
