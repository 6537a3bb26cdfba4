"""What README.md and docs/ name exists: modules, files, rooms, and settings by their keys of today."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from autoprune.config_migration import CONSTANTS, MOVED
from tests.docs.pages import PAGES, ROOT, blocks, inline_code, name_of

PACKAGE = ROOT / "autoprune"
DOTTED = re.compile(r"(?<![\w./-])autoprune(?:\.[A-Za-z_]\w*)+(?![\w/])")
FOLDERS = ("autoprune/", "tests/", "docs/", "benchmarks/", "scripts/", ".ci/")
FILE = re.compile(r"[\w.-]+\.(?:py|md|toml|cfg|txt)")
SPANS = PACKAGE / "report" / "spans.py"
"""Where the attributes of spans are named, which are written as modules are."""

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module, or a name at the top of one, or of a class there."""
    _, *parts = dotted.split(".")
    place = PACKAGE
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    module = place / f"{parts[0]}.py" if parts else place / "__init__.py"
    if parts and module.is_file():
        parts = parts[1:]
    elif parts:
        module = place / "__init__.py"
    return module.is_file() and _defines(ast.parse(module.read_text(encoding="utf-8")), parts)


def _defines(holder: ast.AST, names: list[str]) -> bool:
    if not names:
        return True
    for node in ast.iter_child_nodes(holder):
        if isinstance(node, ast.If) and _defines(node, names):  # what is imported for type checkers
            return True
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = {target.id for target in targets if isinstance(target, ast.Name)} | {getattr(node, "name", None)}
        if isinstance(node, ast.ImportFrom):
            named |= {alias.asname or alias.name for alias in node.names}
        if names[0] in named and _defines(node, names[1:]):
            return True
    return False


@cache
def file_names() -> frozenset[str]:
    """Of the repository, and those that the pages themselves tell a reader to write."""
    files = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*")}
    files |= {path.name for path in ROOT.iterdir()}
    told = {name for page in PAGES for block in blocks(page) for name in FILE.findall(f"{block.title} {block.text}")}
    return frozenset(files | told | {Path(name).with_suffix(".md").name for name in told})


@every_page
def test_modules_that_are_named_exist(page):
    spans = SPANS.read_text(encoding="utf-8")
    for dotted in DOTTED.findall(page.read_text(encoding="utf-8")):
        attribute = re.compile(rf'"({re.escape(dotted)}|{re.escape(dotted.removeprefix("autoprune."))})"')
        assert exists(dotted) or attribute.search(spans), f"{name_of(page)}: there is no {dotted}"


@every_page
def test_files_that_are_named_exist(page):
    commands = (block.text for block in blocks(page) if block.language == "bash")
    for word in (word for code in (*inline_code(page), *commands) for word in code.split()):
        if word.startswith(FOLDERS):
            assert (ROOT / word).exists(), f"{name_of(page)}: there is no {word}"
        elif FILE.fullmatch(word):
            assert word in file_names(), f"{name_of(page)}: there is no file {word}"


@every_page
def test_no_setting_has_a_former_key(page):
    former = {key for key in (*MOVED, *CONSTANTS) if "." in key}
    told = " ".join((*inline_code(page), *(block.text for block in blocks(page))))
    assert not former & set(re.findall(r"[a-z_]+\.[a-z_]+", told)), name_of(page)


def test_the_map_of_the_rooms_has_every_room():
    page = ROOT / "docs" / "contributing.md"
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    drawn = re.findall(r"^\| `(?:autoprune/)?(\w+)/` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(drawn) == rooms
    assert len(drawn) == len(set(drawn))


def test_dotted_names_are_told_from_those_that_do_not_exist():
    assert exists("autoprune.gcot.graph.GCoT.path_to")
    assert exists("autoprune.pruning.allocation.sdsa")
    assert not exists("autoprune.gcot.graph.GCoT.path_from")
    assert not exists("autoprune.agents.graph")


FIRST_SCREEN = 40
"""Lines of README.md within which a reader finds what it is, for whom, the result, and how to start."""


def test_the_readme_can_be_read_in_a_minute():
    assert len((ROOT / "README.md").read_text(encoding="utf-8")) <= 9_000


@pytest.mark.parametrize(
    "told",
    [
        r"^\*\*LLM agents discover how to prune your language model",
        "^For ML engineers and researchers",
        r"^\|.*\| found \| ratio \|$",
        r"^make search\b",
    ],
    ids=["what", "for whom", "result", "start"],
)
def test_the_first_screen_of_the_readme_has(told):
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:FIRST_SCREEN]
    assert any(re.search(told, line) for line in lines)
