"""The chain of thought: the part of the reasoning graph that goes into a prompt, each step with its evidence."""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any, Literal

from autoprune.gcot.graph import GCoT
from autoprune.runs.archive import Node

Style = Literal["full", "flat", "none", "no-credit"]
LESSONS = 2
"""Latest generations whose lessons are shown."""
SECTIONS = ("path", "contrast", "lessons", "best")
"""Optional parts of the proposer's prompt: the path to the parent, a refuted hypothesis, the latest lessons, and the
list of the best algorithms so far."""


@dataclass(frozen=True)
class Step:
    """One line of a chain. `node`: its node in the graph; `ground`: the evidence it rests on, None for a conjecture."""

    node: str
    kind: str
    text: str
    ground: str | None

    def __str__(self) -> str:
        ground = f"measured: {self.ground}" if self.ground else "conjecture"
        return f"[{self.node}] {self.kind}: {self.text} ({ground})"

    def record(self) -> dict[str, Any]:
        return asdict(self)


def compile_chain(
    gcot: GCoT,
    parents: list[str],
    style: Style,
    sections: Collection[str] = SECTIONS,
    generations: int | None = LESSONS,
) -> list[Step]:
    """The steps for a proposal from these parent algorithms (node ids).

    `full` and `no-credit`: the path to the first parent, its measurement, a refuted hypothesis and the lessons of the
    last `generations` (None: all), as far as they are among `sections`. `flat`: only the parents and their
    measurements. `none`: nothing. No step is there twice, and a design that only repeats its algorithm's text is left
    out.
    """
    return list(_without_repeats(_steps(gcot, parents, style, sections, generations)))


def _steps(
    gcot: GCoT, parents: list[str], style: Style, sections: Collection[str], generations: int | None
) -> list[Step]:
    if style == "none":
        return []
    if style == "flat":
        return [step for parent in parents for step in _algorithm(gcot, gcot.nodes[parent])]
    chain: list[Step] = []
    path = gcot.path_to(parents[0]) if parents else []
    if not any(gcot.nodes[name].kind == "observation" for name in path):
        # A published score has no observation of this target, so the chain starts with those with most credit.
        path = [*gcot.observations(2 if not parents else 1), *path]
    for name in path if "path" in sections else parents[:1]:
        node = gcot.nodes[name]
        chain += _algorithm(gcot, node) if node.kind == "algorithm" else [_step(gcot, node)]
    for parent in parents[1:]:
        chain += _algorithm(gcot, gcot.nodes[parent])
    contrast = gcot.refuted(but=path) if "contrast" in sections else None
    if contrast is not None:
        chain.append(_step(gcot, contrast))
    lessons = _last_lessons(gcot, generations) if "lessons" in sections else []
    return chain + [_step(gcot, lesson) for lesson in lessons]


def _without_repeats(chain: list[Step]) -> Iterator[Step]:
    shown: set[str] = set()
    for step, following in zip_longest(chain, chain[1:]):
        repeats = following is not None and (step.kind, following.kind) == ("design", "algorithm")
        if step.node not in shown and not (repeats and step.text == following.text):
            yield step
        shown.add(step.node)


def _last_lessons(gcot: GCoT, generations: int | None) -> list[Node]:
    lessons = gcot.of_kind("lesson")
    recent = sorted({lesson.generation for lesson in lessons})[-(generations or len(lessons)) :]
    return [lesson for lesson in lessons if lesson.generation in recent]


def as_text(chain: list[Step]) -> str:
    """The numbered chain for a prompt."""
    return "\n".join(f"{number}. {step}" for number, step in enumerate(chain, 1)) or "(nothing yet)"


def _algorithm(gcot: GCoT, node: Node) -> list[Step]:
    evidence = gcot.evidence(node.id)
    steps = [Step(node.id, "algorithm", node.text, evidence.id if evidence else None)]
    if evidence is not None:
        steps.append(Step(evidence.id, "evidence", evidence.text, evidence.id))
    return steps


def _step(gcot: GCoT, node: Node) -> Step:
    state = gcot.state(node.id) if node.kind == "hypothesis" else "conjecture"
    kind = node.kind if state == "conjecture" else f"hypothesis ({state})"
    return Step(node.id, kind, node.text, gcot.ground(node.id))
