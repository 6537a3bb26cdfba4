"""Chooses and opens the chat model: an OpenAI-compatible endpoint, the local model, the target itself, a recording, or
none.
"""

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, get_args

from autoprune.config_agents import ChatSettings, LLMSettings, Role, proposer_named
from autoprune.config_values import ChatProvider, Profile, check_address, without_user
from autoprune.errors import ChatError, RunPaused, UsageError
from autoprune.llm.own_weights import OwnWeights, find_model, own_weights
from autoprune.llm.parse import clean
from autoprune.llm.recorded_settings import target_name
from autoprune.llm.recording import Recording, open_recording, replays
from autoprune.llm.reply import Journal
from autoprune.runs.directory import recording_line

if TYPE_CHECKING:
    from autoprune.llm.client import Chat, OnAnswer, OnReply
    from autoprune.llm.endpoint import Endpoint

logger = logging.getLogger(__name__)
VENDOR_URL = "https://api.openai.com/v1"
VENDOR_MODEL = "gpt-4.1-mini"
INSTALL_LOCAL = "pip install 'autoprune[local-llm]'"
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Choice:
    """The chosen provider and the reason. `own`: for self, the file of the target's weights. `profile`: of the
    prompts. `recording`: for replay."""

    provider: ChatProvider
    why: str
    own: OwnWeights | None = None
    profile: Profile = "small"
    recording: Recording | None = None


def choose_llm(settings: LLMSettings, target: str = "") -> Choice:
    """Choose the provider and log the choice. `auto`: a recording in the settings, else a configured endpoint, else the
    local model if it is installed, else no LLM.

    `target`: the search's model, for `self`. Raises UsageError for a provider that is not configured, not installed or,
    for self, not possible.
    """
    choice = _choose(settings, target)
    if settings.models and choice.provider in ("local", "self"):
        raise UsageError(f"llm.models needs an endpoint, which serves them all; llm.provider is {choice.provider}")
    if choice.provider == "symbolic":
        logger.info(f"LLM: symbolic ({choice.why})")
        return choice
    if settings.profile == "auto":
        profile: Profile = "strong" if choice.provider == "openai" else "small"
        reason = "an endpoint" if profile == "strong" else "a model on this machine"
    else:
        profile, reason = settings.profile, "as recorded" if choice.recording else "asked for"
    logger.info(f"LLM: {choice.provider} ({choice.why}); prompts: {profile} ({reason}; llm.profile)")
    return replace(choice, profile=profile)


def _choose(settings: LLMSettings, target: str) -> Choice:
    if replays(settings):
        return _choose_replay(settings, target)
    endpoint = _endpoint_setting(settings)
    match settings.provider:
        case "symbolic":
            return Choice("symbolic", "asked for: score expressions are evolved without an LLM")
        case "openai":
            if endpoint is None:
                raise UsageError("llm.provider = openai needs OPENAI_API_KEY in the environment, or llm.base_url")
            return Choice("openai", f"asked for; {endpoint}")
        case "local" | "self" as provider:
            if problem := engine_problem():
                raise UsageError(f"llm.provider = {provider} needs the local model's engine, which {problem}")
            return Choice("local", "asked for") if provider == "local" else _choose_self(settings, target)
    if endpoint is not None:
        return Choice("openai", endpoint)
    if problem := engine_problem():
        return Choice("symbolic", f"no OPENAI_API_KEY, no llm.base_url; the local model's engine {problem}")
    return Choice("local", "no OPENAI_API_KEY and no llm.base_url, but the local model's engine is installed")


def engine_problem() -> str | None:
    """Why the local model's engine cannot be used; None if it can.

    The engine is imported, since it may lack system libraries; in a separate process, since an engine built for another
    processor crashes, and to keep its threads apart from torch's.
    """
    if find_spec("xllamacpp") is None:
        return f"is not installed ({INSTALL_LOCAL} adds it)"
    result = subprocess.run([sys.executable, "-Pc", "import xllamacpp"], capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return None
    lines = result.stderr.strip().splitlines() or [f"the process ended with {result.returncode}"]
    return f"is installed but cannot be imported ({lines[-1]})"


def _choose_self(settings: LLMSettings, target: str) -> Choice:
    """All agents are the target, so no agent may have a model or an endpoint of its own."""
    excluded = {"llm.base_url": settings.base_url}
    for role, own in settings.roles.items():
        excluded |= {f"llm.roles.{role}.base_url": own.base_url, f"llm.roles.{role}.model": own.model}
    for key, value in excluded.items():
        if value is not None:
            raise UsageError(f"llm.provider = self uses the target for every agent; it excludes {key}")
    weights = own_weights(target, settings.model)
    return Choice("self", f"asked for: the agents are the target; {weights.name} is served, {weights.ground}", weights)


def _choose_replay(settings: LLMSettings, target: str) -> Choice:
    if settings.record:
        raise UsageError("llm.record=true cannot be used with --llm replay: the replies are already recorded")
    recording = open_recording(settings)
    why = f"{recording_line(recording.facts())}; the file is {recording.path}"
    if target and target_name(target) != recording.header.target:
        why += f"; they are about the target {clean(recording.header.target)}, and this search's is {target}"
    return Choice("replay", why, recording=recording)


def _endpoint_setting(settings: LLMSettings) -> str | None:
    """The setting that configures an endpoint, if any."""
    if settings.base_url:
        return "llm.base_url is set"
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        if os.environ.get(variable):
            return f"{variable} is set"
    return None


@contextlib.contextmanager
def open_chats(
    settings: LLMSettings,
    choice: Choice,
    *,
    seed: int | None = None,
    journal: Journal | None = None,
    before_call: Callable[[str], None] = lambda role: None,
    lock: contextlib.AbstractContextManager[Any] | None = None,
    on_reply: "OnReply" = lambda key, model, role, turn: None,
    on_answer: "OnAnswer" = lambda question, messages, turn, problem: None,
    proven: bool = False,
) -> "Iterator[dict[str, Chat]]":
    """Role -> chat model, also by `proposer_named` of `llm.models`; empty for symbolic. Equal ones are shared.

    `lock`: held during calls to a model on this machine (local, or a loopback address). `proven`: the run has had
    answers. For the others see Chat. A local server ends with the thread that opens it (see LocalServer).

    Raises ChatError, DownloadError or UsageError when a model cannot be used, RunPaused when a proven endpoint is down.
    """
    if choice.provider == "symbolic":
        yield {}
        return
    # Imported here: they take a second, which a symbolic run does not need.
    from autoprune.llm.client import Chat
    from autoprune.llm.endpoint import is_loopback

    settings = settings.model_copy(update={"profile": choice.profile})
    if choice.recording is not None:
        from autoprune.llm.replay import Replayer

        replayer = Replayer(choice.recording)
        common: dict[str, Any] = {"journal": journal, "before_call": before_call, "on_reply": on_reply}
        yield {role: Chat(replayer.endpoint(role), answers=replayer, **common) for role in ROLES}
        return
    by_role: dict[str, ChatSettings] = {role: settings.for_role(role) for role in ROLES}
    by_role |= {proposer_named(model): own for model, own in settings.proposers().items()}
    with contextlib.ExitStack() as stack:
        endpoints: dict[tuple[str | None, str | None], Endpoint] = {}
        chats: dict[ChatSettings, Chat] = {}
        for role, own in by_role.items():
            if own in chats:
                continue
            address = own.model, own.base_url
            if address not in endpoints:
                remote = role not in ROLES or is_remote(settings, choice, role)
                local = None if remote else stack.enter_context(_local(own, choice.own, seed))
                endpoints[address] = local or remote_endpoint(own, seed, proven)
            endpoint = replace(endpoints[address], temperature=own.temperature, max_reply_tokens=own.reply_tokens)
            chats[own] = Chat(
                endpoint,
                journal=journal,
                before_call=before_call,
                lock=lock if is_loopback(endpoint.base_url) else None,
                on_reply=on_reply,
                on_answer=on_answer,
                proven=proven,
            )
            stack.callback(chats[own].close)
            if own != settings.for_role("proposer"):
                logger.info(f"{role.partition(':')[0]}: {endpoint.model} at {without_user(endpoint.base_url)}")
        yield {role: chats[own] for role, own in by_role.items()}


@contextlib.contextmanager
def _local(settings: ChatSettings, target: OwnWeights | None, seed: int | None) -> "Iterator[Endpoint]":
    from autoprune.llm.endpoint import Endpoint
    from autoprune.llm.local import LocalServer
    from autoprune.runs.prices import free

    file = target.find() if target else find_model(settings.model)
    logger.info(f"starting {file.name} on this machine")
    with LocalServer(file, context=settings.context_tokens) as server:
        yield Endpoint(
            base_url=server.base_url,
            model=file.stem,
            api_key=server.api_key,
            timeout=settings.reply_seconds,
            retries=settings.retries,
            price=free,
            seed=seed,
            streams=True,
            patience=settings.patience,
            fewest_tokens=settings.fewest_tokens,
            reports_progress=True,
        )


def runs_here(settings: LLMSettings, choice: Choice) -> bool:
    """Whether the proposer's model is on this machine, behind an endpoint or not, and may need minutes for a reply."""
    from autoprune.llm.endpoint import is_loopback

    if choice.provider in ("symbolic", "replay"):
        return False
    own = settings.for_role("proposer").base_url
    if own is None and choice.provider != "openai":
        return True
    return is_loopback(own or os.environ.get("OPENAI_BASE_URL") or VENDOR_URL)


def is_remote(settings: LLMSettings, choice: Choice, role: Role) -> bool:
    """Whether an agent's chat model is an endpoint of the settings or the environment, not one that is started here."""
    return choice.provider == "openai" or settings.of_role(role).base_url is not None


def remote_endpoint(settings: ChatSettings, seed: int | None = None, proven: bool = False) -> "Endpoint":
    """The endpoint of an agent. One whose model is not named is asked for it; `proven`: it has answered this run.

    Raises ChatError, UsageError, and RunPaused when a proven one is down.
    """
    from autoprune.llm.endpoint import Endpoint, is_loopback
    from autoprune.runs.prices import cost

    from_environment = os.environ.get("OPENAI_BASE_URL")
    try:
        check_address(from_environment or "")
    except ValueError as error:
        raise UsageError(f"OPENAI_BASE_URL: {error}") from None
    # A run's stored settings hold an address without its user and password.
    same = from_environment and settings.base_url == without_user(from_environment)
    base_url = (from_environment if same else settings.base_url) or from_environment or VENDOR_URL
    key = os.environ.get("OPENAI_API_KEY", "").strip() or "none"
    if not key.isascii() or not key.isprintable():
        raise UsageError("OPENAI_API_KEY holds a character that no key has; was it copied whole, without quotes?")
    model = settings.model or os.environ.get("OPENAI_MODEL")
    if model is None:
        model = VENDOR_MODEL if base_url.rstrip("/") == VENDOR_URL else _only_model(base_url, key, proven)
    return Endpoint(
        base_url=base_url,
        model=model,
        api_key=key,
        timeout=settings.reply_seconds,
        retries=settings.retries,
        price=cost,
        seed=seed,
        streams=True,
        patience=settings.patience if is_loopback(base_url) else None,
        fewest_tokens=settings.fewest_tokens,
    )


def _only_model(base_url: str, key: str, proven: bool) -> str:
    """The model of an endpoint that serves a single one, as self-hosted servers often do."""
    from autoprune.llm.endpoint import NOT_LISTED, listed_models
    from autoprune.llm.faults import Action, diagnose

    try:
        names = listed_models(base_url, key)
    except NOT_LISTED as error:
        fault = diagnose(error)
        problem = f"the chat endpoint {without_user(base_url)} does not list its models: {fault.line}"
        if proven and fault.action is Action.RETRY:
            raise RunPaused(f"{problem}; nothing is lost; continue with `autoprune resume` when it is back") from None
        raise ChatError(problem) from None
    if len(names) != 1:
        listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise UsageError(f"llm.model must name one of the {len(names)} models of {without_user(base_url)}: {listed}")
    return names[0]
