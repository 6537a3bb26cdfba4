"""The rooms of the package: what each may import is what docs/contributing.md says, and what it does."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import autoprune

PACKAGE = Path(autoprune.__file__).parent
MAP = PACKAGE.parent / "docs" / "contributing.md"
WITHOUT_TORCH = ("agents", "search")


def modules() -> Iterator[Path]:
    """Sources that are code: discoveries, and the parts that the symbolic engine writes candidates of, are data."""
    data = ("discovered", "found", "parts")
    return (
        path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name not in data or path.name == "__init__.py"
    )


def room(name: str) -> str:
    """The folder below the package that a dotted name belongs to; empty for the modules beside the rooms."""
    first = name.split(".")[1] if "." in name else ""
    return first if (PACKAGE / first).is_dir() else ""


def imported(path: Path, at_the_top: bool = False) -> set[str]:
    """Dotted names that a module imports, anywhere or only where it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body if at_the_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {node.module} if node.module != "autoprune" else {f"autoprune.{alias.name}" for alias in node.names}
            )
    return found


def arrows() -> dict[str, set[str]]:
    """Room -> the rooms that it imports."""
    found: dict[str, set[str]] = {}
    for path in modules():
        relative = path.relative_to(PACKAGE)
        if len(relative.parts) > 1:
            own = relative.parts[0]
            names = {room(name) for name in imported(path) if name.startswith("autoprune.")}
            found.setdefault(own, set()).update(names - {own, ""})
    return found


def test_the_map_in_the_documentation_is_that_of_the_imports():
    text = MAP.read_text(encoding="utf-8")
    drawn = re.findall(r"^(\w+) +-> +([\w, ]+(?:\n +[\w, ]+)*)$", text, flags=re.MULTILINE)
    told = {name: set(re.split(r",\s+", others)) - {"nobody"} for name, others in drawn}
    assert told == arrows()


def test_no_room_imports_one_that_imports_it():
    list(TopologicalSorter(arrows()).static_order())  # raises CycleError


def test_agents_and_the_search_import_no_torch_at_their_top():
    paths = [path for path in modules() if path.relative_to(PACKAGE).parts[0] in WITHOUT_TORCH]
    assert len(paths) > 30
    assert not [path for path in paths if "torch" in imported(path, at_the_top=True)]
