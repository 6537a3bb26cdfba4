"""One table of all candidates of a run for prompts, including those that were stopped or failed."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from autoprune.gcot.belief import paired_error
from autoprune.leagues import COMPENSATED, SHOWN, WITH_UPDATE
from autoprune.pruning.layers import THIRDS, LayerInfo
from autoprune.runs.archive import Outcome, Proposal
from autoprune.runs.measurement import SHORT_DIGITS, Measurement

IDEA_CHARS = 500
REASON_CHARS = 300
MOST = 150
"""Candidates that get a line."""


@dataclass(frozen=True)
class Overview:
    """The candidates that ended before a generation. `recorded`: content hash -> measurement."""

    outcomes: Sequence[Outcome]
    proposals: Sequence[Proposal]
    recorded: Callable[[str], Measurement | None]
    layers: Sequence[LayerInfo]
    seconds: float

    @property
    def best(self) -> float | None:
        """The lowest perplexity so far."""
        measured = [outcome.data.get("perplexity") for outcome in self.outcomes if outcome.status == "measured"]
        return min((perplexity for perplexity in measured if perplexity is not None), default=None)

    def lines(self) -> list[str]:
        """One line per candidate: measured ones, best first, then those that were stopped, then failures."""
        last = {proposal.slot: proposal for proposal in self.proposals}
        ranked = [outcome for outcome in sorted(self.outcomes, key=_rank) if outcome.slot in last]
        lines = [self._line(outcome, last[outcome.slot]) for outcome in ranked[:MOST]]
        return lines + [f"- and {len(ranked) - MOST} more, worse than these"] * (len(ranked) > MOST)

    def _line(self, outcome: Outcome, proposal: Proposal) -> str:
        parents = f" from {', '.join(proposal.parents)}" if proposal.parents else ""
        expected = f"; expected {proposal.thought['expected']}" if proposal.thought.get("expected") else ""
        idea = _cut(str(proposal.thought.get("idea", "")) or "(no idea was given)", IDEA_CHARS)
        proposed = f"{proposal.operator}{parents}{expected}: {idea.rstrip('.')}"
        parts = [f"[{outcome.slot}] {self._result(outcome)}", proposed]
        tuned = str(proposal.thought.get("tuned", ""))
        facts = [self._errors(outcome), f"Tuned: {tuned}" if tuned else ""]
        return "- " + ". ".join([*parts, *filter(None, facts)])

    def _result(self, outcome: Outcome) -> str:
        perplexity = outcome.data.get("perplexity")
        if outcome.status == "measured" and perplexity is not None:
            own = outcome.data.get("league")
            league = f"{SHOWN[own]}, " if own in (WITH_UPDATE, COMPENSATED) else ""
            return f"{perplexity:.2f} ({league}{self._against_best(outcome, perplexity)}{self._took(outcome)})"
        estimate = outcome.data.get("estimated_perplexity")
        estimated = f", about {estimate:.2f} in all{self._far(estimate)}" if estimate is not None else ""
        message = _cut(self.with_slots(outcome.message), REASON_CHARS)
        return f"{outcome.status} at {outcome.stage}, {outcome.reason}: {message}{estimated}{self._took(outcome)}"

    def with_slots(self, message: str) -> str:
        """A message with the content hashes of these candidates replaced by their slots."""
        return with_slots(message, self.outcomes)

    def _against_best(self, outcome: Outcome, perplexity: float) -> str:
        best = self.best
        if best is None or perplexity <= best:
            return "the best"
        return f"{100 * (perplexity / best - 1):+.1f}{self._error(outcome, perplexity, best)} % against the best"

    def _far(self, estimate: float) -> str:
        """The distance of an estimated perplexity from the best, whose error is unknown."""
        return f", {100 * (estimate / self.best - 1):+.1f} % against the best" if self.best else ""

    def _error(self, outcome: Outcome, perplexity: float, best: float) -> str:
        """The standard error of that change, from the differences between paired windows."""
        leader = next(other for other in self.outcomes if other.data.get("perplexity") == best)
        rows = [self.recorded(name) for name in (outcome.candidate, leader.candidate) if name]
        losses = [row.window_losses for row in rows if row is not None]
        error = paired_error(*losses) if len(losses) == 2 else None
        return "" if error is None else f" ± {100 * perplexity / best * error:.1f}"

    def _took(self, outcome: Outcome) -> str:
        seconds = outcome.data.get("seconds", {}).get("score")
        return f", {seconds:.0f} of {self.seconds:g} s" if seconds is not None else ""

    def _errors(self, outcome: Outcome) -> str:
        """The weighted reconstruction error, and for a candidate that was measured in full the mean relative output
        error by role and by third of the depth."""
        row = self.recorded(outcome.candidate) if outcome.candidate and outcome.status == "measured" else None
        total = outcome.data.get("reconstruction") if row is None else row.reconstruction
        weighted = f"Weighted reconstruction error {total:.3g} x Wanda's" if total is not None else ""
        if row is None:
            return weighted
        by_name = {layer.name: layer.relative_error for layer in row.layers}
        errors = [(layer, by_name[layer.name]) for layer in self.layers if layer.name in by_name]
        roles = list(dict.fromkeys(layer.role for layer, _ in errors))
        by_role = _means([(role, [error for layer, error in errors if layer.role == role]) for role in roles])
        by_third = _means([(third, [error for layer, error in errors if layer.third == third]) for third in THIRDS])
        return f"{weighted}{'. ' * bool(weighted)}Errors: {by_role}; {by_third}"


def with_slots(message: str, outcomes: Sequence[Outcome]) -> str:
    """A message with the content hashes of candidates replaced by their slots."""
    slots = {outcome.candidate[:SHORT_DIGITS]: outcome.slot for outcome in outcomes if outcome.candidate}
    return re.sub(rf"\b([0-9a-f]{{{SHORT_DIGITS}}})[0-9a-f]*\b", lambda name: slots.get(name[1], name[0]), message)


def _means(groups: Sequence[tuple[str, list[float]]]) -> str:
    return ", ".join(f"{name} {fmean(errors):.3f}" for name, errors in groups if errors)


def _rank(outcome: Outcome) -> tuple[int, float]:
    order = {"measured": 0, "stopped": 1}.get(outcome.status, 2)
    perplexity = outcome.data.get("perplexity", outcome.data.get("estimated_perplexity"))
    return order, math.inf if perplexity is None else perplexity


def _cut(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
