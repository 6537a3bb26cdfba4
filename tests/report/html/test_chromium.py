"""The page in a real Chromium, without a screen: no error, everything drawn, the graph answers a click."""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoprune.report.html import document
from tests.browser import Browser, chromium
from tests.report.html.made_up import HOSTILE, MadeUp
from tests.report.html.strong import make_strong
from tests.report.html.test_document import drawn

PLOTS = ("curve", "graph", "lineage", "sparsity", "skewness", "errors", "cause", "front")
pytestmark = [pytest.mark.chromium, pytest.mark.xdist_group("chromium")]


class ReportBrowser(Browser):
    """A report open in Chromium."""

    def open(self, page: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        self.visit(page.as_uri(), width, height, scheme)
        assert self.run("return document.documentElement.dataset.ready") == "yes"

    def show(self, name: str) -> None:
        """Scroll to a plot and wait until it is drawn."""
        self.run(f"document.getElementById('plot-{name}').scrollIntoView({{block: 'center', behavior: 'instant'}})")
        self.until(f"return document.querySelector('#plot-{name} .main-svg') !== null")

    def place_of(self, name: str, plot: str = "graph") -> tuple[float, float]:
        """Where on the screen a thought, or a candidate in another plot, is drawn."""
        found = self.until(
            """
            const plot = document.getElementById(`plot-${arguments[1]}`);
            for (const trace of plot._fullData ?? []) {
              const index = (trace.customdata ?? []).indexOf(arguments[0]);
              if (index < 0) continue;
              const { xaxis, yaxis } = plot._fullLayout, box = plot.getBoundingClientRect();
              const x = xaxis._offset + xaxis.d2p(trace.x[index]), y = yaxis._offset + yaxis.d2p(trace.y[index]);
              return [box.left + x, box.top + y];
            }
            """,
            name,
            plot,
        )
        return found[0], found[1]


@pytest.fixture(scope="module")
def browser() -> Iterator[ReportBrowser]:
    with chromium() as driver:
        yield ReportBrowser(driver)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of 200 candidates, one of 8 with hostile texts, one of a run that has just begun; and the first again
    with a library that never gets anything drawn."""
    home = tmp_path_factory.mktemp("pages")
    runs = {
        "large": MadeUp(home / "large", 200),
        "hostile": MadeUp(home / "hostile", 8, said=HOSTILE),
        "begun": MadeUp(home / "begun", 0, ends=False),
        "strong": MadeUp(home / "strong", 8),
    }
    make_strong(runs["strong"].run)
    for name, made in runs.items():
        (home / f"{name}.html").write_text(drawn(made.run), encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "_library", lambda: "window.Plotly = { react: () => new Promise(() => {}) };")
        (home / "waiting.html").write_text(drawn(runs["large"].run), encoding="utf-8", newline="")
    return {name: home / f"{name}.html" for name in (*runs, "waiting")}


def test_a_large_report_opens_draws_everything_and_says_nothing_to_the_console(browser, pages, capsys):
    browser.open(pages["large"])
    browser.until("return performance.getEntriesByName('interactive').length")
    moments = browser.run(
        "return ['ready', 'drawn', 'interactive'].map((name) => performance.getEntriesByName(name)[0].startTime / 1000)"
    )
    assert moments == sorted(moments)
    with capsys.disabled():  # figures of this machine, whatever else it does meanwhile
        said = "\nreadable after {:.2f} s, first chart after {:.2f} s, interactive after {:.2f} s\n"
        sys.stdout.write(said.format(*moments))
    assert browser.run("return document.querySelector('.sketch')") is None
    for name in PLOTS:
        browser.show(name)
    titles = browser.run("return [...document.querySelectorAll('h2')].map((each) => each.textContent)")
    assert titles[:4] == ["What was found", "Course of the search", "Result", "Reasoning graph"]
    assert titles[-3:] == ["Lessons", "Costs", "Settings and fingerprints"]
    assert len(browser.run("return [...document.querySelectorAll('#table tr.row')]")) == 200
    assert browser.complaints() == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_course_is_drawn_before_the_library_and_a_click_opens_a_candidate(browser, pages, width, scheme):
    browser.open(pages["waiting"], width, 900, scheme)
    browser.until("return performance.getEntriesByName('drawn').length")
    assert browser.run("return performance.getEntriesByName('interactive').length") == 0
    assert len(browser.run("return [...document.querySelectorAll('.sketch circle')]")) == 160
    assert browser.run("return document.documentElement.scrollWidth") <= width
    names = browser.run("return document.querySelector('.sketch .names').textContent")
    assert all(name in names for name in ("wanda+uniform", "candidate", "not measured", "best so far"))
    last = browser.run(
        "const found = [...document.querySelectorAll('.sketch circle')].at(-1);"
        "found.scrollIntoView({block: 'center', behavior: 'instant'});"
        "const box = found.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]"
    )
    browser.click(*last)
    assert browser.until("return document.querySelector('dialog[open] h3')?.textContent") == "g50.c4"
    assert browser.complaints() == []


def test_a_click_on_a_thought_shows_what_it_says_its_chain_and_its_code(browser, pages):
    browser.open(pages["large"])
    browser.show("graph")
    browser.run(
        "const part = document.getElementById('graph-part'); part.value = 'chosen';"
        "part.dispatchEvent(new Event('change'))"
    )
    best = browser.run("return document.querySelector('#thought h3').textContent")
    time.sleep(0.5)
    browser.click(*browser.place_of(f"{best}.idea"))
    said = browser.until(
        "const panel = document.getElementById('thought');"
        "return panel.querySelector('h3').textContent === arguments[0] && panel.textContent",
        f"{best}.idea",
    )
    for part in (
        *("hypothesis", "the inputs of early blocks differ", "path in the reasoning graph", "block 0 is skewed"),
        "def score(layer):",
    ):
        assert part in said
    assert f"supports {best}.evidence" in said
    assert browser.complaints() == []


def test_long_code_is_folded_with_the_numbers_of_its_lines_and_unfolds(browser, pages):
    browser.open(pages["strong"])
    browser.run(f"document.querySelector('tr[data-slot=\"{child_of(browser)}\"]').click()")
    source = "[...document.querySelectorAll('tr.open .source')].at(-1)"
    parts = f"[...{source}.querySelectorAll(':scope > .numbered > pre')]"
    shown = browser.run(f"return {parts}.map((each) => each.innerText)")
    assert shown[0].split() == ["122", "123"]
    assert shown[1].startswith("def score(layer):")
    folds = f"[...{source}.querySelectorAll(':scope > details')]"
    assert browser.run(f"return {folds}.map((fold) => fold.open)") == [False] * 4
    assert "… 25 lines" in browser.run(f"return {folds}[0].querySelector('summary').textContent")
    browser.run(f"{folds}[0].querySelector('summary').click()")
    browser.until(f"return {folds}[0].open")
    numbers = browser.run(f"return {folds}[0].querySelector(':scope > .numbered .numbers').innerText")
    assert numbers.split() == [str(number) for number in range(8, 33)]
    heights = browser.run(
        f"return [...{folds}[0].querySelectorAll(':scope > .numbered > pre')].map((part) => part.clientHeight)"
    )
    assert heights[0] == heights[1]
    summaries = browser.run("return [...document.querySelectorAll('tr.open summary')].map((each) => each.textContent)")
    assert any("more characters" in summary for summary in summaries)
    assert any(summary.startswith("difference from g") for summary in summaries)
    assert browser.complaints() == []


def child_of(browser):
    """The candidate that has a difference against its parent."""
    return browser.run(
        "const data = JSON.parse(document.getElementById('data').textContent);"
        "const isLong = (each) => data.candidates.outline[each.revisions.at(-1)];"
        "return data.candidates.all.find((each) => each.against?.diff && isLong(each)).slot"
    )


def test_the_panel_goes_from_thought_to_thought_and_finds_by_words(browser, pages):
    browser.open(pages["large"])
    browser.run(
        "const find = document.getElementById('graph-find'); find.value = 'g3.c4';"
        "find.dispatchEvent(new Event('change'))"
    )
    browser.run(
        "[...document.querySelectorAll('#thought button')].find((each) => each.textContent.includes('tests')).click()"
    )
    assert browser.run("return document.querySelector('#thought h3').textContent") == "g3.c4.evidence"


def test_a_failed_candidate_opens_in_the_table_with_code_and_reason(browser, pages):
    browser.open(pages["large"])
    browser.run("document.querySelector('#table tr.row .failed').click()")
    said = browser.run("return document.querySelector('#table tr.open').textContent")
    assert "IndexError: too many indices" in said
    assert "def score(layer):" in said


@pytest.mark.parametrize("plot", ["curve", "lineage", "front"])
def test_a_click_on_a_candidate_in_a_chart_opens_it(browser, pages, plot):
    browser.open(pages["large"])
    browser.show(plot)
    best = browser.run("return document.querySelector('#thought h3').textContent")
    browser.click(*browser.place_of(best, plot))
    assert browser.until("return document.querySelector('dialog[open] h3')?.textContent")
    assert "def score(layer):" in browser.run("return document.querySelector('dialog').textContent")
    browser.run("document.getElementById('sheet-close').click()")
    assert browser.run("return document.querySelector('dialog[open]')") is None


def test_hostile_text_is_shown_as_text_and_does_nothing(browser, pages):
    browser.open(pages["hostile"])
    scripts = browser.run("return document.querySelectorAll('body script').length")
    browser.run("for (const row of document.querySelectorAll('#table tr.row')) row.click()")
    for name in PLOTS:
        browser.show(name)
    browser.show("graph")
    place = browser.place_of("g2.c1.idea")
    browser.move(*place)
    hovered = browser.until("return document.querySelector('#plot-graph .hoverlayer')?.textContent")
    assert "</script><script>alert(1)</script>" in hovered
    assert browser.run("return document.querySelectorAll('.hoverlayer a').length") == 0
    browser.click(*place)
    shown = browser.run("return document.body.innerText")
    assert shown.count("<script>alert(1)</script>") > 20
    assert "<img src=x onerror=alert(2)>" in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", shown)
    assert browser.run("return document.querySelectorAll('body script').length") == scripts == 3
    assert browser.run("return document.querySelectorAll('img, iframe, b, #thought a, #table a').length") == 0
    assert browser.complaints() == []


AXES = {
    "curve": ["candidates", "perplexity, search split"],
    "lineage": ["generation", "perplexity, search split"],
    "front": ["seconds of scoring", "perplexity, search split", "MiB"],
    "sparsity": ["block", "layer", "sparsity"],
    "skewness": ["block", "layer", "skewness"],
    "errors": ["block", "layer", "relative error"],
    "cause": ["skewness", "sparsity"],
}
"""The titles of the axes and of the colour bar of each plot."""


@pytest.mark.parametrize("width", [1280, 390])
def test_every_axis_and_colour_bar_has_a_title(browser, pages, width):
    browser.open(pages["large"], width)
    for name, titles in AXES.items():
        browser.show(name)
        found = "[...plot.querySelectorAll('.xtitle, .ytitle, .cbtitle text')].map((each) => each.textContent)"
        shown = browser.run(f"const plot = document.getElementById('plot-{name}'); return {found}")
        assert sorted(shown) == sorted(titles), name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_nothing_wider_than_its_screen_and_both_colours(browser, pages, scheme):
    browser.open(pages["large"], 390, 844, scheme)
    for name in PLOTS:
        browser.show(name)
    assert browser.run("return document.documentElement.scrollWidth") == 390
    dark = browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 24)"
    assert dark == (scheme == "dark")
    browser.run("document.getElementById('theme').click()")
    assert browser.run("return document.documentElement.dataset.theme") != scheme
    assert browser.complaints() == []


def test_a_run_that_has_just_begun_is_no_error(browser, pages):
    browser.open(pages["begun"])
    for name in ("lineage", "front"):
        browser.run(f"document.getElementById('plot-{name}').scrollIntoView()")
        browser.until(f"return document.querySelector('#plot-{name} .note') !== null")
    assert "unfinished" in browser.run("return document.body.innerText")
    assert browser.complaints() == []
