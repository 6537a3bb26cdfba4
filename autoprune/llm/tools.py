"""Tools that a chat model may call before it answers: declared by schema, run by us, bounded in rounds and size."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from autoprune.llm.parse import clean

LONGEST_RESULT = 6000
MOST_CALLS = 8


@dataclass(frozen=True)
class Tool:
    """One tool. `takes` validates what the model asks with; `run` answers it in text."""

    name: str
    purpose: str
    takes: type[BaseModel]
    run: Callable[[Any], str]


@dataclass(frozen=True)
class Toolbox:
    """What one question may use, in at most `rounds` turns of calls; then the model has to answer."""

    tools: tuple[Tool, ...]
    rounds: int

    def declared(self) -> list[dict[str, Any]]:
        """The tools as an OpenAI-compatible endpoint wants them declared."""
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
        """The tool's answer, or in its place what is wrong with the call: the model may ask again."""
        tool = next((tool for tool in self.tools if tool.name == name), None)
        if tool is None:
            return f"there is no tool {name!r}; there are: {', '.join(tool.name for tool in self.tools)}"
        try:
            request = tool.takes.model_validate(arguments)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            return f"{'.'.join(map(str, problem['loc'])) or 'the arguments'}: {problem['msg']}"
        return clean(tool.run(request))[:LONGEST_RESULT]


class ToolCall(BaseModel):
    """One call as the model made it, with what it was answered."""

    id: str
    name: str
    arguments: dict[str, Any]
    result: str

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value}' for key, value in self.arguments.items())})"


def calls_of(message: Any, toolbox: Toolbox) -> list[ToolCall]:
    """The calls in a message of langchain's, answered. One whose arguments are no JSON object is answered with that."""
    calls = []
    for asked in [*message.tool_calls, *message.invalid_tool_calls][:MOST_CALLS]:
        name, arguments = clean(str(asked["name"])), asked["args"]
        readable = isinstance(arguments, dict)
        result = toolbox.answer(name, arguments) if readable else "the arguments are no JSON object"
        calls.append(
            ToolCall(
                id=asked["id"],
                name=name,
                arguments=json.loads(clean(json.dumps(arguments))) if readable else {},
                result=result,
            )
        )
    return calls


def exchange(text: str, calls: list[ToolCall]) -> list[dict[str, Any]]:
    """What follows in the conversation: the model's calls, and their answers."""
    asked = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
        for call in calls
    ]
    answers = [{"role": "tool", "tool_call_id": call.id, "content": call.result} for call in calls]
    return [{"role": "assistant", "content": text, "tool_calls": asked}, *answers]
