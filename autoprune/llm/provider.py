"""Which chat model answers, and opening it: an OpenAI-compatible endpoint, the local model, the target itself, a
recording, or none.
"""

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, get_args

from autoprune.config_sections import ChatSettings, LLMSettings, Role
from autoprune.config_values import Profile, check_address, without_user
from autoprune.errors import ChatError, RunPaused, UsageError
from autoprune.llm.own_weights import OwnWeights, own_weights
from autoprune.llm.parse import clean
from autoprune.llm.recorded_settings import target_name
from autoprune.llm.recording import Recording, open_recording, replays
from autoprune.llm.reply import Journal
from autoprune.runs.recorded import recording_line

if TYPE_CHECKING:
    from autoprune.llm.client import Chat, Heard, Keep
    from autoprune.llm.endpoint import Endpoint

logger = logging.getLogger(__name__)
VENDOR_URL = "https://api.openai.com/v1"
VENDOR_MODEL = "gpt-4.1-mini"
INSTALL_LOCAL = "pip install 'autoprune[local-llm]'"
LIST_SECONDS = 15.0
PATIENCE = 90.0
"""Seconds for a whole reply of the local model: on a slow machine they become shorter."""
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Choice:
    """What answers, and why. `own`: for self, the file of the target's weights; `recording`: for replay, what is
    played. `profile`: which prompts are written."""

    provider: Literal["openai", "local", "self", "symbolic", "replay"]
    why: str
    own: OwnWeights | None = None
    profile: Profile = "small"
    recording: Recording | None = None


def choose_llm(settings: LLMSettings, target: str = "") -> Choice:
    """Settle `auto`: a recording that is named, else a configured endpoint, else the local model if it is installed,
    else no LLM; told to the user.

    `target`: the search's model, which `self` asks for.
    Raises UsageError when what was asked for by name is not configured, not installed or, for self, not possible.
    """
    choice = _choose(settings, target)
    if choice.provider == "symbolic":
        logger.info(f"LLM: symbolic ({choice.why})")
        return choice
    if settings.profile == "auto":
        profile: Profile = "strong" if choice.provider == "openai" else "small"
        ground = "an endpoint" if profile == "strong" else "a model on this machine"
    else:
        profile, ground = settings.profile, "as recorded" if choice.recording else "asked for"
    logger.info(f"LLM: {choice.provider} ({choice.why}); prompts: {profile} ({ground}; llm.profile)")
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
    """Why the local model's engine cannot be used here; None if it can.

    It is imported, since a library of the system that it needs may be missing; in a process of its own, since one built
    for another processor ends the process, and its threads need not meet torch's.
    """
    if find_spec("xllamacpp") is None:
        return f"is not installed ({INSTALL_LOCAL} adds it)"
    tried = subprocess.run([sys.executable, "-Pc", "import xllamacpp"], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return None
    said = tried.stderr.strip().splitlines() or [f"the process ended with {tried.returncode}"]
    return f"is installed but cannot be imported ({said[-1]})"


def _choose_self(settings: LLMSettings, target: str) -> Choice:
    """All agents are the target: an agent with a model or an endpoint of its own would make that untrue."""
    places = {"llm.base_url": settings.base_url}
    for role, own in settings.roles.items():
        places |= {f"llm.roles.{role}.base_url": own.base_url, f"llm.roles.{role}.model": own.model}
    for place, value in places.items():
        if value is not None:
            raise UsageError(f"llm.provider = self means the target for every agent; it excludes {place}")
    weights = own_weights(target, settings.model)
    return Choice("self", f"asked for: the agents are the target; {weights.name} is served, {weights.ground}", weights)


def _choose_replay(settings: LLMSettings, target: str) -> Choice:
    if settings.record:
        raise UsageError("llm.record=true has nothing to record beside --llm replay: the replies are recorded already")
    recording = open_recording(settings)
    why = f"{recording_line(recording.facts())}; the file is {recording.path}"
    if target and target_name(target) != recording.header.target:
        why += f"; they are about the target {clean(recording.header.target)}, and this search's is {target}"
    return Choice("replay", why, recording=recording)


def _endpoint_setting(settings: LLMSettings) -> str | None:
    """Which setting makes an endpoint known, if any."""
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
    turn: contextlib.AbstractContextManager[Any] | None = None,
    heard: "Heard" = lambda key, model, role, turn: None,
    keep: "Keep" = lambda question, messages, turn, problem: None,
    proven: bool = False,
) -> "Iterator[dict[str, Chat]]":
    """The chat model of every agent, ready to be asked; none for symbolic. Agents without settings of their own share.

    `turn` is held around calls to a model on this machine (local, or a loopback address) only. A local server runs as
    long as this is open: open it in a thread that lives as long (see LocalServer). `proven`: the run has had answers.
    `keep` gets every request and answer.
    Raises ChatError, DownloadError or UsageError when a model cannot be used, RunPaused when a proven endpoint is down.
    """
    if choice.provider == "symbolic":
        yield {}
        return
    # These take a second to import, which a symbolic run need not pay.
    from autoprune.llm.client import Chat
    from autoprune.llm.endpoint import is_loopback

    settings = settings.model_copy(update={"profile": choice.profile})
    if choice.recording is not None:
        from autoprune.llm.replay import Replayer

        replayer = Replayer(choice.recording)
        yield {
            role: Chat(replayer.endpoint(role), journal=journal, before_call=before_call, heard=heard, answers=replayer)
            for role in ROLES
        }
        return
    wanted = {role: settings.for_role(role) for role in ROLES}
    with contextlib.ExitStack() as stack:
        endpoints: dict[tuple[str | None, str | None], Endpoint] = {}
        chats: dict[ChatSettings, Chat] = {}
        for role, own in wanted.items():
            if own in chats:
                continue
            where = own.model, own.base_url
            if where not in endpoints:
                elsewhere = choice.provider == "openai" or settings.of_role(role).base_url is not None
                local = None if elsewhere else stack.enter_context(_local(own, choice.own, seed))
                endpoints[where] = local or _remote(own, seed, proven)
            endpoint = replace(endpoints[where], temperature=own.temperature, max_reply_tokens=own.reply_tokens)
            chats[own] = Chat(
                endpoint,
                journal=journal,
                before_call=before_call,
                turn=turn if is_loopback(endpoint.base_url) else None,
                heard=heard,
                keep=keep,
                proven=proven,
            )
            stack.callback(chats[own].close)
            if own != settings.for_role("proposer"):
                logger.info(f"{role}: {endpoint.model} at {without_user(endpoint.base_url)}")
        yield {role: chats[own] for role, own in wanted.items()}


@contextlib.contextmanager
def _local(settings: ChatSettings, target: OwnWeights | None, seed: int | None) -> "Iterator[Endpoint]":
    from autoprune.llm.endpoint import Endpoint
    from autoprune.llm.local import LocalServer
    from autoprune.llm.model_file import find_model
    from autoprune.runs.prices import free

    file = target.find() if target else find_model(settings.model)
    logger.info(f"starting {file.name} on this machine")
    with LocalServer(file, threads=settings.threads, context=settings.context) as server:
        yield Endpoint(
            base_url=server.base_url,
            model=file.stem,
            api_key=server.api_key,
            temperature=settings.temperature,
            max_reply_tokens=settings.reply_tokens,
            timeout=settings.reply_seconds,
            retries=settings.retries,
            price=free,
            seed=seed,
            streams=True,
            patience=PATIENCE,
            reports_progress=True,
        )


def _remote(settings: ChatSettings, seed: int | None, proven: bool) -> "Endpoint":
    from autoprune.llm.endpoint import Endpoint, is_loopback
    from autoprune.runs.prices import cost

    known = os.environ.get("OPENAI_BASE_URL")
    try:
        check_address(known or "")
    except ValueError as error:
        raise UsageError(f"OPENAI_BASE_URL: {error}") from None
    # A run's own settings do not hold the user and the password of an address.
    same = known and settings.base_url == without_user(known)
    base_url = (known if same else settings.base_url) or known or VENDOR_URL
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
        temperature=settings.temperature,
        max_reply_tokens=settings.reply_tokens,
        timeout=settings.reply_seconds,
        retries=settings.retries,
        price=cost,
        seed=seed,
        streams=is_loopback(base_url),
    )


def _only_model(base_url: str, key: str, proven: bool) -> str:
    """The model of an endpoint that serves just one, as own servers often do."""
    import openai

    from autoprune.llm.faults import Action, diagnose

    try:
        with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=LIST_SECONDS) as client:
            names = [model.id for model in client.models.list() if isinstance(model.id, str)]
    except (openai.OpenAIError, AttributeError, TypeError, ValueError) as error:
        fault = diagnose(error)
        problem = f"the chat endpoint {without_user(base_url)} does not list its models: {fault.line}"
        if proven and fault.action is Action.RETRY:
            raise RunPaused(f"{problem}; nothing is lost, `autoprune resume` goes on once it answers again") from None
        raise ChatError(problem) from None
    if len(names) != 1:
        some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise UsageError(f"llm.model must name one of the {len(names)} models of {without_user(base_url)}: {some}")
    return names[0]
