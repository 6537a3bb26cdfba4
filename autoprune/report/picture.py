"""The state of a run, folded from its events, for the live view, the trace and the list of runs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from autoprune.mathematics import symbols
from autoprune.report.formulas import formula_of
from autoprune.report.text import one_line
from autoprune.runs.directory import recording_line
from autoprune.runs.events import Event
from autoprune.runs.verdicts import Comparison

LONGEST_SENTENCE = 1000
PLANNED = ("slot", "generation", "operator", "engine", "parents", "sections")
"""Fields of a planned slot that are shown; others, such as the rounds of `deepen`, are not."""


@dataclass
class Slot:
    """The state of one candidate. `agent`: who works on it, empty when it has ended."""

    slot: str
    generation: int
    operator: str
    engine: str
    parents: list[str]
    sections: list[str] | None = None
    agent: str = "waiting"
    idea: str = ""
    candidate: str | None = None
    status: str = ""
    perplexity: float | None = None
    problem: str = ""
    formula: str = ""
    symbols: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Explanation:
    """The formula of a candidate with its symbols and their meanings, and a sentence with its author."""

    slot: str
    formula: str
    symbols: list[tuple[str, str]]
    sentence: str
    by: str


@dataclass
class Picture:
    """The state of a run."""

    started: dict[str, Any] = field(default_factory=dict)
    time: str = ""
    origin: str = ""
    dense: float | None = None
    baselines: dict[str, float] = field(default_factory=dict)
    generation: int = 0
    slots: dict[str, Slot] = field(default_factory=dict)
    spent: dict[str, Any] = field(default_factory=dict)
    lessons: list[str] = field(default_factory=list)
    notice: str = ""
    explained: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    elsewhere: list[dict[str, Any]] = field(default_factory=list)
    protocol: dict[str, Any] = field(default_factory=dict)
    stop: str = ""
    conclusion: str = ""

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Picture":
        picture = cls()
        for event in events:
            picture.apply(event)
        return picture

    def apply(self, event: Event) -> None:
        """Apply one event. Other kinds of events are ignored."""
        data = event.data
        self.time = self.time or event.time
        match event.kind:
            case "run-started":
                self.started = data
            case "forked":
                self.origin = f"{data['origin']}@{data['generation']}"
            case "notice":
                self.notice = data["text"]
            case "dense":
                self.dense = data["perplexity"]
            case "baseline":
                self.baselines[data["name"]] = data["perplexity"]
            case "planned":
                self.generation = data["generation"]
                for plan in data["slots"]:
                    self.slots[plan["slot"]] = Slot(**{name: plan[name] for name in PLANNED if name in plan})
            case "working" | "proposed" | "ended":
                self._move(event)
            case "lesson":
                self.lessons.append(data["text"])
            case "explained":
                self.explained = data
            case "called":
                self._add_call(data)
            case "spent":
                self.spent = dict(data)
            case "confirmed":
                self.rows, self.comparisons = data["rows"], data.get("comparisons", [])
                self.elsewhere, self.protocol = data.get("elsewhere", []), data.get("protocol", {})
            case "run-ended":
                self.stop, self.conclusion = data["stop"], data["conclusion"]
                self.spent |= {
                    key: data[key] for key in ("seconds", "tokens", "usd", "agents", "models") if key in data
                }

    @property
    def best(self) -> Slot | None:
        """The measured candidate with the lowest search perplexity."""
        measured = [slot for slot in self.slots.values() if slot.perplexity is not None]
        return min(measured, key=lambda slot: slot.perplexity or 0.0, default=None)

    @property
    def best_baseline(self) -> tuple[str, float] | None:
        """The baseline with the lowest search perplexity."""
        return min(self.baselines.items(), key=lambda item: item[1], default=None)

    @property
    def finalist(self) -> dict[str, Any] | None:
        """The row of the finalist that the conclusion names, else of the one with the lowest perplexity on the report
        split; None if no finalist was measured."""
        measured = [row for row in self.rows if row["kind"] == "candidate" and row["report"] is not None]
        named = (row for row in measured if f"{row['name']} " in self.conclusion)
        return next(named, min(measured, key=lambda row: row["report"], default=None))

    @property
    def found(self) -> str:
        """The slot of the candidate that the run found: the finalist, before the confirmation the best candidate; empty
        without a measured one."""
        if self.finalist is not None:
            return one_line(self.finalist["name"], 200).partition(" ")[0]
        return one_line(self.explained["slot"], 40) if self.explained else self.best.slot if self.best else ""

    @property
    def explanation(self) -> Explanation | None:
        """That of the candidate that the run found; None without formula and sentence."""
        name = self.found
        explained = self.explained if self.explained and one_line(self.explained["slot"], 40) == name else {}
        slot = self.slots.get(name)
        sentence = one_line(explained["text"], LONGEST_SENTENCE) if explained else ""
        if not sentence and not (slot and slot.formula):
            return None
        formula, meanings = (slot.formula, slot.symbols) if slot else ("", [])
        return Explanation(name, formula, meanings, sentence, one_line(explained["by"], 80) if explained else "")

    @property
    def recorded(self) -> str:
        """A line on the recording that the run replays, or empty."""
        facts = self.started.get("record", {}).get("replay")
        return recording_line(facts) if facts else ""

    @property
    def agents(self) -> dict[str, dict[str, Any]]:
        """The cost of each agent's calls to a chat model so far."""
        agents: dict[str, dict[str, Any]] = self.spent.get("agents", {})
        return agents

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """What each of several models that propose has cost and gained so far; empty for a single one."""
        models: dict[str, dict[str, Any]] = self.spent.get("models", {})
        return models

    @property
    def done(self) -> int:
        return sum(1 for slot in self.slots.values() if slot.status)

    def _origin(self, slot: Slot) -> str:
        """The first parent that is a candidate, with its formula, for a formula that builds on it."""
        parent = next((self.slots[name] for name in slot.parents if name in self.slots), None)
        if parent is None:
            return ""
        return f"{parent.slot}, {parent.formula}" if parent.formula else parent.slot

    def _add_call(self, call: dict[str, Any]) -> None:
        """Add the cost of a call. An unknown price makes the sum unknown."""
        usd, price = self.spent.get("usd", 0.0), call["usd"]
        self.spent["tokens"] = self.spent.get("tokens", 0) + call["tokens_in"] + call["tokens_out"]
        self.spent["usd"] = None if usd is None or price is None else usd + price

    def _move(self, event: Event) -> None:
        slot = self.slots.get(event.data["slot"])
        if slot is None:
            return
        if event.kind == "working":
            slot.agent = event.data["agent"]
        elif event.kind == "proposed":
            slot.candidate = event.data["candidate"]
            thought = event.data["thought"]
            slot.idea = str(thought.get("idea", ""))
            if drawn := formula_of(thought):
                slot.formula, slot.symbols = drawn, symbols(thought.get("expression"), self._origin(slot))
        else:
            slot.agent, slot.status = "", event.data["status"]
            slot.perplexity = event.data.get("perplexity")
            parts = (event.data.get(part) for part in ("stage", "reason", "message"))
            slot.problem = ": ".join(part for part in parts if part)
