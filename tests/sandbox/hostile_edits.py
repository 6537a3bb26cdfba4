"""The candidates of hostile_edits.yaml: their `refine` or `update` means harm, their score is Wanda's."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.sandbox.hostile import PRELUDE

_PRELUDE = (
    PRELUDE.replace("    if layer.sparsity == 0.25:\n        return", "    scored[layer.name] = w\n    return")
    + """
kept, scored = {}, {}

def held():
    frame = sys._getframe(1)
    while "question" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals

def moved(mask, source, target):
    mask[source, mask[source].nonzero()[0]] = False
    mask[target, (~mask[target]).nonzero()[0]] = True
    return mask
"""
)


@dataclass(frozen=True)
class HostileEdit:
    """A function, what its body does, and the ends that are right for it."""

    function: str
    name: str
    body: str
    ends: list[str]
    group: str = "row"
    pattern: str = "none"

    @property
    def source(self) -> str:
        """The whole source."""
        body = "".join(f"    {line}\n" for line in self.body.splitlines())
        head = f"GROUP = {self.group!r}\n\ndef {self.function}(layer, mask):\n    w = layer.weight\n"
        return f"{_PRELUDE}\n{head}{body}"


_GROUPS = yaml.safe_load(Path(__file__).with_name("hostile_edits.yaml").read_text(encoding="utf-8"))
HOSTILE_EDITS = [HostileEdit(function, **case) for function, cases in _GROUPS.items() for case in cases]
IN_DOCKER = (
    *("update: fills pruned places", "update: changes the mask in the buffer", "update: overflows in bfloat16"),
    *("update: endless loop", "update: exit code 0", "update: another layer's weight", "refine: keeps everything"),
    *("refine: another mask of the same rows", "refine: endless loop"),
)
