"""The live page in a real Chromium, beside a terminal, during a whole search that asks for approvals."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pexpect
import pytest

from autoprune.cli.dialog import QUESTION
from autoprune.runs.events import read_events
from tests.browser import Browser, chromium
from tests.programs import Start
from tests.small_search import SMALL

pytestmark = [pytest.mark.chromium, pytest.mark.xdist_group("chromium")]
CARD = "[...document.querySelectorAll('.request')].findLast((each) => each.dataset.slot === arguments[0])"
PRESS = f"return (() => {{ const made = {CARD} && [...{CARD}.querySelectorAll('button')]" + (
    ".find((each) => each.textContent === arguments[1]); made?.click(); return !!made; })()"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as driver:
        yield Browser(driver)


@pytest.fixture
def view(start: Start) -> Callable[[str], str]:
    """Serve a run, and give the address of its page."""

    def serve(run: str) -> str:
        server = start("view", run, "--port", "0", "--json")
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(3)]
        return str(json.loads("".join(lines))["address"])

    return serve


def question(child: "pexpect.spawn[str]") -> str:
    """The slot that the terminal asks about next."""
    child.expect(r"(g\d\.c\d) needs approval: ")
    assert child.match is not None
    slot = str(child.match[1])
    child.expect_exact(QUESTION.strip())
    return slot


def press(browser: Browser, slot: str, label: str) -> float:
    """Press a button of a slot's request as soon as it is there; returns the time."""
    browser.until(
        f"return {CARD}?.querySelector('.answers') !== undefined && {CARD}?.querySelector('.answers') !== null", slot
    )
    pressed = time.time()
    browser.until(PRESS, slot, label)
    return pressed


def card(browser: Browser, slot: str, text: str) -> str:
    """What the card of a slot says as soon as it contains a text."""
    return str(
        browser.until(f"const said = {CARD}?.textContent; return said?.includes(arguments[1]) && said", slot, text)
    )


def applied(run: Path, slot: str) -> float:
    """When the search took a decision, as it recorded it."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for event in read_events(run / "events.jsonl"):
            if event.kind == "decided" and event.data["slot"] == slot:
                return datetime.fromisoformat(event.time).timestamp()
        time.sleep(0.02)
    raise AssertionError(f"{slot} was not decided")


@pytest.mark.long
def test_page_and_terminal_approve_the_same_search(terminal, view, browser, tiny_model, tmp_path, capsys):
    words = ["search", f"model={tiny_model}", *SMALL, "--run-dir", "r", "--approval", "human", "--max-candidates", "4"]
    child = terminal(*words, width=200, NO_COLOR="1")
    child.timeout = 60
    asked = question(child)
    browser.visit(view("r"))
    assert "#" not in browser.run("return location.href")
    other = "g1.c2" if asked == "g1.c1" else "g1.c1"
    card(browser, other, "Approve")

    pressed = press(browser, asked, "Approve")
    child.expect(f"already decided: {asked} approved by .* on the live page at")
    waited = applied(tmp_path / "r", asked) - pressed
    with capsys.disabled():
        sys.stdout.write(f"\nfrom the click to the search: {waited:.2f} s\n")
    assert waited < 1.0

    assert question(child) == other
    child.sendline("a")
    assert "already decided: " in card(browser, other, "approved by")

    asked = question(child)
    card(browser, asked, "Approve")
    browser.run(f"{CARD}.querySelector('input').value = arguments[1]", asked, "<b>think bigger</b>")
    press(browser, asked, "Reject")
    child.expect(f"already decided: {asked} rejected by .*: <b>think bigger</b>")
    other = "g2.c2" if asked == "g2.c1" else "g2.c1"
    press(browser, other, "Edit …")
    browser.run(
        f"const text = {CARD}.querySelector('textarea'); text.value += arguments[1];"
        "text.dispatchEvent(new Event('input'))",
        other,
        "# by hand <img src=x onerror=alert(1)>\n",
    )
    press(browser, other, "Check")
    assert "+# by hand <img src=x onerror=alert(1)>" in card(browser, other, "Approve the edited code")
    press(browser, other, "Approve the edited code")
    while child.expect([re.escape(QUESTION.strip()), "report split"]) == 0:  # revisions of the rejected one
        child.sendline("t")
    browser.until("return document.getElementById('state').textContent.startsWith('ended')")
    child.expect(r"autoprune trace")
    child.close()
    assert browser.run("return document.querySelectorAll('#candidates tbody tr').length") == 4
    assert browser.run("return document.querySelectorAll('tr.best').length") == 1
    assert "<b>think bigger</b>" in browser.run("return document.getElementById('events').textContent")
    assert browser.run("return document.querySelectorAll('main img, main b').length") == 0
    assert browser.complaints() == []
