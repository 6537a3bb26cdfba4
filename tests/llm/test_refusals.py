"""Parameters that an endpoint refuses, in the words and with the statuses of real ones."""

import json
from typing import Any

import pytest

from autoprune.errors import ChatError, RunPaused
from autoprune.llm.refusals import SYSTEM, Refusals, refused
from autoprune.llm.reply import ReplyUnusable
from tests.llm.asking import GOOD, QUESTION, MakeChat, Thought, ask
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Raw, as_json

ALL = ("max_completion_tokens", "max_tokens", "response_format", "tools", "temperature", "seed", SYSTEM)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"message": message, **more}


REFUSED = [
    (
        "max_completion_tokens",
        422,
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "Extra inputs"}]},
    ),
    ("max_completion_tokens", 400, error("Unrecognized request argument supplied: max_completion_tokens", param=None)),
    ("max_completion_tokens", 400, "max_completion_tokens is not supported, use max_tokens instead"),
    (
        "max_tokens",
        400,
        error("Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
    ),
    ("max_tokens", 400, "Please use 'max_completion_tokens' instead of 'max_tokens', which is not supported"),
    ("max_tokens", 400, "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."),
    (
        "temperature",
        400,
        error("'temperature' does not support 0.8 with this model. Only the default (1) value.", param="temperature"),
    ),
    ("temperature", 400, "`temperature` and `top_p` cannot both be specified for this model."),
    ("temperature", 422, ["temperature: Field not permitted"]),
    ("seed", 400, [{"error": error('Invalid JSON payload received. Unknown name "seed": Cannot find field.')}]),
    ("seed", 405, "seed not supported"),
    ("seed", 404, error("No endpoints found that can handle the requested parameters.")),
    ("seed", 400, error("Provider returned error", metadata={"raw": '{"error": "Unknown parameter: seed"}'})),
    ("seed", 400, "the parameter 'seed' does not exist"),
    ("response_format", 400, error("This model does not support json_schema output.")),
    ("response_format", 400, error("This response_format type is unavailable now")),
    ("response_format", 501, "Not implemented: response_format"),
    ("tools", 500, error("tools param requires --jinja flag", code=500)),
    ("tools", 404, error("No endpoints found that support tool use.", code=404)),
    ("tools", 400, "registry.ollama.ai/library/gemma:2b does not support tools"),
    ("tools", 400, error("`tool calling` is not supported with this model")),
    (SYSTEM, 400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
    (SYSTEM, 400, error("Conversation roles must alternate user/assistant/user/assistant/...")),
    (SYSTEM, 500, "Only user and assistant roles are supported!"),
    (SYSTEM, 501, error("Invalid role: system")),
    ("seed", 422, "unknown field `seed`, expected one of `model`, `messages`, `max_tokens`, `temperature`"),
    ("seed", 500, "TypeError: create_completion() got an unexpected keyword argument 'seed'"),
    ("seed", 501, {"error": "Not Implemented"}),
    ("response_format", 400, error("Failed to parse grammar", code=400)),
    ("response_format", 422, {"error": "Input validation error: grammar is not supported"}),
    ("response_format", 400, [{"error": error("A schema in GenerationConfig exceeds the maximum nesting depth.")}]),
    ("tools", 400, error("Cannot use custom grammar constraints with tools.")),
    (SYSTEM, 500, error("System role not supported at row 1, column 20")),
    (
        SYSTEM,
        422,
        {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user' or 'assistant'"}]},
    ),
]

SOMETHING_ELSE = [
    (401, "seed: this key is not supported"),
    (404, "The model `gpt-x` does not exist or you do not have access to it."),
    (404, 'model "tool-use" not found, try pulling it first'),
    (404, "No endpoints found for gpt-x."),
    (400, "This model's maximum context length is 512 tokens; 900 were requested (700 in max_tokens)"),
    (400, "'max_tokens' is too large: 700. This model's maximum context length is 512 tokens"),
    (422, "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens"),
    (400, "Your prompt was flagged as potentially violating our usage policy: system message"),
    (429, "Rate limit reached: tools are not supported"),
    (400, "You exceeded your current quota; temperature is unknown"),
    (500, "Internal server error"),
    (500, "unexpected token in tools"),
    (400, "no"),
    (
        422,
        {"detail": [{"loc": ["body", "foo"], "msg": "Field required", "input": {"temperature": 0.8, "seed": 1}}]},
    ),
]


@pytest.mark.parametrize(("parameter", "status", "body"), REFUSED, ids=lambda value: str(value)[:40])
def test_the_parameter_that_an_error_refuses_is_found(parameter: str, status: int, body: Any) -> None:
    assert refused(status, body, ALL, "gpt-x") == parameter


@pytest.mark.parametrize(("status", "body"), SOMETHING_ELSE, ids=lambda value: str(value)[:40])
def test_an_error_about_something_else_is_no_refusal(status: int, body: Any) -> None:
    assert refused(status, body, ALL, "gpt-x") is None


@pytest.mark.parametrize(
    ("parameter", "status", "body"),
    [
        ("stream", 500, error("Cannot use tools with stream")),
        ("stream", 400, "tools are not supported in streaming mode"),
        ("stream", 400, error("response_format is not supported when `stream` is true", param="response_format")),
        ("stream", 400, error("Your organization must be verified to stream this model.", param="stream")),
        ("stream", 422, "Streaming is not implemented"),
        ("stream_options", 422, "stream_options: Extra inputs are not permitted"),
        ("seed", 422, "unknown field `seed`, expected one of `model`, `messages`, `stream`, `temperature`"),
        ("tools", 400, "this model does not support tools"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_of_something_that_is_refused_with_streams_the_stream_is_left_out(
    parameter: str, status: int, body: Any
) -> None:
    assert refused(status, body, [*ALL, "stream", "stream_options"], "gpt-x") == parameter


def test_what_was_not_sent_cannot_be_refused() -> None:
    assert refused(400, "seed is not supported", ["temperature"]) is None
    assert refused(400, "m does not support tools", ["tools"], model="m") == "tools"


FORMS = {
    "object": lambda message: as_json({"error": {"message": message}}, 400),
    "list": lambda message: as_json([{"error": {"message": message}}], 404),
    "text": lambda message: Raw(message.encode(), "text/plain", 422),
    "detail": lambda message: as_json({"detail": message}, 500),
    "string": lambda message: as_json({"error": message}, 501),
    "in 200": lambda message: as_json({"error": {"message": message, "code": 400}}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("parameter", ["max_completion_tokens", "max_tokens", "temperature", "seed", "response_format"])
def test_a_refused_parameter_is_left_out_from_then_on_and_said_once(
    open_chat_to: MakeChat, chat_server: ChatServer, parameter: str, form: str, logged: list[str]
) -> None:
    refusal = FORMS[form](f"{parameter} is not supported by this model")
    chat_server.script = lambda body: refusal if parameter in body else GOOD
    chat = open_chat_to(seed=1)
    assert ask(chat, Thought, key="a").failed_calls == 1
    assert ask(chat, Thought, key="b").failed_calls == 0
    assert [parameter in request for request in chat_server.requests] == [True, False, False]
    assert len(logged) == 1
    assert f"refuses {parameter}" in logged[0]


def test_without_a_response_format_the_prompt_holds_the_schema(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    refusal = as_json({"error": {"message": "json_schema is not supported"}}, 400)
    chat_server.script = lambda body: refusal if "response_format" in body else GOOD
    ask(open_chat_to(), Thought)
    first, second = (request["messages"] for request in chat_server.requests)
    assert first == second[:-1] == QUESTION
    assert json.dumps(Thought.model_json_schema()) in second[-1]["content"]


def test_a_refused_system_role_is_folded_into_what_the_user_says(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    def script(body: dict[str, Any]) -> Any:
        roles = [message["role"] for message in body["messages"]]
        return as_json({"error": {"message": "System role not supported"}}, 500) if "system" in roles else "hello"

    chat_server.script = script
    assert ask(open_chat_to()).text == "hello"
    assert chat_server.requests[-1]["messages"] == [{"role": "user", "content": "Be short.\n\nSay hello."}]


def test_a_system_role_without_a_user_becomes_the_users() -> None:
    folded = Refusals([SYSTEM])
    assert folded.messages([{"role": "system", "content": "a"}]) == [{"role": "user", "content": "a"}]
    assert folded.messages(QUESTION[1:]) == QUESTION[1:]


def test_an_endpoint_that_refuses_one_parameter_after_the_other_is_asked_without_all_of_them(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    unknown = ("max_completion_tokens", "temperature", "seed", "response_format")

    def script(body: dict[str, Any]) -> Any:
        extra = next((name for name in unknown if name in body), None)
        return as_json({"detail": [{"loc": ["body", extra], "msg": "Extra inputs"}]}, 422) if extra else GOOD

    chat_server.script = script
    reply = ask(open_chat_to(seed=1), Thought)
    assert (reply.parsed, reply.failed_calls) == (Thought.model_validate(GOOD), 4)


def test_an_endpoint_that_refuses_everything_is_not_asked_for_ever(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    names = "max_completion_tokens, max_tokens, temperature, seed, response_format, tools, system role"
    chat_server.script = [as_json({"error": {"message": f"unsupported: {names}"}}, 400)]
    with pytest.raises(ChatError, match="unsupported"):
        ask(open_chat_to(seed=1), Thought)
    assert len(chat_server.requests) == 7


def test_chats_of_one_endpoint_share_what_it_refuses(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = lambda body: as_json({"error": "unknown field seed"}, 400) if "seed" in body else "hello"
    refusals = Refusals()
    for key in ("a", "b"):
        ask(open_chat_to(seed=1, refusals=refusals), key=key)
    assert len(chat_server.requests) == 3


@pytest.mark.parametrize(
    ("status", "body", "end"),
    [
        (401, {"error": {"message": "Incorrect API key provided; seed"}}, ChatError),
        (404, {"error": {"message": "The model `seed` does not exist"}}, ChatError),
        (429, {"error": {"message": "temperature: rate limit"}}, RunPaused),
        (503, {"error": "tools unavailable, try again"}, RunPaused),
    ],
)
def test_other_errors_end_as_ever(
    open_chat_to: MakeChat, chat_server: ChatServer, status: int, body: Any, end: type[Exception]
) -> None:
    chat_server.script = [as_json(body, status)]
    with pytest.raises(end):
        ask(open_chat_to(seed=1, retries=0), Thought)
    assert len(chat_server.requests) == 1


def test_a_reply_that_the_endpoint_could_not_constrain_costs_one_question_and_no_parameter(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    failed = {"message": "Failed to generate JSON.", "code": "json_validate_failed", "failed_generation": "seed"}
    chat_server.script = [as_json({"error": failed}, 400), GOOD]
    chat = open_chat_to(seed=1)
    with pytest.raises(ReplyUnusable, match="Failed to generate"):
        ask(chat, Thought, key="a")
    assert ask(chat, Thought, key="b").failed_calls == 0
    assert json.dumps(chat_server.requests[1]).count("json_schema") == 2
