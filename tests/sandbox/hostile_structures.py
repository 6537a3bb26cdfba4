"""The candidates of hostile_structures.yaml, which rank structures or update their consumers, and mean harm."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.sandbox.hostile import PRELUDE

_HEAD = """
STRUCTURE = "channel"
calls = []

def held():
    frame = sys._getframe(1)
    while "question" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals
"""
_PLAIN = "def score(structures):\n    return structures.consumer.weight.abs().sum(-1).sum(1)\n"


@dataclass(frozen=True)
class HostileStructures:
    """A function, what its body does, and the ends that are right for it."""

    function: str
    name: str
    body: str
    ends: list[str]

    @property
    def source(self) -> str:
        """The whole source."""
        body = "".join(f"    {line}\n" for line in self.body.splitlines())
        arguments = "structures" if self.function == "score" else "structures, kept"
        own = f"def {self.function}({arguments}):\n    w = structures.consumer.weight\n{body}"
        prelude = PRELUDE[: PRELUDE.index("def score(layer)")]
        return f"{prelude}\n{_HEAD}\n{own if self.function == 'score' else _PLAIN + own}"


_GROUPS = yaml.safe_load(Path(__file__).with_name("hostile_structures.yaml").read_text(encoding="utf-8"))
HOSTILE_STRUCTURES = [HostileStructures(function, **case) for function, cases in _GROUPS.items() for case in cases]
CASES = {f"{case.function}: {case.name}": case for case in HOSTILE_STRUCTURES}
IN_DOCKER = (
    *("score: one importance too few", "score: NaN behind a forged answer", "score: endless loop", "score: raises"),
    *("update: infinite in bfloat16", "update: the whole consumer", "update: NaN written into the buffer"),
)
