"""What was found: formula, sentence, code and the commands that use it, for the top of the page."""

import shlex
from dataclasses import dataclass

from autoprune.report.budget import budget
from autoprune.report.html.material import Material
from autoprune.report.html.safe import cut, shareable
from autoprune.report.picture import Explanation
from autoprune.report.text import one_line

LONGEST_CODE = 20_000


@dataclass(frozen=True)
class Found:
    """What a run found. `explanation`: None without formula and sentence; `source`: empty if it is gone; `commands`: to
    prune with it and to keep it, for the folder above the run."""

    slot: str
    explanation: Explanation | None
    source: str
    commands: str


def found(material: Material) -> Found | None:
    """What `Picture.found` names; None without a measured candidate."""
    picture = material.picture
    slot = picture.found
    name = next((outcome.candidate for outcome in material.outcomes if outcome.slot == slot), None)
    if name is None:
        return None
    source = material.sources.get(name) or ""
    return Found(slot, picture.explanation, cut(source, LONGEST_CODE), _commands(material, slot, source))


def _commands(material: Material, slot: str, source: str) -> str:
    run = shlex.quote(f"{one_line(material.name, 200)}:{slot}")
    model = shlex.quote(shareable(material.picture.started.get("model", material.config.model)))
    return (
        f"autoprune prune --model {model} --algorithm {run} {budget(material.config, source)} --out pruned\n"
        f"autoprune export-algorithm {run} --out best.py"
    )
