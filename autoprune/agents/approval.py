"""Approval of candidates before they run. A decision is bound to the content hash of the source that was shown.

Modes: `auto` approves whatever the critic accepts, since the sandbox is the security boundary; `human` asks a person
about each candidate; `file` applies the rules of a policy, which may also ask. The mode may change during a run.
"""

from autoprune.candidates.contract import expensive_fields_named
from autoprune.config import Config
from autoprune.config_agents import ApprovalPolicy, ApprovalRule
from autoprune.config_values import Approval
from autoprune.runs.approvals import ApprovalRequest, Approvals, Decision, Switch
from autoprune.runs.directory import RunDirectory
from autoprune.syntax import imported_modules


class Approver:
    """Decides by the run's current mode. Decisions are stored at once, so a run that is killed keeps them."""

    def __init__(self, config: Config, run: RunDirectory, approvals: Approvals) -> None:
        self._config = config
        self._run = run
        self._approvals = approvals

    def decide(self, request: ApprovalRequest) -> Decision | None:
        """The stored decision, or the one that the current mode makes; None when a person has to be asked."""
        return self._approvals.decision(request.slot, request.candidate) or self._by_mode(request)

    @property
    def mode(self) -> Approval:
        """The run's current mode: that of the settings, or the one that a person has switched to."""
        return self._mode(self._approvals.switched())

    def _mode(self, switched: Switch | None) -> Approval:
        return switched.approval if switched else self._config.approval

    def _by_mode(self, request: ApprovalRequest) -> Decision | None:
        switched = self._approvals.switched()
        mode = self._mode(switched)
        if mode == "auto":
            author = f"auto (switched on by {switched.who})" if switched else "auto"
            return self._keep(request, "approve", author)
        if mode == "human" or self._config.approval_policy is None:
            return None
        ruling, comment, author = rule_on(self._config.approval_policy, request, self._run.source(request.candidate))
        return None if ruling == "ask" else self._keep(request, ruling, author, comment)

    def _keep(self, request: ApprovalRequest, decision: str, author: str, comment: str = "") -> Decision:
        facts = {"slot": request.slot, "candidate": request.candidate, "sha256": request.sha256}
        facts |= {"who": author, "comment": comment}
        return self._approvals.decide(Decision.model_validate({**facts, "decision": decision}))


def rule_on(policy: ApprovalPolicy, request: ApprovalRequest, source: str) -> tuple[str, str, str]:
    """The ruling of the first matching rule (approve, reject or ask), its comment, and the rule's name."""
    for number, rule in enumerate(policy.rules, 1):
        if _matches(rule, request, source):
            return rule.decision, rule.comment, f"policy, rule {number}"
    return policy.otherwise, "", "policy, otherwise"


def _matches(rule: ApprovalRule, request: ApprovalRequest, source: str) -> bool:
    severities = {finding["severity"] for finding in request.findings}
    conditions = [
        rule.findings is None or _has_severity(rule.findings, severities),
        rule.imports is None or bool(imported_modules(source) & set(rule.imports)),
        rule.operators is None or request.operator in rule.operators,
        rule.engines is None or request.engine in rule.engines,
        rule.expensive is None or rule.expensive == bool(expensive_fields_named(source)),
        rule.longer_than is None or len(source.encode()) > rule.longer_than,
    ]
    return all(conditions)


def _has_severity(condition: str, severities: set[str]) -> bool:
    if condition == "none":
        return not severities
    return bool(severities) if condition == "any" else condition in severities
