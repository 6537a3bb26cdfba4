"""The proposer by a small LLM: first a thought as JSON, then the code in a fenced block, in one conversation."""

from contextlib import AbstractContextManager, nullcontext
from random import Random
from string import Template

from autoprune.agents.lookups import Lookups, no_lookups
from autoprune.agents.niche import niche_of
from autoprune.agents.partial import completed
from autoprune.agents.population import Algorithm
from autoprune.agents.prompts.load import operator_task, render
from autoprune.agents.proposer import Draft, Request, Thought
from autoprune.agents.symbolic.individual import without_exchanges
from autoprune.candidates.contract import DEFAULT_GROUP, GROUPS
from autoprune.gcot.chain import SECTIONS, as_text
from autoprune.llm.client import Chat
from autoprune.llm.code_blocks import fenced_code
from autoprune.llm.reply import ReplyUnusable

KNOWN = 6
MOST_LINES = 8
"""Lines that a small model is asked to add to the opening: more of them hold more mistakes."""
OPENING = """import torch

GROUP = "$group"


def score(layer):
    W = layer.weight.abs()  # [out, in]
"""
"""The first lines of the code: a small model that is given them makes fewer mistakes in the rest."""
REPLACES = {"initialise", "explore"}
"""Operators that keep nothing of the parent, not even its GROUP."""
Messages = list[dict[str, str]]


class LLMProposer:
    """Asks a chat model. The key of each call consists of slot and revision, so that a resumed run replays it.

    `turns`: entered for each proposal. A lock suits a model that answers one question at a time: two interleaved
    conversations would push each other's prompts out of its cache.
    """

    def __init__(
        self, chat: Chat, lookups: Lookups = no_lookups, turns: AbstractContextManager[object] | None = None
    ) -> None:
        self._chat = chat
        self._lookups = lookups
        self._turns = turns or nullcontext()

    def propose(self, request: Request) -> Draft:
        """A draft; without source when the model's replies are unusable."""
        with self._turns:
            return self._ask(request)

    def _ask(self, request: Request) -> Draft:
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
                    _asks(_how_to_write(request)),
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
        return Draft(thought.model_dump() if thought else {}, _whole(source, request))


def conversation(request: Request) -> Messages:
    """All prompts of a proposal without repairs, without the model's answers."""
    return [*_opening(request), _asks(_how_to_write(request))]


def _whole(source: str, request: Request) -> str:
    """The source with what the prompt provides and the model may leave out: the parent's score, or the opening."""
    if request.plan["operator"] == "allocation" and request.parents:
        # Small models cannot copy a long source without mistakes, so they are asked for the allocation alone.
        try:
            return completed(source, request.parents[0].source)
        except ValueError:
            return source
    return opening(request) + source if source[:1].isspace() and "def score" not in source else source


def _how_to_write(request: Request) -> str:
    if request.plan["operator"] == "allocation":
        return render("small/proposer_allocation", most_lines=MOST_LINES)
    return render("small/proposer_code", most_lines=MOST_LINES, opening=opening(request))


def opening(request: Request) -> str:
    """The first lines of the code, with the GROUP that the task asks for, or else that of a parent whose formula is
    kept."""
    parents = [] if request.plan["operator"] in REPLACES else request.parents[:1]
    group = next((word for word in GROUPS if f'GROUP = "{word}"' in _task(request)), None)
    group = group or next((niche_of(parent.source).group for parent in parents), DEFAULT_GROUP)
    return Template(OPENING).substitute(group=group)


def _opening(request: Request) -> Messages:
    system = {"role": "system", "content": render("small/proposer_system")}
    if request.previous is not None:
        comments = "\n".join(f"- {comment}" for comment in request.comments)
        fields = {"source": request.previous.strip(), "comments": comments}
        if request.plan["operator"] == "allocation":
            return [system, _asks(render("small/repair_allocation", **fields))]
        return [system, _asks(render("small/repair", opening=opening(request), **fields))]
    parents = "\n\n".join(_parent(parent) for parent in request.parents) or "(none)"
    shown = request.known[:KNOWN] if "best" in request.plan.get("sections", SECTIONS) else []
    best = "\n".join(_line(algorithm) for algorithm in shown) or "(not shown this time)"
    thought = render(
        "small/proposer_thought", chain=as_text(request.chain), parents=parents, known=best, task=_task(request)
    )
    return [system, _asks(thought)]


def _task(request: Request) -> str:
    random = Random(f"{request.seed}/{request.plan['slot']}/ingredient")
    return operator_task(request.plan["operator"], random)


def _parent(parent: Algorithm) -> str:
    result = parent.failure or f"perplexity {parent.perplexity:.2f}"
    layers = f"; most damaged layers: {', '.join(parent.worst_layers)}" if parent.worst_layers else ""
    source = without_exchanges(parent.thought, parent.source)
    more = ", with exchanges by the full Hessian, which are left out here and need not be written" if source else ""
    return f"[{parent.name}] {result}{more}{layers}\n```python\n{(source or parent.source).strip()}\n```"


def _line(algorithm: Algorithm) -> str:
    return f"- [{algorithm.name}] {algorithm.title} (perplexity {algorithm.perplexity:.2f})"


def _checked(thought: Thought, request: Request) -> Thought:
    """The thought without references to nodes that do not exist."""
    return thought.model_copy(update={"builds_on": [name for name in thought.builds_on if name in request.references]})


def _asks(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}
