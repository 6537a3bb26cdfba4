"""What a run has shown so far, for the prompts of a strong model: its hypotheses, and effects of single design choices.

Both come from the measurements alone. Hypotheses are ranked by the largest effect that is still plausible, so that what
was tested once and is undecided stands beside what is known to help.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import hypot
from statistics import fmean

from autoprune.agents.niche import niche_of
from autoprune.candidates.contract import DEFAULT_GROUP, edits_defined
from autoprune.gcot.belief import Belief, Contrast, pooled
from autoprune.gcot.graph import GCoT
from autoprune.runs.archive import Outcome, Proposal

MOST = 12
"""Hypotheses that are shown."""
TEXT_CHARS = 300
COMPETE = "rows compete over the matrix"


def hypotheses(gcot: GCoT) -> str:
    """One line for each tested hypothesis with its mechanism and what the tests say, the most promising first."""
    beliefs = {
        node.id: belief
        for node in gcot.of_kind("hypothesis")
        if node.data.get("expected") and (belief := gcot.belief(node.id)) is not None
    }
    ranked = sorted(beliefs, key=lambda name: (-beliefs[name].promise, name))
    lines = [_line(gcot, name, beliefs[name]) for name in ranked[:MOST]]
    return "\n".join(lines) or "(none was tested yet)"


def _line(gcot: GCoT, name: str, belief: Belief) -> str:
    node = gcot.nodes[name]
    text = " ".join(node.text.split())
    cut = text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1].rstrip() + "…"
    forecast = f" (predicted {node.data['predicted']})" if node.data.get("predicted") else ""
    return f"- [{name}] {gcot.state(name)}, {belief}{forecast}: {cut}"


def design_of(source: str) -> frozenset[str]:
    """The design choices of a source, by static analysis: what it reads, whether rows compete, and what it defines."""
    niche = niche_of(source)
    compete = {COMPETE} if niche.group != DEFAULT_GROUP else set()
    return frozenset({*niche.inputs, *compete, *edits_defined(source)})


def design_effects(
    outcomes: Sequence[Outcome], proposals: Mapping[str, Proposal], sources: Mapping[str, str]
) -> dict[str, Belief]:
    """Design choice -> its effect, from all measured pairs that differ in it alone, the best first.

    Pairs are a candidate and its best parent, and siblings with the same parents, of which all pairs together count as
    one contrast. `proposals`: the last of each slot; `sources`: slot -> source. The code of a pair may still differ in
    other ways, and pairs that share a candidate make the errors somewhat too small.
    """
    contrasts: dict[tuple[str, ...], list[Contrast]] = {}
    for group, first, second, contrast in _pairs(outcomes, proposals, sources):
        (choice, *others), added = first ^ second, first - second
        if not others:
            signed = contrast if added else Contrast(-contrast.gain, contrast.error)
            contrasts.setdefault((choice, *group), []).append(signed)
    tests: dict[str, list[Contrast]] = {}
    for (choice, *_), found in contrasts.items():
        errors = [each.error for each in found if each.error is not None]
        error = max(errors) if len(errors) == len(found) else None
        tests.setdefault(choice, []).append(Contrast(fmean(each.gain for each in found), error))
    beliefs = {choice: pooled(found) for choice, found in tests.items()}
    return dict(sorted(beliefs.items(), key=lambda item: (-item[1].effect, item[0])))


Pair = tuple[tuple[str, ...], frozenset[str], frozenset[str], Contrast]


def _pairs(
    outcomes: Sequence[Outcome], proposals: Mapping[str, Proposal], sources: Mapping[str, str]
) -> Iterator[Pair]:
    """The designs of pairs that differ, with the gain of the first over the second, and what they share."""
    measured = [each for each in outcomes if each.data.get("gain") is not None and each.slot in sources]
    designs = {slot: design_of(source) for slot, source in sources.items()}
    for each in measured:
        parent = each.data.get("against")
        if parent in designs and designs[each.slot] != designs[parent]:
            contrast = Contrast(each.data["gain"], each.data.get("gain_error"))
            yield (each.slot, parent), designs[each.slot], designs[parent], contrast
    for one, other in combinations(measured, 2):
        are_siblings = one.generation == other.generation and _parents(one, proposals) == _parents(other, proposals)
        if are_siblings and designs[one.slot] != designs[other.slot]:
            errors = [each.data["gain_error"] for each in (one, other) if each.data.get("gain_error") is not None]
            error = hypot(*errors) if len(errors) == 2 else None
            group = (str(one.generation), *_parents(one, proposals))
            contrast = Contrast(one.data["gain"] - other.data["gain"], error)
            yield group, designs[one.slot], designs[other.slot], contrast


def _parents(outcome: Outcome, proposals: Mapping[str, Proposal]) -> list[str]:
    return sorted(proposals[outcome.slot].parents) if outcome.slot in proposals else []


def effects_of_designs(effects: Mapping[str, Belief]) -> str:
    """One line for each design choice."""
    return (
        "\n".join(f"- {choice}: {belief}" for choice, belief in effects.items()) or "(no two differ in one alone yet)"
    )
