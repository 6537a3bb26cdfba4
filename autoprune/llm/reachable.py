"""Checks of chat endpoints, before anything is computed for a search that could not use them."""

from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from autoprune.config_agents import LLMSettings
from autoprune.config_values import without_user
from autoprune.errors import ChatError, RunPaused
from autoprune.keywords import did_you_mean
from autoprune.llm.parse import clean
from autoprune.llm.provider import ROLES, Choice, is_remote, remote_endpoint
from autoprune.llm.reply import ReplyUnusable

if TYPE_CHECKING:
    from autoprune.llm.endpoint import Endpoint

UNREACHED = ("ConnectError", "ConnectTimeout", "ProxyError")
"""The HTTP client's exceptions of an endpoint to which there is no connection."""


def check_endpoints(settings: LLMSettings, choice: Choice) -> None:
    """Ask the endpoints of the agents for their models, with the key. Nothing is sent for a recording.

    Where an endpoint refuses the list, or the list lacks the chosen model, this model is asked one short question: a
    valid key may not be allowed to list models, and a model may have further names. An endpoint without such a list is
    used as it is. Raises ChatError or UsageError.
    """
    if choice.provider == "symbolic" or choice.recording is not None:
        return
    agents = [settings.for_role(role) for role in ROLES if is_remote(settings, choice, role)]
    agents += settings.proposers().values()
    for agent in {(agent.model, agent.base_url): agent for agent in agents}.values():
        _check(remote_endpoint(agent))


def _check(endpoint: "Endpoint") -> None:
    import openai

    from autoprune.llm.endpoint import NOT_LISTED, listed_models
    from autoprune.llm.faults import diagnose

    try:
        names = listed_models(endpoint.base_url, endpoint.api_key)
    except NOT_LISTED as error:
        if type(error.__cause__).__name__ in UNREACHED:
            raise ChatError(
                f"the endpoint {without_user(endpoint.base_url)} cannot be reached: {diagnose(error).line}; "
                "check llm.base_url, or start its server"
            ) from None
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            _ask(endpoint, [])
        return
    if names and endpoint.model not in names:
        _ask(endpoint, names)


def _ask(endpoint: "Endpoint", names: list[str]) -> None:
    """Raises ChatError if the model cannot be used; a transient failure, or a useless reply, is none."""
    from autoprune.llm.client import Chat

    try:
        with closing(Chat(replace(endpoint, retries=0))) as chat, suppress(ReplyUnusable, RunPaused):
            chat.ask("check", "proposer", [{"role": "user", "content": "Reply with the word OK."}])
    except ChatError as error:
        raise ChatError(f"{error}{did_you_mean(endpoint.model, map(clean, names))}") from None
