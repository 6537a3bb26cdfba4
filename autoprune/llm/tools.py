"""Tools that a chat model may call before it answers, declared by schema and bounded in rounds and size."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from autoprune.llm.parse import clean

LONGEST_RESULT = 6000
LONGEST_SHOWN = 80
"""Characters of an argument that a call is shown with."""
MOST_CALLS = 8


@dataclass(frozen=True)
class Tool:
    """One tool. `takes`: validates the arguments; `run`: returns the result as text. `most`: calls in one question,
    valid or not; None for no limit of its own. `written`: the arguments in the text of a model that cannot call tools,
    None if the text is no call."""

    name: str
    purpose: str
    takes: type[BaseModel]
    run: Callable[[Any], str]
    most: int | None = None
    written: Callable[[str], dict[str, Any] | None] = lambda text: None


@dataclass(frozen=True)
class Toolbox:
    """The tools of one question, for at most `rounds` rounds of calls; then the model has to answer. `called`: the
    names of the tools that were called so far."""

    tools: tuple[Tool, ...]
    rounds: int
    called: tuple[str, ...] = ()

    def after(self, *names: str) -> "Toolbox":
        """The same after calls of these tools."""
        return replace(self, called=(*self.called, *names))

    def declared(self) -> list[dict[str, Any]]:
        """The declarations for an OpenAI-compatible endpoint."""
        return [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.purpose,
                    "parameters": tool.takes.model_json_schema(),
                },
            }
            for tool in self.tools
        ]

    def answer(self, name: str, arguments: dict[str, Any]) -> str:
        """The tool's result, or an error message after which the model may call again."""
        tool = next((tool for tool in self.tools if tool.name == name), None)
        if tool is None:
            return f"there is no tool {name!r}; there are: {', '.join(tool.name for tool in self.tools)}"
        if tool.most is not None and self.called.count(name) >= tool.most:
            return f"{name} can be called {tool.most} times before an answer, and was; answer now"
        try:
            request = tool.takes.model_validate(arguments)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            return f"{'.'.join(map(str, problem['loc'])) or 'the arguments'}: {problem['msg']}"
        return clean(tool.run(request))[:LONGEST_RESULT]


class ToolCall(BaseModel):
    """One call of the model with its result. `id`: the endpoint's; empty if the call was written as text."""

    id: str
    name: str
    arguments: dict[str, Any]
    result: str

    def __str__(self) -> str:
        """The call in a line, with the size of an argument instead of its value if that is long or has lines."""
        return f"{self.name}({', '.join(f'{key}={_shown(value)}' for key, value in self.arguments.items())})"


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN and "\n" not in text else f"{len(text)} characters"


def calls_of(message: Any, text: str, toolbox: Toolbox) -> list[ToolCall]:
    """Run the tool calls of a langchain message, or else the one that its text, without thinking, stands for."""
    calls = []
    for requested in [*message.tool_calls, *message.invalid_tool_calls][:MOST_CALLS]:
        name, arguments = clean(str(requested["name"])), requested["args"]
        valid = isinstance(arguments, dict)
        result = toolbox.answer(name, arguments) if valid else "the arguments are no JSON object"
        cleaned = json.loads(clean(json.dumps(arguments))) if valid else {}
        calls.append(ToolCall(id=requested["id"], name=name, arguments=cleaned, result=result))
        toolbox = toolbox.after(name)
    return calls or [
        ToolCall(id="", name=tool.name, arguments=arguments, result=toolbox.answer(tool.name, arguments))
        for tool in toolbox.tools
        if (arguments := tool.written(text)) is not None
    ]


def exchange(text: str, calls: list[ToolCall]) -> list[dict[str, Any]]:
    """The conversation's next messages: the model's calls and their results."""
    if not any(call.id for call in calls):
        results = "\n\n".join(call.result for call in calls)
        return [{"role": "assistant", "content": text}, {"role": "user", "content": results}]
    requested = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
        for call in calls
    ]
    answers = [{"role": "tool", "tool_call_id": call.id, "content": call.result} for call in calls]
    return [{"role": "assistant", "content": text, "tool_calls": requested}, *answers]
