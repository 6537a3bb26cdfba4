"""The critic reviews a proposal before it runs: it accepts, asks for a revision, or rejects."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from autoprune.agents.briefing import Briefing
from autoprune.agents.population import Algorithm
from autoprune.agents.prompts.load import render
from autoprune.candidates.contract import edits_defined
from autoprune.candidates.doubts import doubts as text_doubts
from autoprune.candidates.screen import UNRESTRICTED, Finding, Rules, screen
from autoprune.candidates.static_analysis import Reading, published_twin, read
from autoprune.candidates.structure_contract import is_structured
from autoprune.llm.client import Chat
from autoprune.llm.lenient import ReplyModel, any_case, cut
from autoprune.llm.reply import ReplyUnusable
from autoprune.pruning.published import EXPRESSIONS, PUBLISHED, written

Verdict = Literal["accept", "revise", "reject"]
KNOWN = 6

_ALLOCATES = re.compile(r"^(def )?allocate\b", re.MULTILINE)
"""Matches a source with an allocation of its own."""


@dataclass(frozen=True)
class Submission:
    """The critic's input. `source` is None when the proposer gave no code, for the reason in `problem`.

    `engine`: llm or symbolic. `rules`: of the search, by which the source is screened.
    """

    slot: str
    generation: int
    revision: int
    thought: dict[str, Any]
    source: str | None
    problem: str
    known: list[Algorithm]
    engine: str = "llm"
    rules: Rules = UNRESTRICTED

    def findings(self) -> list[Finding]:
        """The findings of the source screen."""
        return screen(self.source, self.rules) if self.source is not None else []


@dataclass(frozen=True)
class Review:
    """The critic's answer. `fatal`: the candidate cannot run without a revision. `by`: rules, or the model's name."""

    verdict: Verdict
    comments: list[str] = field(default_factory=list)
    by: str = "rules"
    fatal: bool = False


class Critic(Protocol):
    def review(self, submission: Submission) -> Review: ...


class RuleCritic:
    """Asks for a revision when there is no code, when the screen finds an error, when the code is not new, when its
    text raises doubts (`candidates/doubts.py`), and when static analysis finds a published score, one of the archive's,
    or a numerical hazard. The last four are not fatal: after one revision the candidate is measured.

    `signs`: whether to object to a score that depends on the sign of a weight, a common mistake of small models.
    Methods that use the full Hessian depend on it.
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
        source = submission.source.strip()
        twin = next((algorithm for algorithm in submission.known if algorithm.source.strip() == source), None)
        if twin is not None:
            return Review("revise", [f"this is the code of {twin.name}; change the formula"], fatal=True)
        doubts = [*text_doubts(submission.source)] or _doubts(submission.source, submission.known, self._signs)
        warnings = [finding.message for finding in findings if not any(finding.message in doubt for doubt in doubts)]
        return Review("revise" if doubts else "accept", [*doubts, *warnings])


def _doubts(source: str, known: list[Algorithm], signs: bool) -> list[str]:
    """Objections to a formula, as far as static analysis can follow its source."""
    reading = None if is_structured(source) else read(source)
    if reading is None:
        return []
    if reading.hazard:
        return [
            f"line {reading.hazard}: not finite where an input is never active or a whole row or column of weights is "
            "0; add 1e-8 to what is divided by, and make what is under a root, power or logarithm positive"
        ]
    if reading.flat:
        return ["weights that are compared with each other all score the same"]
    twin = None if _decides_more(source) else _twin(reading, known)
    if twin is not None:
        return [f"this is {twin}: it orders the weights in the same way; change the formula"]
    if reading.signed and signs:
        return ["the sign of a weight changes the score; use layer.weight.abs()"]
    return []


def _twin(reading: Reading, known: list[Algorithm]) -> str | None:
    """The published or known algorithm that ranks the weights in the same way and has no allocation of its own."""
    if published := published_twin(reading):
        return published
    for algorithm in known:
        other = None if _decides_more(algorithm.source) else read(algorithm.source)
        if other is not None and other.group == reading.group and reading.same_order(other.scores):
            return algorithm.name
    return None


def _published() -> str:
    """The published scores with their formulas, on one line."""
    return "; ".join(f"{PUBLISHED[name].title} {written(expression)}" for name, expression in EXPRESSIONS.items())


class Opinion(ReplyModel):
    """Reply of the critic's model."""

    comment: Annotated[str, cut(800)] = Field(max_length=800)
    verdict: Annotated[Verdict, any_case(Verdict)]


class LLMCritic:
    """Applies the rules, which cost nothing, and then asks a chat model, whose objections are never fatal.

    `briefing`: for a strong model, whose prompt holds the whole contract and all measurements. Without it, formulas of
    the symbolic engine are reviewed by the rules only: a small model can take longer to review one than to measure it.
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
        fields = {
            "idea": submission.thought.get("idea", ""),
            "why": submission.thought.get("why", ""),
            "source": source.strip(),
            "findings": "\n".join(f"- {comment}" for comment in findings) or "(none)",
        }
        if self._briefing is None:
            known = "\n".join(f"- {algorithm.name}: {algorithm.title}" for algorithm in submission.known[:KNOWN])
            return render("small/critic", known=known, published=_published(), **fields)
        table = self._briefing.table(submission.generation)
        seconds = f"{self._briefing.workbench.config.sandbox.seconds:g}"
        return render(self._briefing.critic, contract=self._briefing.contract(), known=table, seconds=seconds, **fields)


def _decides_more(source: str) -> bool:
    """Whether equal scores need not give equal weights, by an allocation, a refinement or an update of its own."""
    return bool(_ALLOCATES.search(source) or edits_defined(source))
