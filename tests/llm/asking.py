"""What the tests of the chat client ask, and how."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from autoprune.llm.client import Chat
from tests.llm.faulty_server import ChatServer

QUESTION = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Say hello."}]
MakeChat = Callable[..., Chat]


class Thought(BaseModel):
    idea: str
    weight: float


GOOD = {"idea": "scale by variance", "weight": 0.5}


def ask(chat: Chat, schema: type[BaseModel] | None = None, key: str = "g1.c1.propose.0") -> Any:
    return chat.ask(key, "proposer", QUESTION, schema)


class Killed(BaseException):
    """As if the process had been killed."""


def killed_after_the_first_call(server: ChatServer) -> Callable[[str], None]:
    """What is done before a call: nothing before the first one."""

    def before_call(role: str) -> None:
        if server.requests:
            raise Killed

    return before_call
