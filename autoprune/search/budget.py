"""Limits that end a search: one small class for each rule, and a budget that checks all of them.

It is checked before a generation is planned and before each call to a chat model.
"""

import threading
from dataclasses import dataclass
from typing import Protocol

from autoprune.config_sections import SearchSettings
from autoprune.errors import BudgetSpent
from autoprune.runs.control import stop_requested
from autoprune.runs.directory import RunDirectory


@dataclass(frozen=True)
class Spent:
    """A run's use of its budget over all its sessions. `usd`: None when a price is unknown."""

    candidates: int = 0
    seconds: float = 0.0
    tokens: int = 0
    usd: float | None = 0.0


class StopRule(Protocol):
    """`reason` is why the search must end, or None."""

    def reason(self, spent: Spent) -> str | None: ...


@dataclass(frozen=True)
class MaxCandidates:
    """Fires when as many candidates were tried, including those that failed."""

    limit: int

    def reason(self, spent: Spent) -> str | None:
        return f"{self.limit} candidates tried" if spent.candidates >= self.limit else None


@dataclass(frozen=True)
class MaxMinutes:
    """Fires when all sessions of the run together have lasted as long."""

    limit: float

    def reason(self, spent: Spent) -> str | None:
        return f"{self.limit:g} minutes spent" if spent.seconds >= 60 * self.limit else None


@dataclass(frozen=True)
class MaxTokens:
    """Fires when the chat models read and wrote as many tokens, failed calls included."""

    limit: int

    def reason(self, spent: Spent) -> str | None:
        return f"{self.limit} tokens spent" if spent.tokens >= self.limit else None


@dataclass(frozen=True)
class MaxUsd:
    """Fires when the calls cost as much, and at once when their price is unknown."""

    limit: float

    def reason(self, spent: Spent) -> str | None:
        if spent.usd is None:
            return "the model's price is unknown, so the limit in USD cannot be enforced"
        return f"{self.limit:g} USD spent" if spent.usd >= self.limit else None


class StopRequest:
    """Fires once somebody has asked for the end, from any thread."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def ask(self) -> None:
        self._asked.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def reason(self, spent: Spent) -> str | None:
        return "stopped on request" if self.asked else None


@dataclass(frozen=True)
class StopFile:
    """Fires once another process has asked for the end (`runs.control.request_stop`)."""

    run: RunDirectory

    def reason(self, spent: Spent) -> str | None:
        who = stop_requested(self.run)
        return f"stopped by {who}" if who else None


class Budget:
    """All limits of a run: those of its settings, and further rules."""

    def __init__(self, settings: SearchSettings, *rules: StopRule) -> None:
        self._candidates = MaxCandidates(settings.max_candidates)
        self._rules: list[StopRule] = list(rules)
        if settings.max_minutes is not None:
            self._rules.append(MaxMinutes(settings.max_minutes))
        if settings.max_tokens is not None:
            self._rules.append(MaxTokens(settings.max_tokens))
        if settings.max_usd is not None:
            self._rules.append(MaxUsd(settings.max_usd))

    def stop(self, spent: Spent) -> str | None:
        """Why no further generation may start, or None."""
        return self._candidates.reason(spent) or self._first(spent)

    def check(self, spent: Spent) -> None:
        """Raise BudgetSpent when a call to a chat model would go beyond a limit (candidates do not count here)."""
        reason = self._first(spent)
        if reason:
            raise BudgetSpent(reason)

    def _first(self, spent: Spent) -> str | None:
        return next((reason for rule in self._rules if (reason := rule.reason(spent))), None)
