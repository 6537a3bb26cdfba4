"""The stream of the live page: the state of a run and what changed, also after a connection was lost."""

import json
from contextlib import closing

import pytest
from starlette.testclient import TestClient

from autoprune.runs.control import stop_requested
from autoprune.runs.events import read_events
from autoprune.web.app import live_app
from autoprune.web.feed import Feed
from autoprune.web.live_run import LiveRun
from tests.report.html.made_up import HOSTILE, MadeUp
from tests.web.conftest import ADDRESS, TOKEN


@pytest.fixture
def made(tmp_path):
    return MadeUp(tmp_path / "made", 8, said=HOSTILE).run


def test_the_first_message_holds_the_run_so_far_and_none_follows_without_news(made):
    with closing(LiveRun(made)) as live:
        feed = Feed(live)
        message = feed.next()
        assert feed.next() is None
    events = list(read_events(made.events_file))
    assert feed.count == len(events)
    assert len(message["rows"]) == 8
    assert message["head"]["state"].startswith("ended: ")
    assert message["head"]["best"]["slot"] in message["rows"]
    assert message["head"]["candidates"].startswith("8/")
    json.dumps(message, allow_nan=False)


def test_a_page_that_reconnects_gets_only_what_followed(made):
    lines = made.events_file.read_bytes().splitlines(keepends=True)
    made.events_file.write_bytes(b"".join(lines[:-3]))
    with closing(LiveRun(made)) as live:
        before = Feed(live)
        before.next()
        made.events_file.write_bytes(b"".join(lines))
        rest, again = before.next(), Feed(live, seen=len(lines) - 3).next()
    assert rest["rows"] == again["rows"]
    assert rest["lines"] == again["lines"]
    assert len(rest["lines"]) <= 3
    assert rest["head"] == again["head"]


def test_a_decision_elsewhere_and_a_request_to_stop_are_seen(run, live, archive):
    feed = Feed(live)
    assert [slot for slot, _ in feed.next()["pending"]] == ["g1.c1", "g1.c2"]
    archive.approvals.decide(_rejection(archive))
    assert [slot for slot, _ in feed.next()["pending"]] == ["g1.c2"]
    with run.locked():
        assert feed.next()["head"]["state"] == "waits for approval"
        live.stop()
        assert feed.next()["head"]["state"] == f"stopping, as asked by {live.who}"
    assert stop_requested(run) == live.who
    assert feed.next()["head"]["state"] == f"not running; continue with: autoprune resume {run.path}"


def _rejection(archive):
    from autoprune.runs.approvals import Decision

    first = archive.approvals.pending()[0]
    return Decision(slot=first.slot, candidate=first.candidate, decision="reject", who="ann")


def test_a_run_without_an_archive_is_shown_and_gets_none(run):
    run.archive_file.unlink()
    with closing(LiveRun(run)) as live:
        assert Feed(live).next()["pending"] == []
        assert client_of(live).get("/api/requests/g1.c1/x").json() == {
            "problem": "g1.c1 x was not submitted for approval in this run"
        }
    assert not run.archive_file.exists()


def client_of(live: LiveRun, **headers: str) -> TestClient:
    looks = iter([False, True])
    client = TestClient(live_app(live, TOKEN, lambda: next(looks)), base_url=ADDRESS)
    client.headers.update({"Authorization": f"Bearer {TOKEN}", **headers})
    return client


def test_messages_are_events_with_the_number_of_lines_as_their_id(made):
    with closing(LiveRun(made)) as live:
        first = client_of(live).get("/api/events")
        assert first.headers["content-type"].startswith("text/event-stream")
        identity, data = first.text.rstrip("\n").split("\n")
        count = len(list(read_events(made.events_file)))
        assert identity == f"id: {count}"
        message = json.loads(data.removeprefix("data: "))
        assert len(message["rows"]) == 8
        again = client_of(live, **{"Last-Event-ID": str(count)}).get("/api/events")
        assert json.loads(again.text.rstrip("\n").split("\n")[1].removeprefix("data: "))["rows"] == {}
        for odd in ("-1", "x", "\u00b2", "9" * 5000):
            assert client_of(live, **{"Last-Event-ID": odd.encode()}).get("/api/events").status_code == 200


def test_events_that_cannot_be_read_are_one_line(run, live):
    run.events_file.write_text('{"version": 1}\n')
    reply = client_of(live).get("/api/events").text
    assert reply.startswith("event: problem\n")
    assert "line 1 is not an event" in reply


def test_the_report_is_drawn_anew_in_a_sandbox_for_those_who_have_its_address(made):
    with closing(LiveRun(made)) as live:
        client = client_of(live)
        data = client.get("/api/events").text.rstrip("\n").split("\n")[1]
        address = json.loads(data.removeprefix("data: "))["report"]
        del client.headers["Authorization"]
        page = client.get(f"/{address}")
        assert page.headers["Content-Security-Policy"].startswith("sandbox allow-scripts")
        assert "Course of the search" in page.text
        assert client.get("/report/wrong").status_code == 404


def test_a_fork_with_wrong_settings_or_without_a_state_is_one_line(made, tmp_path):
    with closing(LiveRun(made)) as live:
        for words, problem in (
            ("sparsity", "not of the form key=value"),
            ("sparsity=0.7", "cannot change it"),
            ("'", "the settings cannot be read"),
            ("", "has no state after"),
        ):
            reply = client_of(live).post("/api/fork", json={"words": words}).json()
            assert problem in reply["problem"]
        assert live.forks.states() == []
