"""The ASGI application of the live page: its files, the stream of events, decisions, stop, forks and the report."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from autoprune.errors import AutoPruneError, message_of
from autoprune.report.html.safe import to_json
from autoprune.runs.facts import reading_facts
from autoprune.secrets import masked
from autoprune.web.feed import Feed
from autoprune.web.guard import Guard
from autoprune.web.live_run import Answer, Draft, ForkWanted, LiveRun

HOSTS = ("127.0.0.1", "localhost")
POLL = 0.2
"""Seconds between looks at the run."""
BEAT = 15.0
"""Seconds after which a stream without news sends a comment, so that a lost connection is noticed."""
LARGEST = 4_000_000
"""Maximum bytes of a request's body."""
SHARED = ("elements.js", "theme.js", "code.js")
OWN = ("server.js", "run.js", "requests.js", "actions.js", "main.js")
REPORT_POLICY = "sandbox allow-scripts allow-downloads; frame-ancestors 'none'"
"""The report has a stricter policy of its own; in a sandbox it is of another origin than the page."""

Body = TypeVar("Body", bound=BaseModel)


class Nothing(BaseModel, extra="forbid"):
    """The body of an action without words: `{}`."""


def live_app(live: LiveRun, token: str, closing: Callable[[], bool] = lambda: False) -> Starlette:
    """The application. `token`: what requests must have; `closing`: whether streams should end."""
    ticket = secrets.token_urlsafe(32)  # the report is opened by a link, which cannot send the token

    async def stream(request: Request) -> Response:
        seen = re.fullmatch("[0-9]{1,12}", request.headers.get("last-event-id", ""))
        feed = Feed(live, int(seen[0]) if seen else 0)
        return StreamingResponse(_messages(feed, f"report/{ticket}", closing), media_type="text/event-stream")

    async def shown(request: Request) -> Response:
        names = request.path_params
        return await _answered(live, lambda: live.request(names["slot"], names["candidate"]))

    async def report(request: Request) -> Response:
        if not secrets.compare_digest(request.path_params["ticket"].encode(), ticket.encode()):
            return PlainTextResponse("not found", 404)
        try:
            page = await run_in_threadpool(live.report)
        except AutoPruneError as error:
            return PlainTextResponse(masked(str(error)), 404)
        return HTMLResponse(page, headers={"Content-Security-Policy": REPORT_POLICY})

    routes = [
        Route("/", _file("text/html", "live.html")),
        Route("/live.js", _file("text/javascript", *SHARED, *OWN)),
        Route("/live.css", _file("text/css", "report.css", "live.css")),
        Route("/favicon.ico", _nothing),
        Route("/report/{ticket}", report),
        Route("/api/events", stream),
        Route("/api/requests/{slot}/{candidate}", shown),
        Route("/api/check", _action(live, Draft, live.check), methods=["POST"]),
        Route("/api/decide", _action(live, Answer, live.decide), methods=["POST"]),
        Route("/api/rest", _action(live, Nothing, lambda _: live.approve_rest()), methods=["POST"]),
        Route("/api/stop", _action(live, Nothing, lambda _: live.stop()), methods=["POST"]),
        Route("/api/fork", _action(live, ForkWanted, live.fork), methods=["POST"]),
    ]
    guards = [Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS)), Middleware(Guard, token=token)]
    return Starlette(routes=routes, middleware=guards)


async def _messages(feed: Feed, report: str, closing: Callable[[], bool]) -> AsyncIterator[str]:
    """The messages of a feed as server-sent events, each with the number of events that it covers as its id."""
    quiet = 0.0
    while not closing():
        try:
            message = await run_in_threadpool(feed.next)
        except AutoPruneError as error:
            yield f"event: problem\ndata: {to_json({'problem': masked(str(error))})}\n\n"
            return
        if message is not None:
            quiet = 0.0
            yield f"id: {feed.count}\ndata: {to_json({**message, 'report': report})}\n\n"
        elif quiet >= BEAT:
            quiet = 0.0
            yield ": still here\n\n"
        quiet += POLL
        await asyncio.sleep(POLL)


def _action(
    live: LiveRun, kind: type[Body], act: Callable[[Body], dict[str, Any]]
) -> Callable[[Request], Awaitable[Response]]:
    """A route that reads a body of this kind and does something with it."""

    async def answer(request: Request) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST:
                return PlainTextResponse(f"the body has more than {LARGEST:,} bytes", 413)
        try:
            words = kind.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            return PlainTextResponse(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", 422)
        return await _answered(live, lambda: act(words))

    return answer


async def _answered(live: LiveRun, act: Callable[[], dict[str, Any]]) -> Response:
    """The result, or `{"problem": ...}`: status 200 for both, since browsers log every other one as an error, and to
    be the second of two approvers is none."""

    def answer() -> dict[str, Any]:
        with reading_facts(live.directory):
            return act()

    try:
        return JSONResponse(await run_in_threadpool(answer))
    except (AutoPruneError, OSError) as error:  # OSError: a full disk, for one
        return JSONResponse({"problem": masked(message_of(error))})


def _file(kind: str, *names: str) -> Callable[[Request], Awaitable[Response]]:
    """A route with files of the live page, or of the report where the page has none of that name, as one."""
    parts = []
    for name in names:
        folders = (files("autoprune.web"), files("autoprune.report.html"))
        found = next(file for folder in folders if (file := folder.joinpath("page", name)).is_file())
        parts.append(found.read_text(encoding="utf-8"))
    text = "\n".join(parts)
    if kind == "text/javascript":
        text = f'(() => {{\n"use strict";\n{text}\n}})();\n'

    async def answer(request: Request) -> Response:
        return Response(text, media_type=kind)

    return answer


async def _nothing(request: Request) -> Response:
    return Response(status_code=204)
