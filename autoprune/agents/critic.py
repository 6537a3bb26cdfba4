"""The critic: reads a proposal before anything runs, and accepts, asks for a revision, or rejects."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from autoprune.agents.briefing import Briefing
from autoprune.agents.population import Algorithm
from autoprune.agents.prompts.load import render
from autoprune.candidates.screen import Finding, screen
from autoprune.candidates.static_analysis import Reading, published_twin, read
from autoprune.llm.client import Chat
from autoprune.llm.lenient import ReplyModel, any_case, cut
from autoprune.llm.reply import ReplyUnusable
from autoprune.pruning.published import EXPRESSIONS, PUBLISHED, written

Verdict = Literal["accept", "revise", "reject"]
KNOWN = 6

_ALLOCATES = re.compile(r"^(def )?allocate\b", re.MULTILINE)
"""A source that spreads the sparsity itself: the same scores make other masks there."""


@dataclass(frozen=True)
class Submission:
    """What the critic is shown. `source` is None when the proposer brought no code; `problem` then says why.

    `engine`: what proposed it, llm or symbolic.
    """

    slot: str
    generation: int
    revision: int
    thought: dict[str, Any]
    source: str | None
    problem: str
    known: list[Algorithm]
    engine: str = "llm"

    def findings(self) -> list[Finding]:
        """What the source screen says."""
        return screen(self.source) if self.source is not None else []


@dataclass(frozen=True)
class Review:
    """The critic's answer. `fatal`: without a revision the candidate cannot run. `by` names who wrote it."""

    verdict: Verdict
    comments: list[str] = field(default_factory=list)
    by: str = "rules"
    fatal: bool = False


class Critic(Protocol):
    def review(self, submission: Submission) -> Review: ...


class RuleCritic:
    """Asks for a revision when there is no code, when the screen finds an error, when the code is not new, and when
    reading it shows a published score, one of the archive's, or a numerical hazard. Of these the last three are doubts:
    after one revision measurement decides.

    `signs`: whether a score that depends on the sign of a weight is doubted, which is a mistake of small models; what
    works with the full Hessian needs it.
    """

    def __init__(self, signs: bool = True) -> None:
        self._signs = signs

    def review(self, submission: Submission) -> Review:
        if submission.source is None:
            return Review("revise", [submission.problem], fatal=True)
        findings = submission.findings()
        errors = [f"line {finding.line}: {finding.message}" for finding in findings if finding.severity == "error"]
        if errors:
            return Review("revise", errors, fatal=True)
        twin = next((known for known in submission.known if known.source.strip() == submission.source.strip()), None)
        if twin is not None:
            return Review("revise", [f"this is the code of {twin.name}; change the formula"], fatal=True)
        warnings = [finding.message for finding in findings]
        doubts = _doubts(submission.source, submission.known, self._signs)
        return Review("revise" if doubts else "accept", [*doubts, *warnings])


def _doubts(source: str, known: list[Algorithm], signs: bool) -> list[str]:
    """What speaks against a formula, as far as its source can be followed."""
    reading = read(source)
    if reading is None:
        return []
    if reading.hazard:
        return [
            f"line {reading.hazard}: not finite where an input is never active or a whole row or column of weights is "
            "0; add 1e-8 to what is divided by, and make what is under a root, power or logarithm positive"
        ]
    if reading.flat:
        return ["weights that are compared with each other all score the same"]
    twin = None if _ALLOCATES.search(source) else _twin(reading, known)
    if twin is not None:
        return [f"this is {twin}: it orders the weights in the same way; change the formula"]
    if reading.signed and signs:
        return ["the sign of a weight changes the score; use layer.weight.abs()"]
    return []


def _twin(reading: Reading, known: list[Algorithm]) -> str | None:
    """Who orders the weights in the same way, and leaves it to others to spread the sparsity."""
    others = ((each.name, read(each.source)) for each in known if not _ALLOCATES.search(each.source))
    found = (name for name, other in others if other is not None and _equal(reading, other))
    return published_twin(reading) or next(found, None)


def _published() -> str:
    """The published scores with their formulas, on one line."""
    return "; ".join(f"{PUBLISHED[name].title} {written(expression)}" for name, expression in EXPRESSIONS.items())


def _equal(one: Reading, other: Reading) -> bool:
    return one.group == other.group and one.same_order(other.scores)


class Opinion(ReplyModel):
    """What the critic's model answers."""

    comment: Annotated[str, cut(800)] = Field(max_length=800)
    verdict: Annotated[Verdict, any_case(Verdict)]


class LLMCritic:
    """Rules first, for they cost nothing; what passes them is read by a chat model, whose doubts are never fatal.

    `briefing`: for a strong model, which is told the whole contract and all that was measured. Without it, formulas of
    the symbolic engine are left to the rules: a small model may read for minutes what is measured in one.
    """

    def __init__(self, chat: Chat, briefing: Briefing | None = None) -> None:
        self._chat = chat
        self._briefing = briefing
        self._rules = RuleCritic(signs=briefing is None)

    def review(self, submission: Submission) -> Review:
        by_rules = self._rules.review(submission)
        if by_rules.verdict != "accept" or submission.source is None:
            return by_rules
        if self._briefing is None and submission.engine == "symbolic":
            return by_rules
        prompt = self._prompt(submission, submission.source, by_rules.comments)
        key = f"{submission.slot}.review.{submission.revision}"
        try:
            reply = self._chat.ask(key, "critic", [{"role": "user", "content": prompt}], Opinion)
        except ReplyUnusable as unusable:
            comment = f"the critic's reply could not be used ({unusable.error}); the rules alone decided"
            return Review(by_rules.verdict, [*by_rules.comments, comment])
        opinion: Opinion = reply.parsed
        return Review(opinion.verdict, [*by_rules.comments, opinion.comment], by=reply.model)

    def _prompt(self, submission: Submission, source: str, findings: list[str]) -> str:
        shown = {
            "idea": submission.thought.get("idea", ""),
            "why": submission.thought.get("why", ""),
            "source": source.strip(),
            "findings": "\n".join(f"- {comment}" for comment in findings) or "(none)",
        }
        if self._briefing is None:
            known = "\n".join(f"- {known.name}: {known.title}" for known in submission.known[:KNOWN])
            return render("small/critic", known=known, published=_published(), **shown)
        table = self._briefing.table(submission.generation)
        seconds = f"{self._briefing.workbench.config.sandbox.seconds:g}"
        return render("strong/critic", contract=self._briefing.contract(), known=table, seconds=seconds, **shown)
