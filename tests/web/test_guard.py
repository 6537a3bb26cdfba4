"""Who may use the live page: its own page with the token, under a name of this machine."""

import pytest

from autoprune.web.app import LARGEST
from tests.web.conftest import TOKEN, words_of

REBOUND = {"Host": "evil.example"}
ELSEWHERE = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong", "Bearer a-toke", "a-token"])
def test_without_the_token_nothing_of_the_run_is_given_and_nothing_is_decided(client, archive, shown, token):
    words = words_of(shown("g1.c1"), decision="approve")
    client.headers["Authorization"] = token
    for method, path, body in (
        ("GET", "/api/events", None),
        ("GET", f"/api/requests/g1.c1/{words['candidate']}", None),
        ("POST", "/api/decide", words),
        ("POST", "/api/stop", {}),
        ("POST", "/api/rest", {}),
        ("POST", "/api/fork", {}),
    ):
        assert client.request(method, path, json=body).status_code == 401
    assert archive.approvals.decisions() == []


@pytest.mark.parametrize("host", ["127.0.0.1:8765?", "127.0.0.1:8765/x", "127.0.0.1:8765#"])
def test_a_host_that_hides_the_path_does_not_hide_it_from_the_guard(client, host):
    client.headers["Authorization"] = ""
    assert client.post("/api/stop", json={}, headers={"Host": host}).status_code in (400, 401, 403)


@pytest.mark.parametrize("headers", [*ELSEWHERE, REBOUND], ids=str)
def test_a_request_from_another_site_or_host_is_refused_even_with_the_token(client, archive, shown, headers):
    words = words_of(shown("g1.c1"), decision="approve")
    assert client.post("/api/decide", json=words, headers=headers).status_code in (400, 403)
    assert archive.approvals.decisions() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_site_is_no_decision(client, archive, kind):
    assert client.post("/api/rest", content="{}", headers={"Content-Type": kind}).status_code == 415
    assert archive.approvals.switched() is None


def test_the_own_page_may_ask_under_both_names_of_this_machine(client):
    for host in ("127.0.0.1:8000", "localhost:8000"):
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert client.post("/api/stop", json={}, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/live.js", "/live.css", "/favicon.ico", "/api/events", "/nowhere"])
def test_every_reply_forbids_what_the_page_does_not_need(client, path):
    del client.headers["Authorization"]
    reply = client.get(path)
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_itself_holds_nothing_of_the_run_and_no_token(client, run):
    page = "".join(client.get(path).text for path in ("/", "/live.js", "/live.css"))
    assert TOKEN not in page
    assert str(run.path) not in page


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"[]", 422),
        (b'{"slot": 1}', 422),
        (b'{"slot": "g1.c1", "candidate": "x", "sha256": "y", "decision": "maybe"}', 422),
        (b'{"slot": "g1.c1", "candidate": "x", "sha256": "y", "decision": "approve", "who": "root"}', 422),
        (b"\xff" * 10, 422),
        (b" " * (LARGEST + 1), 413),
    ],
    ids=str,
)
def test_bodies_that_the_page_never_sends_are_refused(client, body, status):
    reply = client.post("/api/decide", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == status
    assert "\n" not in reply.text
