"""`autoprune view` as its user starts it, and what it changes for a search that another process works on."""

import json
import re
import signal
import socket
import sys
import time

import httpx
import pytest

from autoprune.runs.archive import Archive
from autoprune.runs.control import page_is_served
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import read_events
from tests.small_search import SMALL


class Page:
    """A live page and the requests that it sends."""

    def __init__(self, process):
        self.process = process
        self.address, _, token = json.loads("".join(self.process.stdout.readline() for _ in range(3)))[
            "address"
        ].partition("#")
        self.headers = {"Authorization": f"Bearer {token}"}

    def post(self, path, **body):
        return httpx.post(f"{self.address}api/{path}", json=body, headers=self.headers, timeout=60).json()

    def message(self):
        """The first message of the stream."""
        with httpx.stream("GET", f"{self.address}api/events", headers=self.headers, timeout=60) as stream:
            return next(json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))

    def until(self, wanted, seconds=120):
        end = time.monotonic() + seconds
        while not wanted(message := self.message()):
            assert time.monotonic() < end, message["head"]
            time.sleep(0.1)
        return message

    def approve(self, slot, candidate):
        shown = httpx.get(f"{self.address}api/requests/{slot}/{candidate}", headers=self.headers).json()
        words = {key: shown[key] for key in ("slot", "candidate", "sha256")}
        return self.post("decide", **words, decision="approve")


@pytest.fixture
def page(start):
    return lambda run="run": Page(start("view", run, "--port", "0", "--json"))


def test_ctrl_c_ends_it_at_once_also_while_a_page_is_open(run, page):
    served = page()
    assert served.message()["head"]["name"] == "run"
    assert page_is_served(run)
    with httpx.stream("GET", f"{served.address}api/events", headers=served.headers, timeout=60) as stream:
        next(stream.iter_lines())
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(timeout=30) == 130
    assert not page_is_served(run)


def test_a_port_in_use_is_one_line(here, run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = here("view", "run", "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"autoprune: port {port} is in use; choose another with --port, or --port 0 for a free one\n"
    )


def test_an_unknown_run_is_the_line_of_every_command(here):
    lines = {name: here(name, "nowhere") for name in ("view", "report")}
    assert lines["view"].stderr == lines["report"].stderr
    assert lines["view"].returncode == 2


def test_without_the_extra_one_line_says_how_to_install_it(here, run, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("autoprune.web", "uvicorn"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = here("view", "run")
    assert done.returncode == 2
    assert done.stderr == "autoprune: autoprune view needs the extra view: pip install 'autoprune[view]'\n"


@pytest.mark.long
def test_a_search_without_a_terminal_waits_for_the_page_then_stops_and_is_forked(start, page, tiny_model, tmp_path):
    with (tmp_path / "out.txt").open("w") as out:
        words = ["search", f"model={tiny_model}", *SMALL, "--run-dir", "run", "--approval", "human"]
        search = start(*words, out=out, err=out)
    while not (tmp_path / "run" / "config.yaml").exists():
        assert search.poll() is None, (tmp_path / "out.txt").read_text()
        time.sleep(0.05)
    served = page()
    for slot, candidate in served.until(lambda message: len(message["pending"]) == 2)["pending"]:
        assert search.poll() is None
        assert "approved by" in served.approve(slot, candidate)["decision"]
    served.until(lambda message: message["pending"] and message["pending"][0][0].startswith("g2."))
    assert served.post("stop") == {}
    assert search.wait(timeout=60) == 3
    assert re.search(r"stopped by .* on the live page while .* waits for approval", (tmp_path / "out.txt").read_text())
    assert "not running" in served.message()["head"]["state"]
    assert "no search works on" in served.post("stop")["problem"]
    forked = served.post("fork", words="approval=auto search.max_candidates=2 seed=3", generation=None)
    ended = served.until(lambda message: message["forks"][0]["state"] != "running")
    assert ended["forks"] == [{"path": forked["path"], "state": "ended"}]
    fork = RunDirectory(tmp_path / forked["path"])
    assert [event.kind for event in read_events(fork.events_file)][-1] == "run-ended"
    archive = Archive.of(fork)
    assert len(archive.outcomes()) == 2
    archive.close()
