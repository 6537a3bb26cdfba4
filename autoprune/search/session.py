"""One process's work on a run: opens its parts, starts or continues the state machine, and closes them."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from importlib.metadata import version
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, Interrupt

from autoprune.agents.analyst import Analyst, LLMAnalyst, StatisticalAnalyst
from autoprune.agents.approval import Approver
from autoprune.agents.briefing import Briefing
from autoprune.agents.critic import Critic, LLMCritic, RuleCritic
from autoprune.agents.drafts import Drafts
from autoprune.agents.llm_proposer import LLMProposer
from autoprune.agents.lookups import Lookups, lookups
from autoprune.agents.proposer import Proposer
from autoprune.agents.siblings import Siblings
from autoprune.agents.strong_proposer import StrongProposer
from autoprune.agents.structured_briefing import StructuredBriefing
from autoprune.agents.symbolic.proposer import SymbolicProposer
from autoprune.agents.symbolic.structure_proposer import StructureProposer
from autoprune.agents.trial_proposer import ENGINE, TrialProposer
from autoprune.config import Config
from autoprune.config_agents import AgentSettings, proposer_named
from autoprune.errors import RunPaused
from autoprune.llm.client import Chat
from autoprune.llm.provider import ROLES, Choice, open_chats
from autoprune.llm.reachable import check_endpoints
from autoprune.llm.recorder import Recorder, header_of
from autoprune.llm.reply import Turn
from autoprune.log import log_to
from autoprune.measuring.opening import open_workbench
from autoprune.runs.archive import Archive
from autoprune.runs.contacts import admit
from autoprune.runs.control import page_is_served, stop_requested
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog, read_events
from autoprune.runs.names import generation_id, generation_of, owner_of
from autoprune.search.budget import Budget, StopRule
from autoprune.search.checkpoints import THREAD, open_checkpoints, reading
from autoprune.search.context import SearchContext
from autoprune.search.estimate import Price, estimate, too_few_windows
from autoprune.search.expected import expected_seconds, to_come
from autoprune.search.found import as_record, found_functions
from autoprune.search.resolving import resolved
from autoprune.search.state import SearchState, checked
from autoprune.search.state_machine import Compiled, search_graph

logger = logging.getLogger(__name__)
STEPS_PER_GENERATION = 16
ESTIMATE = "estimate"
"""Key of the event with the estimate."""
POLL = 0.1
"""Seconds between checks for an approval from a live page."""
SPARE_THREADS = 4
"""Threads in addition to one for each candidate of a generation, all of which run at the same time."""
VERSIONED = ("autoprune", "torch", "transformers", "langgraph", "langchain-openai")


@contextmanager
def open_context(
    run: RunDirectory, config: Config, choice: Choice, events: EventLog, *rules: StopRule
) -> Iterator[SearchContext]:
    """Open target, sandbox, chat models and archive of a run; they are closed at the end. `rules`: limits beside those
    of the settings."""
    admit(run.path, run.settings()[0], config)
    stored, config = config, resolved(config, choice)
    with ExitStack() as stack:
        stack.enter_context(log_to(events.notice))
        if warning := too_few_windows(config):
            events.emit("notice", "windows", text=warning)
        archive = Archive.of(run, config)
        stack.callback(archive.close)
        if not archive.calls():  # one that has answered may be down for a while, which pauses the run
            check_endpoints(config.llm, choice)
        if schema := run.schema(config):
            logger.info(f"archive and checkpoints: {schema}")
        workbench = stack.enter_context(open_workbench(config, run, archive))
        budget = Budget(config.search, *rules)
        context: SearchContext

        def before_call(role: str) -> None:
            budget.check(context.spent())

        def on_reply(key: str, model: str, role: str, turn: Turn) -> None:
            events.emit("called", f"called/{key}", **_call_facts(key, model, role, turn))

        recorder = None
        if config.llm.record and choice.provider != "symbolic":
            recorder = stack.enter_context(closing(Recorder(run.recording_file)))
        chats = stack.enter_context(
            open_chats(
                config.llm,
                choice,
                seed=config.seed,
                journal=archive,
                before_call=before_call,
                lock=workbench.measurer.lock,
                on_reply=on_reply,
                on_answer=recorder.add if recorder else lambda question, messages, turn, problem: None,
                proven=bool(archive.calls()),
            )
        )
        if recorder:
            models: dict[str, str] = {role: chats[role].endpoint.model for role in ROLES}
            recorder.begin(header_of(config, models), archive.calls())
        found = found_functions(run, config)
        kind = StructuredBriefing if config.search.structure else Briefing
        briefing = kind(workbench, archive, found) if chats and choice.profile == "strong" else None
        approver = Approver(config, run, archive.approvals)
        context = SearchContext(
            config=config,
            run=run,
            archive=archive,
            events=events,
            workbench=workbench,
            proposers={"symbolic": _symbolic(config), ENGINE: TrialProposer(workbench, events)},
            critic=_critic(chats.get("critic"), config.agents, briefing),
            analyst=_analyst(chats.get("analyst"), config.agents, briefing),
            approver=approver,
            budget=budget,
            briefing=briefing,
            found=found,
            recorded=choice.recording.proposed if choice.recording else None,
        )
        if chats:
            weights = config.search.structure is None  # of which drafts have reconstruction errors
            drafts = Drafts(workbench, approver, found) if briefing and weights else None
            toolbox = lookups(workbench, config.agents, choice.provider, drafts)
            turns = threading.Lock() if choice.provider in ("local", "self") else nullcontext()
            by_chat = {
                name: _proposer(chat, toolbox, briefing, context.siblings, turns)
                for name, chat in chats.items()
                if name not in ("critic", "analyst")
            }
            context.proposers["llm"] = by_chat["proposer"]
            named = {model: by_chat.get(proposer_named(model)) for model in config.llm.models}  # none in a replay
            context.models.update({model: proposer for model, proposer in named.items() if proposer})
        record = {"versions": {name: version(name) for name in VERSIONED}, **workbench.bench.fingerprints()}
        record["sandbox"] = workbench.measurer.sandbox.name
        record["bos"] = "always" if workbench.bench.windows("search").bos else "never"
        if choice.own is not None:
            record["self"] = choice.own.record()
        former = run.settings()[1]
        if choice.recording is not None:
            record["replay"] = choice.recording.facts()
            replayed = former.get("replay")
            if isinstance(replayed, dict) and replayed.get("sha256") != choice.recording.sha256:
                logger.warning("the recording differs from the one with which this run started")
        record |= {fact: former[fact] for fact in ("origin", "schema") if fact in former}
        if config.agents.kit == "all":
            record["found"] = as_record(run, found)
        run.write_settings(stored, record)
        facts = {"model": config.model, "sparsity": config.sparsity, "llm": choice.provider, "record": record}
        events.emit("run-started", "run-started", **facts)
        endpoint = chats["proposer"].endpoint if chats else None
        context.expected = _estimate(context, choice.provider, *((endpoint.model, endpoint.price) if endpoint else ()))
        yield context


def _estimate(context: SearchContext, provider: str, model: str = "", price: Price | None = None) -> dict[str, float]:
    """Emit the estimate of a new run. Returns the expected seconds by phase where they were needed for it."""
    if any(event.key == ESTIMATE for event in read_events(context.run.events_file)):
        return {}
    phases: dict[str, float] = {}

    def plan() -> float | str:
        planned = expected_seconds(context.workbench)
        if isinstance(planned, str):
            return planned
        phases.update(planned)
        return to_come(planned)

    text = estimate(context.config, provider, context.run, model, price, plan)
    context.events.emit("notice", ESTIMATE, text=text, **({"phases": phases} if phases else {}))
    return phases


def work(context: SearchContext, wait: Callable[[], None] | None = None) -> None:
    """Start the search, or continue it from its last checkpoint. Returns when it has ended.

    While only approvals are missing, `wait` is called repeatedly; it sleeps briefly, or raises. Without it RunPaused is
    raised unless a live page of the run is served, which can answer.
    """
    with open_checkpoints(context.run, context.config) as checkpoints:
        graph = search_graph(checkpoints)
        limit = STEPS_PER_GENERATION * (context.config.search.max_candidates + 4)
        threads = context.config.search.generation_size + SPARE_THREADS
        config: RunnableConfig = {**THREAD, "recursion_limit": limit, "max_concurrency": threads}
        start: Any = None if last_state(graph, context.run) else {"generation": 0, "plans": [], "ended": 0}
        graph.invoke(start, config, context=context, durability="sync")
        while interrupts := graph.get_state(config).interrupts:
            resume: Command[Any] = Command(resume=_answers(context, interrupts, wait))
            graph.invoke(resume, config, context=context, durability="sync")


def last_state(graph: Compiled, run: RunDirectory) -> SearchState:
    """The state of the last checkpoint, empty before the first. Raises UsageError if no search can continue from it."""
    with reading(run):
        last = graph.get_state(THREAD)
        state = checked(last.values, run.path)
        if state and not isinstance((last.metadata or {}).get("step"), int):
            raise ValueError("the last one is of no step")
    return state


def _answers(
    context: SearchContext, interrupts: Sequence[Interrupt], wait: Callable[[], None] | None
) -> dict[str, Any]:
    """Interrupt -> decision, for at least one of the interrupts."""
    requests = {
        interrupt.id: context.archive.approvals.request(interrupt.value["slot"], interrupt.value["candidate"])
        for interrupt in interrupts
    }
    while True:
        decisions = {key: context.approver.decide(request) for key, request in requests.items() if request}
        answers = {key: decision.model_dump() for key, decision in decisions.items() if decision}
        if answers:
            return answers
        slots = ", ".join(request.slot for request in requests.values() if request)
        if who := stop_requested(context.run):
            raise RunPaused(f"stopped by {who} while {slots} waits for approval: autoprune approve {context.run.path}")
        if wait is not None:
            wait()
        elif page_is_served(context.run):
            time.sleep(POLL)
        else:
            raise RunPaused(f"waiting for approval of {slots}; decide with `autoprune approve {context.run.path}`")


def finished(run: RunDirectory) -> bool:
    """Whether the run has ended, by its last event, which is written when everything else is on disk.

    The checkpoints are not enough: after a kill between a step's writes and its checkpoint they have no next step
    either.
    """
    return any(event.kind == "run-ended" for event in read_events(run.events_file))


def _proposer(
    chat: Chat,
    lookups: Lookups,
    briefing: Briefing | None,
    siblings: Siblings,
    turns: AbstractContextManager[object],
) -> Proposer:
    return StrongProposer(chat, briefing, siblings.before, lookups) if briefing else LLMProposer(chat, lookups, turns)


def _symbolic(config: Config) -> Proposer:
    settings = config.search
    return StructureProposer(settings.kinds, settings.compensate != "none") if settings.kinds else SymbolicProposer()


def _critic(chat: Chat | None, settings: AgentSettings, briefing: Briefing | None) -> Critic:
    if chat is None or settings.critic == "rules":
        return RuleCritic(signs=briefing is None)
    return LLMCritic(chat, briefing)


def _analyst(chat: Chat | None, settings: AgentSettings, briefing: Briefing | None) -> Analyst:
    return StatisticalAnalyst() if chat is None or settings.analyst == "rules" else LLMAnalyst(chat, briefing)


def _call_facts(key: str, model: str, role: str, turn: Turn) -> dict[str, Any]:
    """The event's data about a reply. A question's key begins with the slot, or with the generation alone."""
    generation, owner = generation_of(key), owner_of(key)
    return {
        **({"slot": owner} if owner != generation_id(generation or 0) else {}),
        "generation": generation,
        "agent": role,
        "model": model,
        "answered_by": turn.model,
        **turn.model_dump(include={"tokens_in", "tokens_out", "estimated", "usd", "seconds", "truncated", "problem"}),
        "tools": [str(call) for call in turn.calls],
    }
