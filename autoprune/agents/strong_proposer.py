"""The proposer by a strong model: all measurements in one prompt, thought and code in one reply."""

import re
from collections.abc import Callable, Sequence
from itertools import zip_longest
from string import Template

from autoprune.agents.briefing import Briefing
from autoprune.agents.drafts import MOST_DRAFTS, NAME
from autoprune.agents.edits import edited, has_edits, named_source, outside_edits
from autoprune.agents.lookups import Lookups
from autoprune.agents.partial import completed
from autoprune.agents.prompts.load import render, strong_task
from autoprune.agents.proposer import Draft, Request, Thought
from autoprune.gcot.belief import claim_of, read_range, shown_range
from autoprune.llm.client import Chat
from autoprune.llm.code_blocks import fenced_code
from autoprune.llm.reply import ReplyUnusable
from autoprune.llm.tools import Toolbox
from autoprune.runs.names import node_id

Siblings = Callable[[str], Sequence[str]]
"""Slot -> the proposals of the generation's earlier slots, one line each."""

_MARKS = " \t>*_#-"
_NAMES = "idea|why|edits|expected|refuted[ _-]if|tests|builds[ _-]on|ablate|formula"
_FIELD = re.compile(
    rf"^[{_MARKS}]{{0,20}}(?P<name>{_NAMES})[{_MARKS}]{{0,20}}:(?P<text>.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_LEADING = re.compile(rf"^(?:(?!-\d)[{_MARKS}])+")
"""Marks before a value, but not the sign of a number."""
_END = re.compile(r"\n\s*\n|\n\s*(?:```|~~~|<<<<<)")
_LATE = re.compile(r"\w+: timeout: ")
"""Start of the sandbox's comment on a candidate that was too slow (`repairs.send_back`)."""
_TWIN = re.compile(r"\w+: duplicate: ")
"""Start of its comment on a candidate with the masks of another one."""
FORMULA_CHARS = 400
REASONING_CHARS = 20_000
MEND = "Write it again: the same idea, mended."
OTHERWISE = (
    "Write it again so that it prunes other weights: keep the mechanism, and change what the order of its scores or "
    "its allocation depends on."
)
SHORTER = 2 / 3
"""The share of the time limit that a candidate may take after it was too slow."""
FASTER = (
    "Write it again: the same idea in at most $shorter of the $seconds seconds for all matrices, by fewer iterations "
    "on the largest of them, cheaper steps, or operations over all rows at once."
)
ASKED = {_LATE: FASTER, _TWIN: OTHERWISE}
"""What a repair asks for, by the start of a comment; else MEND."""


class StrongProposer:
    """Asks a chat model for a whole algorithm. The journal's key of each call consists of slot and revision."""

    def __init__(self, chat: Chat, briefing: Briefing, siblings: Siblings, lookups: Lookups) -> None:
        self._chat = chat
        self._briefing = briefing
        self._siblings = siblings
        self._lookups = lookups

    def propose(self, request: Request) -> Draft:
        """A draft; without source when the model's reply is unusable."""
        slot, generation = request.plan["slot"], request.plan["generation"]
        toolbox = self._lookups(generation, request) if not request.comments else None
        system = self._briefing.system(about_drafts(toolbox))
        if request.previous is not None or request.comments:
            prompt = _repair(request, self._briefing.workbench.config.sandbox.seconds)
        else:
            task = strong_task(request.plan["operator"], self._briefing.operators)
            task += f" ({request.plan['asked']}.)" if "asked" in request.plan else ""
            prompt = self._briefing.task(request, self._siblings(slot), task)
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        try:
            reply = self._chat.ask(
                f"{slot}.propose.{request.revision}.draft",
                "proposer",
                messages,
                None,
                toolbox=toolbox,
            )
        except ReplyUnusable as unusable:
            return Draft({}, None, f"the reply could not be used: {unusable.error}")
        thought = read_thought(reply.text, request.references)
        if "asked" in request.plan:
            thought["asked"] = request.plan["asked"]
        cut_off = ", for it was cut off by the token limit (llm.max_reply_tokens)" * reply.truncated
        parent = request.parents[0].source if request.parents else None
        try:
            if edits := edits_of(reply.text):
                source = edited(edits, request.previous or named_source(reply.text, request.known) or parent)
            elif (code := fenced_code(reply.text)) is not None:
                source = code
            else:
                return Draft(thought, None, f"the reply holds no Python code{cut_off}")
            return Draft(thought, completed(source, parent))
        except ValueError as problem:
            return Draft(thought, None, f"the reply cannot be put together with its parent: {problem}{cut_off}")


def about_drafts(toolbox: Toolbox | None) -> str:
    """The sentence on `try_layers` in the prompt, if the tool is there."""
    offered = toolbox is not None and any(tool.name == NAME for tool in toolbox.tools)
    return f" {render('strong/drafts', tool=NAME, most=MOST_DRAFTS)}" if offered else ""


def read_thought(reply: str, references: frozenset[str]) -> dict[str, object]:
    """The labelled lines of a reply as a thought, with the text before them as `reasoning`.

    A value ends at the next label, an empty line or the code. The last of several equal labels counts, since models
    often draft their answer before they give it. References to nodes that do not exist are dropped.
    """
    fields: dict[str, str] = {}
    matches = list(_FIELD.finditer(reply))
    for match, following in zip_longest(matches, matches[1:]):
        more = reply[match.end() : following.start() if following else None]
        text = f"{_LEADING.sub('', match['text']).rstrip(_MARKS)} {_END.split(more, maxsplit=1)[0]}"
        fields[re.sub(r"[ -]", "_", match["name"].lower())] = " ".join(text.split())
    texts = {"idea": fields.get("idea", ""), "why": fields.get("why", "")}
    validated = Thought.model_validate({**texts, "expected": "better"})
    thought: dict[str, object] = {name: getattr(validated, name) for name in texts if texts[name]}
    thought |= _claimed(fields.get("expected", "").lower())
    thought |= {name: fields[name][:FORMULA_CHARS] for name in ("refuted_if", "ablate") if fields.get(name)}
    reasoning = (reply[: matches[0].start()] if matches else "").strip()
    extra = {"formula": fields.get("formula", "")[:FORMULA_CHARS], "reasoning": reasoning[:REASONING_CHARS]}
    thought |= {name: text for name, text in extra.items() if text}
    if "builds_on" in fields:
        thought["builds_on"] = [name for name in _names(fields["builds_on"]) if name in references]
    if "tests" in fields:  # of hypotheses, also by the name of their candidate
        tests = dict.fromkeys(
            name if name.endswith(".idea") else node_id(name, "idea") for name in _names(fields["tests"])
        )
        thought["tests"] = [name for name in tests if name in references]
    return thought


def edits_of(reply: str) -> str:
    """The part of a reply with its edits, empty if there are none: after the last labelled line that is not within one
    of them, since models often draft their answer before they give it."""
    start = max((match.end() for match in _FIELD.finditer(outside_edits(reply))), default=0)
    answer = reply[start:]
    if has_edits(answer):
        return answer
    return reply if has_edits(reply) and fenced_code(answer) is None else ""


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"\w+(?:[.-]\w+)*", text)))


def _claimed(text: str) -> dict[str, object]:
    """`expected` (better, same or worse) and `predicted` (a range) of a text that states one or both."""
    words, predicted = set(re.findall(r"\b(?:better|same|worse)\b", text)), read_range(text)
    claimed: dict[str, object] = {}
    if predicted:
        claimed["expected"] = claim_of(*predicted)
    elif len(words) == 1:
        claimed["expected"] = words.pop()
    return claimed | ({"predicted": shown_range(*predicted)} if predicted else {})


def _repair(request: Request, seconds: float) -> str:
    """The prompt that asks for a corrected source. `seconds`: the time limit of a candidate."""
    comments = "\n".join(f"- {comment}" for comment in request.comments)
    parents = "".join(f"; the first parent:\n{parent.source}" for parent in request.parents[:1])
    asked = next((text for start, text in ASKED.items() if any(map(start.match, request.comments))), MEND)
    return render(
        "strong/repair",
        idea=request.idea or "(none was given)",
        source=(request.previous or f"# no code came{parents}").strip(),
        comments=comments,
        request=Template(asked).substitute(shorter=f"{SHORTER * seconds:.3g}", seconds=f"{seconds:g}"),
    )
