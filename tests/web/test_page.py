"""The live page in a real Chromium: hostile texts, a lost connection, a phone, a fork that is refused."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import uvicorn

from autoprune.runs.approvals import ApprovalRequest
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory, full_hash
from autoprune.web.app import live_app
from autoprune.web.live_run import LiveRun
from tests.browser import Browser, chromium
from tests.cli.approve.waiting import SHOWN
from tests.report.html.made_up import HOSTILE, MadeUp
from tests.web.conftest import TOKEN

pytestmark = [pytest.mark.chromium, pytest.mark.xdist_group("chromium")]
ENTRIES = "return [...document.querySelectorAll('#events li')].map((each) => each.textContent)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as driver:
        yield Browser(driver)


@pytest.fixture
def made(tmp_path: Path) -> RunDirectory:
    """A run with hostile texts everywhere, and a candidate that waits."""
    run = MadeUp(tmp_path / "made", 8, said=HOSTILE).run
    source = SHOWN + "# <b>bold</b>\n"
    facts = {"operator": HOSTILE, "engine": HOSTILE, "parent": HOSTILE, "parent_source": run.save_source(SHOWN)}
    thought = {"idea": HOSTILE, "reasoning": HOSTILE, HOSTILE: HOSTILE}
    with closing(Archive.of(run)) as archive:
        candidate = run.save_source(source)
        words = {"slot": "g9.c1", "candidate": candidate, "revision": 0, "review": [HOSTILE], "thought": thought}
        archive.approvals.ask(ApprovalRequest(**words, **facts, sha256=full_hash(source)))
    return run


class Server:
    """A live page served by a thread of this process, whose streams can be broken."""

    def __init__(self, run: RunDirectory) -> None:
        self.broken = threading.Event()
        self.live = LiveRun(run)
        app = live_app(self.live, TOKEN, self.broken.is_set)
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{port}/#{TOKEN}"

    def close(self) -> None:
        self.broken.set()
        self.server.should_exit = True
        self.thread.join()
        self.live.close()


@pytest.fixture
def serve(browser: Browser) -> Iterator[Callable[[RunDirectory], Server]]:
    servers: list[Server] = []

    def start(run: RunDirectory) -> Server:
        servers.append(Server(run))
        return servers[-1]

    yield start
    browser.visit("about:blank")
    browser.complaints()
    for server in servers:
        server.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_hostile_text_is_shown_as_text_and_nothing_is_wider_than_the_screen(browser, serve, made, width, scheme):
    browser.visit(serve(made).address, width, 900, scheme)
    browser.until("return document.querySelector('.request .answers') !== null")
    browser.run("for (const part of document.querySelectorAll('details')) part.open = true")
    shown = browser.run("return document.body.innerText")
    assert shown.count("<script>alert(1)</script>") > 20
    assert "<img src=x onerror=alert(2)>" in shown
    assert not {"\x1b", "\x07", "\u202e", "\x00"} & set(shown)
    assert browser.run("return document.querySelectorAll('script').length") == 1
    assert browser.run("return document.querySelectorAll('main img, main b, main a, main iframe').length") == 0
    assert browser.run("return document.documentElement.scrollWidth") <= width
    dark = browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 24)"
    assert dark == (scheme == "dark")
    assert browser.complaints() == []


def test_a_broken_stream_is_opened_again_and_nothing_is_shown_twice_or_lost(browser, serve, made):
    lines = made.events_file.read_bytes().splitlines(keepends=True)
    made.events_file.write_bytes(b"".join(lines[:-4]))
    server = serve(made)
    browser.visit(server.address)
    before = browser.until(ENTRIES)
    server.broken.set()
    browser.until("return document.getElementById('connection').textContent.startsWith('connection lost')")
    made.events_file.write_bytes(b"".join(lines))
    server.broken.clear()
    browser.until("return document.getElementById('state').textContent.startsWith('ended')")
    after = browser.run(ENTRIES)
    assert after[: len(before)] == before
    assert 0 < len(after) - len(before) <= 4
    assert browser.run("return document.getElementById('connection').hidden")
    browser.visit(server.address.partition("#")[0])  # a reload finds the token in the tab
    assert browser.until(ENTRIES) == after
    assert browser.complaints() == []


def test_a_problem_of_a_fork_is_shown_in_its_dialog(browser, serve, made):
    browser.visit(serve(made).address)
    browser.until("return document.getElementById('state').textContent.startsWith('ended')")
    assert browser.run("return document.getElementById('stop').disabled")
    browser.run("document.getElementById('fork').click()")
    browser.run("document.querySelector('dialog[open] [name=settings]').value = 'sparsity=0.7'")
    browser.run("document.getElementById('yes').click()")
    problem = "return document.querySelector('dialog[open] .problem').textContent"
    assert "measurements depend on sparsity" in browser.until(problem)
    assert browser.complaints() == []


def test_the_report_of_this_moment_opens_from_the_page(browser, serve, made):
    browser.visit(serve(made).address)
    address = browser.until("return document.getElementById('report').href")
    browser.visit(address)
    assert browser.until("return document.documentElement.dataset.ready") == "yes"
    assert browser.run("return location.origin !== 'null' && self.origin") == "null"
    assert browser.complaints() == []


def test_without_the_token_the_page_says_what_to_do(browser, serve, made):
    browser.visit(serve(made).address.partition("#")[0] + "#wrong")
    said = browser.until("return document.getElementById('connection').textContent")
    assert said.endswith("open the address that autoprune view has printed")
    assert browser.run("return document.getElementById('events').childElementCount") == 0
