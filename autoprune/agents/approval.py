"""Approval: who may say that a candidate runs. A decision is bound to the content hash of what was shown.

Three modes: `auto` approves what the critic let through, for the sandbox is the boundary, not the approval; `human`
asks a person about each candidate; `file` goes by the rules of a policy, which may ask too. The mode may change in
mid-run.
"""

from autoprune.candidates.contract import expensive_fields_named
from autoprune.candidates.screen import imported_modules
from autoprune.config import Config
from autoprune.config_sections import ApprovalPolicy, ApprovalRule
from autoprune.runs.approvals import ApprovalRequest, Approvals, Decision
from autoprune.runs.directory import RunDirectory


class Approver:
    """Decides by the run's present mode. Its decisions are facts too, so that a run killed after one keeps it."""

    def __init__(self, config: Config, run: RunDirectory, approvals: Approvals) -> None:
        self._config = config
        self._run = run
        self._approvals = approvals

    def decide(self, request: ApprovalRequest) -> Decision | None:
        """The decision that stands, or the one that the mode makes now; None when a person is to be asked."""
        return self._approvals.decision(request.slot, request.candidate) or self._by_mode(request)

    def _by_mode(self, request: ApprovalRequest) -> Decision | None:
        switched = self._approvals.switched()
        mode = switched.approval if switched else self._config.approval
        if mode == "auto":
            who = f"auto (switched on by {switched.who})" if switched else "auto"
            return self._keep(request, "approve", who)
        if mode == "human" or self._config.approval_policy is None:
            return None
        ruling, comment, who = rule_on(self._config.approval_policy, request, self._run.source(request.candidate))
        return None if ruling == "ask" else self._keep(request, ruling, who, comment)

    def _keep(self, request: ApprovalRequest, decision: str, who: str, comment: str = "") -> Decision:
        facts = {"slot": request.slot, "candidate": request.candidate, "sha256": request.sha256}
        facts |= {"who": who, "comment": comment}
        return self._approvals.decide(Decision.model_validate({**facts, "decision": decision}))


def rule_on(policy: ApprovalPolicy, request: ApprovalRequest, source: str) -> tuple[str, str, str]:
    """What the first rule that fits says (approve, reject or ask), its comment, and which rule that was."""
    for number, rule in enumerate(policy.rules, 1):
        if _fits(rule, request, source):
            return rule.decision, rule.comment, f"policy, rule {number}"
    return policy.otherwise, "", "policy, otherwise"


def _fits(rule: ApprovalRule, request: ApprovalRequest, source: str) -> bool:
    severities = {finding["severity"] for finding in request.findings}
    conditions = [
        rule.findings is None or _found(rule.findings, severities),
        rule.imports is None or bool(imported_modules(source) & set(rule.imports)),
        rule.operators is None or request.operator in rule.operators,
        rule.engines is None or request.engine in rule.engines,
        rule.expensive is None or rule.expensive == bool(expensive_fields_named(source)),
        rule.longer_than is None or len(source.encode()) > rule.longer_than,
    ]
    return all(conditions)


def _found(wanted: str, severities: set[str]) -> bool:
    if wanted == "none":
        return not severities
    return bool(severities) if wanted == "any" else wanted in severities
