"""Who may use the live page: requests with its token, from its own page; and what a browser may do with replies.

The token is in the fragment of the address, which browsers do not send. The page keeps it for its tab and sends it in a
header, which no other site can make a browser send: there is no cookie that a request from elsewhere would carry, or
that another server on this machine would receive. The page itself (HTML, style, scripts) holds no data of the run and
needs no token. Requests under another host name, as by DNS rebinding, are refused by Starlette's middleware (`app`).

Not protected: other processes of the same user, which can read the run and this process's memory anyway.
"""

import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API = "/api/"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every reply that does not set them itself."""


class Guard:
    """Middleware that refuses requests without the token or from another origin, and adds HEADERS."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._refusal(Request(scope)) or self._app)(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        if not request.scope["path"].startswith(API):  # of the router; the URL contains the Host header
            return None
        if not _same_origin(request):
            return PlainTextResponse("requests from other sites are refused", 403)
        if not secrets.compare_digest(request.headers.get("authorization", "").encode(), self._expected):
            return PlainTextResponse("the token of the address is missing or wrong", 401)
        if request.method == "POST" and request.headers.get("content-type") != "application/json":
            return PlainTextResponse("the body must be application/json", 415)
        return None


def _same_origin(request: Request) -> bool:
    """Whether the browser says that its own page sends this, as far as it says anything."""
    own = f"{request.url.scheme}://{request.headers.get('host')}"
    site = request.headers.get("sec-fetch-site", "same-origin")
    return request.headers.get("origin", own) == own and site == "same-origin"
