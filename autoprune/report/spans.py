"""A run as spans: run > generation > candidate > steps of agents, sandbox and bench > calls of the chat model.

Spans depend only on events and their times, so that a finished run gives the same spans as a running one. Attributes
follow OpenTelemetry's conventions for generative AI (gen_ai.*), else they are named autoprune.*.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from autoprune.runs.events import Event
from autoprune.runs.names import generation_id

PARTS = {"score": "sandbox", "mask": "masks", "eval": "measurement"}
"""Names of the spans for the `seconds` of a measured candidate."""
_REMARKS = ("notice", "run-resumed", "forked", "baseline", "approval-switched", "lesson")
_CONFIRM = "confirm"


@dataclass
class Span:
    """A span. `path`: its name within the run; `failed`: the reason of a failure; `remarks`: its events."""

    path: str
    parent: str | None
    name: str
    start: datetime
    end: datetime | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    failed: str = ""
    remote: bool = False
    remarks: list[tuple[datetime, str, dict[str, Any]]] = field(default_factory=list)


class Spans:
    """Converts the events of a run in order to spans, each returned when it has ended. The run's own is the last."""

    def __init__(self, name: str) -> None:
        self.identity = ""
        self._name = name
        self._provider = ""
        self._last: datetime | None = None
        self._open: dict[str, Span] = {}
        self._steps: dict[str, str] = {}
        self._generation: int | None = None
        self._done: list[Span] = []
        self._known: dict[str, Callable[[Event], None]] = {
            "run-started": self._started,
            "dense": lambda event: self._note("run", {"autoprune.perplexity.dense": event.data["perplexity"]}),
            "planned": self._planned,
            "working": self._working,
            "called": self._called,
            "proposed": self._proposed,
            "reviewed": self._reviewed,
            "asked": self._asked,
            "decided": self._decided,
            "ended": self._ended,
            "spent": self._spent,
            "confirmed": lambda event: self._end(_CONFIRM),
            "run-ended": self._run_ended,
        }

    def take(self, event: Event) -> list[Span]:
        """Apply an event; returns the spans that it ends."""
        self._last = datetime.fromisoformat(event.time)
        if not self.identity:
            self.identity = f"{event.key} {event.time}"
            self._open["run"] = Span("run", None, "autoprune search", self._last, None, {"autoprune.run": self._name})
        run = self._open.get("run")
        if run is not None and self._last < run.start:  # a fork begins with events of its origin
            run.start = self._last
        if event.kind in _REMARKS:
            self._remark(event)
        elif event.kind in self._known:
            self._known[event.kind](event)
        done, self._done = self._done, []
        return done

    def rest(self) -> list[Span]:
        """The unfinished spans, ended at the last event, innermost first."""
        for path in reversed(list(self._open)):
            self._end(path, {"autoprune.unfinished": True})
        done, self._done = self._done, []
        return done

    def _begin(self, parent: str, path: str, name: str, attributes: dict[str, Any] | None = None) -> str:
        assert self._last is not None
        path = f"{parent}/{path}"
        self._open[path] = Span(path, parent, name, self._last, None, attributes or {})
        return path

    def _end(self, path: str, attributes: dict[str, Any] | None = None, failed: str = "") -> None:
        span = self._open.pop(path, None)
        if span is None:
            return
        span.end, span.failed = self._last, failed
        span.attributes |= attributes or {}
        self._done.append(span)

    def _leaf(self, parent: str, path: str, name: str, end: datetime, seconds: float, **facts: Any) -> None:
        start = end - timedelta(seconds=seconds)
        self._done.append(Span(f"{parent}/{path}", parent, name, start, end, **facts))

    def _note(self, path: str, attributes: dict[str, Any]) -> None:
        if path in self._open:
            self._open[path].attributes |= attributes

    def _of(self, event: Event) -> str:
        """The path of the candidate of an event."""
        slot = event.data["slot"]
        return f"run/{slot.partition('.')[0]}/{slot}"

    def _remark(self, event: Event) -> None:
        assert self._last is not None
        place = f"run/g{event.data['generation']}" if event.kind == "lesson" else "run"
        if place in self._open:
            self._open[place].remarks.append((self._last, event.kind, dict(event.data)))

    def _started(self, event: Event) -> None:
        data = event.data
        self._provider = data["llm"]
        facts = {f"autoprune.{key}": data[key] for key in ("model", "sparsity", "llm")}
        self._note("run", facts | {"autoprune.sandbox": data["record"].get("sandbox")})

    def _planned(self, event: Event) -> None:
        self._generation = event.data["generation"]
        above = self._begin("run", generation_id(self._generation), f"generation {self._generation}")
        for plan in event.data["slots"]:
            facts = {f"autoprune.{key}": plan[key] for key in ("slot", "operator", "engine", "parents")}
            self._begin(above, plan["slot"], f"candidate {plan['slot']}", facts)

    def _working(self, event: Event) -> None:
        above, agent = self._of(event), event.data["agent"]
        if agent == "confirmation":
            if _CONFIRM not in self._open:
                self._open[_CONFIRM] = Span(_CONFIRM, "run", "confirmation", datetime.fromisoformat(event.time))
        elif above in self._open and above not in self._steps:  # else the step is repeated after a crash
            facts = {"autoprune.agent": agent}
            if agent != "sandbox":
                facts = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent}
            name = "evaluate" if agent == "sandbox" else f"invoke_agent {agent}"
            self._steps[above] = self._begin(above, event.key, name, facts)

    def _called(self, event: Event) -> None:
        data = event.data
        above = f"run/g{data['generation']}"
        if "slot" in data:
            above = self._steps.get(self._of(event), self._of(event))
        facts = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._provider or None,
            "gen_ai.agent.name": data["agent"],
            "gen_ai.request.model": data["model"],
            "gen_ai.response.model": data["answered_by"],
            "gen_ai.usage.input_tokens": data["tokens_in"],
            "gen_ai.usage.output_tokens": data["tokens_out"],
            "gen_ai.response.finish_reasons": [_finish(data)],
            "autoprune.usd": data["usd"],
            "autoprune.tokens_estimated": data["estimated"],
            "autoprune.tools": data["tools"] or None,
        }
        end = datetime.fromisoformat(event.time)
        self._leaf(
            above,
            event.key,
            f"chat {data['model']}",
            end,
            data["seconds"],
            attributes=facts,
            failed=data["problem"],
            remote=True,
        )

    def _proposed(self, event: Event) -> None:
        data, above = event.data, self._of(event)
        thought = {f"autoprune.{key}": data["thought"].get(key) for key in ("idea", "why", "expected")}
        self._note(above, {**thought, "autoprune.candidate": data["candidate"]})
        facts = {**thought, "autoprune.revision": data["revision"], "autoprune.candidate": data["candidate"]}
        self._end(self._steps.pop(above, ""), facts, data["problem"])

    def _reviewed(self, event: Event) -> None:
        above = self._of(event)
        facts = {f"autoprune.{key}": event.data[key] for key in ("verdict", "comments", "by", "revision")}
        self._end(self._steps.pop(above, ""), facts)

    def _asked(self, event: Event) -> None:
        self._begin(self._of(event), "approval", "approval")

    def _decided(self, event: Event) -> None:
        above = self._of(event)
        facts = {f"autoprune.{key}": event.data.get(key) for key in ("decision", "who", "comment", "replacement")}
        self._note(above, {"autoprune.approved_by": event.data["who"]} if event.data["decision"] != "reject" else {})
        self._end(f"{above}/approval", facts)

    def _ended(self, event: Event) -> None:
        data, above = event.data, self._of(event)
        end = datetime.fromisoformat(event.time)
        step = self._steps.pop(above, above)
        for part, seconds in reversed(data.get("seconds", {}).items()):
            self._leaf(step, part, PARTS.get(part, part), end, seconds)
            end -= timedelta(seconds=seconds)
        keys = ("status", "stage", "reason", "perplexity", "gain", "sparsity", "nearest", "agreement", "flags")
        facts = {f"autoprune.{key}": data.get(key) for key in keys}
        failed = f"{data['stage']}: {data['reason']}: {data['message']}" if data["status"] == "failed" else ""
        if step != above:
            self._end(step, {"autoprune.perplexity": data.get("perplexity")}, failed)
        self._end(above, facts | {"autoprune.message": data["message"] or None}, failed)

    def _spent(self, event: Event) -> None:
        """End the previous generation, since this is the first event of a new one."""
        self._note("run", _totals(event.data))
        if self._generation is not None:
            self._end(f"run/g{self._generation}")
            self._generation = None

    def _run_ended(self, event: Event) -> None:
        facts = {f"autoprune.{key}": event.data[key] for key in ("stop", "conclusion")}
        self._end("run", facts | _totals(event.data))


def _totals(data: dict[str, Any]) -> dict[str, Any]:
    return {f"autoprune.{key}": data.get(key) for key in ("candidates", "tokens", "usd")}


def _finish(call: dict[str, Any]) -> str:
    return "length" if call["truncated"] else "tool_calls" if call["tools"] else "stop"
