"""The proposer by LLM: first a thought as JSON, then the code in a fenced block, in one conversation."""

from random import Random

from autoprune.agents.bandit import SECTIONS
from autoprune.agents.chain import as_text
from autoprune.agents.chat.client import Chat
from autoprune.agents.chat.code_blocks import fenced_code
from autoprune.agents.chat.reply import ReplyUnusable
from autoprune.agents.lookups import Lookups
from autoprune.agents.population import Algorithm
from autoprune.agents.prompts.load import operator_task, render
from autoprune.agents.proposer import Draft, Request, Thought

KNOWN = 6
OPENING = """import torch

GROUP = "row"


def score(layer):
    W = layer.weight.abs()  # [out, in]
"""
"""How the code is to begin: a small model that is given the first lines gets the rest right more often."""
Messages = list[dict[str, str]]


class LLMProposer:
    """Asks a chat model. Every call has a key made of slot and revision, so that a resumed run replays it."""

    def __init__(self, chat: Chat, lookups: Lookups = lambda generation: None) -> None:
        self._chat = chat
        self._lookups = lookups

    def propose(self, request: Request) -> Draft:
        """A draft; one without source when the model's replies could not be used."""
        key = f"{request.plan['slot']}.propose.{request.revision}"
        messages = _opening(request)
        thought: Thought | None = None
        try:
            if request.previous is None:
                toolbox = self._lookups(request.plan["generation"])
                reply = self._chat.ask(f"{key}.thought", "proposer", messages, Thought, toolbox=toolbox)
                thought = _checked(reply.parsed, request)
                messages += [
                    _says(thought.model_dump_json(exclude={"builds_on"})),
                    _asks(render("small/proposer_code", opening=OPENING)),
                ]
            reply = self._chat.ask(f"{key}.code", "proposer", messages, None)
        except ReplyUnusable as unusable:
            return Draft(
                thought.model_dump() if thought else {}, None, f"the reply could not be used: {unusable.error}"
            )
        source = fenced_code(reply.text)
        if source is None:
            cut_off = ", for it was cut off by the token limit (llm.max_reply_tokens)" * reply.truncated
            return Draft(thought.model_dump() if thought else {}, None, f"the reply holds no Python code{cut_off}")
        return Draft(thought.model_dump() if thought else {}, _whole(source))


def _whole(source: str) -> str:
    """The source with its opening, which a model that was told to go on from there may leave out."""
    return OPENING + source if source[:1].isspace() and "def score" not in source else source


def _opening(request: Request) -> Messages:
    system = {"role": "system", "content": render("small/proposer_system")}
    if request.previous is not None:
        comments = "\n".join(f"- {comment}" for comment in request.comments)
        return [system, _asks(render("small/repair", source=request.previous.strip(), comments=comments))]
    parents = "\n\n".join(_parent(parent) for parent in request.parents) or "(none)"
    shown = request.known[:KNOWN] if "best" in request.plan.get("sections", SECTIONS) else []
    known = "\n".join(_line(algorithm) for algorithm in shown) or "(not shown this time)"
    thought = render(
        "small/proposer_thought", chain=as_text(request.chain), parents=parents, known=known, task=_task(request)
    )
    return [system, _asks(thought)]


def _task(request: Request) -> str:
    random = Random(f"{request.seed}/{request.plan['slot']}/ingredient")
    return operator_task(request.plan["operator"], random)


def _parent(parent: Algorithm) -> str:
    result = parent.failure or f"perplexity {parent.perplexity:.2f}"
    layers = f"; most damaged layers: {', '.join(parent.worst_layers)}" if parent.worst_layers else ""
    return f"[{parent.name}] {result}{layers}\n```python\n{parent.source.strip()}\n```"


def _line(algorithm: Algorithm) -> str:
    return f"- [{algorithm.name}] {algorithm.title} (perplexity {algorithm.perplexity:.2f})"


def _checked(thought: Thought, request: Request) -> Thought:
    """References to thoughts that do not exist are struck out."""
    return thought.model_copy(update={"builds_on": [name for name in thought.builds_on if name in request.references]})


def _asks(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}
