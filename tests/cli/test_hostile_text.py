"""What an LLM or a candidate wrote is text in everything that a run is shown as: terminal, HTML, SVG, graphs, files."""

import ast
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import networkx as nx
import pytest
from markdown_it import MarkdownIt

from autoprune.cli.common import report_error
from autoprune.errors import AutoPruneError
from autoprune.runs.approvals import ApprovalRequest
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.syntax import hides
from tests.report.html.made_up import MadeUp
from tests.report.html.reading import Reader

TEXTS = {
    "script": "<script>alert(1)</script>",
    "image": "<img/src=x/onerror=alert(2)>",
    "end of an element": "</script></pre></svg>-->]]><!--",
    "entities": "&lt;i&gt;&amp;&#0;",
    "rich markup": "[red]x[/red][/foo][link=file:///etc]y[/link][i,j]",
    "colours and title": "a\x1b[31mb\x1b]0;title\x07c\x1b]8;;x://y\x1b\\d\x9b2Je",
    "NUL and friends": "a\x00b\x07c\x08d\x0be\x7ff\x85g",
    "direction": "a\u202eb\u2066c\u200fd\ufeffe",
    "lines that are none": "a\u2028b\u2029c\rd\fe\x1cf",
    "letters that are nothing": "a\u3164b\u115fc\u00add",
    "templates": "{{7*7}}{x}%(y)s%s`${alert(3)}`",
    "Markdown": "|a|**b**![c](d)```#quot;",
    "quotes": "\"'''\\\"\"\"'''\\",
}
TABLE = ("table", "thead", "tbody", "tr", "th", "td")
MEGABYTES = "<script>alert(1)</script>" + "x" * 5_000_000
UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u115f\u200f\u2028\u2029\u202e\u2066\u3164\ufeff"
COLOUR = re.compile(r"\x1b\[[\d;]*m")
ON_SCREEN = [
    ("trace", "{run}"),
    ("trace", "{run}", "g1"),
    ("trace", "{run}", "g1.c1"),
    ("trace", "{run}", "--follow"),
    ("trace", "{run}", "--graph", "tree"),
    ("approve", "{run}"),
]


def build(path: Path, said: str) -> RunDirectory:
    """A run of two candidates in which everything says this, and one more candidate that waits for approval."""
    run = MadeUp(path, 2, blocks=2, said=said).run
    archive = Archive(run.archive_file)
    turn = {"text": said, "model": said, "tokens_in": 1, "tokens_out": 1, "usd": None, "seconds": 1.0}
    turn["calls"] = [{"id": "1", "name": said, "arguments": {said: said}, "result": said}]
    archive.put("g1.c1.propose.0.thought", {"request": "r", "role": "proposer", "turns": [turn]})
    asked = {"slot": "g9.c1", "candidate": archive.proposals()[0].candidate, "revision": 0, "operator": "cross"}
    thought = {"idea": said, said: said}
    archive.approvals.ask(ApprovalRequest.model_validate({**asked, "engine": "llm", "thought": thought}))
    archive.close()
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDirectory]:
    home = tmp_path_factory.mktemp("hostile")
    return {name: build(home / str(number), text) for number, (name, text) in enumerate(TEXTS.items())}


@pytest.fixture(params=TEXTS)
def hostile(request: pytest.FixtureRequest, runs: dict[str, RunDirectory]) -> tuple[str, str]:
    """A run's path, and the text that everything in it says."""
    return str(runs[request.param].path), TEXTS[request.param]


def says(page: str, said: str) -> bool:
    """Whether a text is there, but for what must not come through, and for what wrapping puts between."""

    def squeezed(text: str) -> str:
        return re.sub(rf"[{UNSAFE}\s│├└─]", "", text)

    return squeezed(said) in squeezed(page)


def is_safe(page: str) -> bool:
    return not re.search(f"[{UNSAFE}]", page)


@pytest.mark.parametrize("words", ON_SCREEN, ids=" ".join)
@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_a_screen_shows_it_and_obeys_nothing(here, monkeypatch, hostile, words, terminal):
    run, said = hostile
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
    done = here(*(word.format(run=run) for word in words))
    assert (done.returncode, done.stderr) == (0, "")
    text = COLOUR.sub("", done.stdout) if terminal else done.stdout
    assert is_safe(text)
    assert says(text, said)


def test_an_error_shows_it_and_obeys_nothing(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    for said in TEXTS.values():
        assert report_error(AutoPruneError(f"the algorithm failed: {said}")) == 1
        text = COLOUR.sub("", capsys.readouterr().err)
        assert is_safe(text)
        assert says(text, said)


class Tags(HTMLParser):
    """The tags of a page, their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_pictures_of_a_trace_hold_it_as_text(here, hostile, tmp_path):
    run, said = hostile
    assert here("trace", run, "g1.c1", "--html", "t.html", "--svg", "t.svg").returncode == 0
    html, svg = ((tmp_path / name).read_text("utf-8") for name in ("t.html", "t.svg"))
    page = Tags(html)
    assert page.tags == {"html", "head", "meta", "title", "style", "body", "pre", "code", "span"}
    assert page.attributes <= {"lang", "charset", "name", "content", "class", "style"}
    assert says(page.text, said)
    picture = ElementTree.fromstring(svg)
    assert not {element.tag.rpartition("}")[2] for element in picture.iter()} & {
        "script",
        "a",
        "image",
        "foreignObject",
    }
    assert says("".join(picture.itertext()), said)
    assert is_safe(html)
    assert is_safe(svg)


def test_a_report_holds_it_as_text(here, hostile, tmp_path):
    run, said = hostile
    assert here("report", run, "--out", "r.html").returncode == 0
    page = Reader((tmp_path / "r.html").read_text("utf-8"))
    assert page.tags.count("script") == 3
    assert not set(page.tags) & {"img", "i", "b", "a-b", "link", "iframe"}
    assert says(page.text, said)
    assert is_safe(page.text)

    def texts(part: object) -> list[str]:
        if isinstance(part, dict):
            return [text for pair in part.items() for each in pair for text in texts(each)]
        if isinstance(part, list):
            return [text for each in part for text in texts(each)]
        return [part] if isinstance(part, str) else []

    found = texts(page.data)
    assert all(map(is_safe, found))
    assert sum(says(text, said) for text in found) > 20


def test_graphs_hold_it_as_text(here, hostile):
    run, said = hostile
    text = here("trace", run, "--graph", "json").stdout
    assert is_safe(text)
    nodes = {node["id"]: node["text"] for node in json.loads(text)["nodes"]}
    graphml = here("trace", run, "--graph", "graphml").stdout
    assert is_safe(graphml)
    graph = nx.parse_graphml(graphml, force_multigraph=True)
    assert {name: data["text"] for name, data in graph.nodes(data=True)} == nodes
    assert says(nodes["g1.c1"], said)
    mermaid = here("trace", run, "--graph", "mermaid").stdout
    assert is_safe(mermaid)
    for line in mermaid.splitlines():
        assert line.count('"') in (0, 2)
        assert not set(line.partition('"')[2].rpartition('"')[0]) & set("<>`\\&")


def test_json_holds_it_exactly_in_plain_ascii(here, hostile):
    run, said = hostile
    for words in (("trace", run, "--json"), ("approve", run, "--json")):
        text = here(*words).stdout
        assert text.isascii()
        assert is_safe(text)
    assert json.loads(here("approve", run, "--json").stdout)[0]["thought"] == {"idea": said, said: said}
    proposed = [event for event in json.loads(here("trace", run, "--json").stdout) if event["kind"] == "proposed"]
    assert {event["data"]["thought"]["idea"] for event in proposed} == {said}


def test_an_exported_algorithm_and_its_notes_hold_it_as_text(here, hostile, tmp_path):
    run, said = hostile
    done = here("export-algorithm", f"{run}:g1.c1", "--out", "a.py")
    if any(map(hides, said)):  # its source has them in a comment
        assert done.returncode == 1
        assert "which can hide code" in done.stderr
        return
    assert done.returncode == 0
    body = ast.parse((tmp_path / "a.py").read_text("utf-8")).body
    assert [type(statement).__name__ for statement in body] == ["Expr", "Assign", "FunctionDef", "Assign"]
    told = body[0].value.value  # type: ignore[attr-defined]
    assert says(told, said)
    assert is_safe(told)
    notes = (tmp_path / "a.md").read_text("utf-8")
    page = Tags(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(notes))
    assert page.tags <= {"h1", "h2", "h3", "p", "ul", "li", "strong", "pre", "code", *TABLE}
    assert page.attributes <= {"class", "style"}
    assert says(page.text, said)
    assert is_safe(notes)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run in which everything says five megabytes on one line."""
    return str(MadeUp(tmp_path_factory.mktemp("large") / "run", 1, blocks=2, said=MEGABYTES).run.path)


@pytest.mark.parametrize("words", [*ON_SCREEN[:-1], ("trace", "{run}", "--graph", "mermaid")], ids=" ".join)
def test_megabytes_on_a_screen_are_cut(here, large, words):
    done = here(*(word.format(run=large) for word in words))
    assert done.returncode == 0, done.stderr
    assert "<script>" in done.stdout or "mermaid" in words
    assert len(done.stdout) < 200_000


def test_megabytes_in_files_are_cut(here, large, tmp_path):
    assert here("trace", large, "g1.c1", "--html", "t.html", "--svg", "t.svg").returncode == 0
    assert here("report", large, "--out", "r.html").returncode == 0
    assert here("export-algorithm", f"{large}:g1.c1", "--out", "a.py").returncode == 0
    for name, most in {
        "t.html": 500_000,
        "t.svg": 500_000,
        "r.html": 8_000_000,
        "a.py": 66_000,
        "a.md": 900_000,
    }.items():
        assert (tmp_path / name).stat().st_size < most, name
