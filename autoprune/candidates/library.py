"""The found functions: those of the package (`candidates/found`), and the user's own in their data directory.

NAME.py defines the function NAME with its helpers; NAME.md begins with its lineage as YAML between two lines of three
dashes. Both may come from someone else: they are read as regular files of bounded size, parsed and never imported.
"""

import ast
import keyword
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import platformdirs
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from autoprune.candidates.functions import NotPure, bindings, pure_function
from autoprune.candidates.screen import screen
from autoprune.downloads import user_dir
from autoprune.errors import AutoPruneError, UsageError, message_of
from autoprune.file_modes import staging_beside
from autoprune.syntax import NotPython, parse
from autoprune.text_files import clean, read_regular_file
from autoprune.yaml_text import read_yaml

logger = logging.getLogger(__name__)
SHIPPED = Path(__file__).parent / "found"
SUFFIX, NOTES = ".py", ".md"
FENCE = "---\n"
MOST_BYTES = 16 * 1024
"""Of a function with its helpers, and of its notes: a quarter of what a candidate may have."""
MOST_FUNCTIONS = 100
"""Of the user's own: each is a line of a prompt."""
MOST_LINES = 10
"""Of a docstring."""
LONGEST_NAME = 40
NO_NAME = "is not a name of ASCII letters, digits and _, which begins with a letter"
LONGEST_LINE = 300
"""Characters of a line in a prompt."""

Words = Annotated[
    str,
    BeforeValidator(lambda value: clean(value) if isinstance(value, str) else value),
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
]


class Lineage(BaseModel):
    """Where a function comes from: who found it, in which run and candidate, and how that candidate measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    found_by: Words = Field(description="the chat model, or symbolic")
    run: Words
    candidate: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16,64}$")]
    slot: Words | None = None
    functions: list[Words] = Field(description="the functions of the candidate that it consists of")
    model: Words = Field(description="the target that the candidate was found on")
    sparsity: Annotated[float, Field(ge=0, le=1)]
    search_perplexity: float | None = None
    report_perplexity: float | None = None
    date: Words


@dataclass(frozen=True)
class FoundFunction:
    """A function of the library. `source`: of NAME.py; `own`: whether it is the user's."""

    name: str
    source: str
    found_by: str
    lineage: Lineage | None = None
    notes: str = ""
    own: bool = False

    @property
    def signature(self) -> str:
        """`(weight, hessian, rounds=8)`, without annotations."""
        arguments = pure_function(self.source, self.name).args
        for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            each.annotation = None
        return f"({ast.unparse(arguments)})"

    @property
    def summary(self) -> str:
        """The first paragraph of its docstring, on one line."""
        docstring = ast.get_docstring(pure_function(self.source, self.name)) or ""
        return clean(" ".join(docstring.split("\n\n")[0].split()))[:LONGEST_LINE]


def own_functions() -> Path:
    """The directory of the user's functions: $AUTOPRUNE_DATA/kit, else `kit` in the user's data directory."""
    return user_dir("AUTOPRUNE_DATA", platformdirs.user_data_dir) / "kit"


def library() -> dict[str, FoundFunction]:
    """All found functions by name, the package's first. A file of the user's that cannot be used is logged."""
    functions = {name: read_function(SHIPPED, name, own=False) for name in _names(SHIPPED)}
    for name in _names(own_functions())[:MOST_FUNCTIONS]:
        try:
            if name in functions:
                raise UsageError(f"{name} is a function of the package, too")
            functions[name] = read_function(own_functions(), name, own=True)
        except UsageError as problem:
            logger.warning(f"left out of the kit: {problem}")
    return functions


def names() -> list[str]:
    """The names of all files of functions, whether or not they can be used."""
    return [*_names(SHIPPED), *_names(own_functions())]


def published_names() -> list[str]:
    """The functions of `autoprune.kit`, read from its text, since importing it takes seconds."""
    tree = ast.parse((Path(__file__).parents[1] / "kit.py").read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def free_name(name: str) -> None:
    """Raises UsageError for a name that a function of the kit has, or none can have."""
    if not _is_name(name):
        raise UsageError(f"{name[:LONGEST_NAME]!r} {NO_NAME}")
    if name in published_names():
        raise UsageError(f"kit.{name} is a published function; choose another name by --name")
    if name in names():
        raise UsageError(f"kit.found.{name} exists already; choose another name by --name, or remove it first")


def add_function(function: FoundFunction) -> None:
    """Write a function of the user's. Raises UsageError for too many, AutoPruneError if they cannot be written."""
    folder = own_functions()
    if len(_names(folder)) >= MOST_FUNCTIONS:
        raise UsageError(f"{folder} holds {MOST_FUNCTIONS} functions already; remove some by `autoprune kit remove`")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The notes first: a function without notes would be reported as unusable.
        for suffix, text in ((NOTES, function.notes), (SUFFIX, function.source)):
            with staging_beside(folder / function.name) as staging:
                staged = staging / f"{function.name}{suffix}"
                staged.write_text(text, encoding="utf-8", newline="")
                staged.replace(folder / staged.name)
    except OSError as error:
        raise AutoPruneError(f"cannot write {error.filename or folder}: {error.strerror}") from None


def remove_function(name: str) -> Path:
    """Remove a function of the user's; returns the path that its source had. Raises UsageError."""
    file = own_functions() / f"{name}{SUFFIX}"
    if name not in _names(own_functions()):
        why = "is a function of the package, which stays" if name in _names(SHIPPED) else "does not exist"
        raise UsageError(f"kit.found.{name} {why}; your own are: {', '.join(_names(own_functions())) or 'none'}")
    try:
        file.unlink()
        file.with_suffix(NOTES).unlink(missing_ok=True)
    except OSError as error:
        raise AutoPruneError(f"cannot remove {error.filename or file}: {error.strerror}") from None
    return file


def read_function(folder: Path, name: str, own: bool) -> FoundFunction:
    """The function NAME of a folder. Raises UsageError for files that are not as `check_function` and Lineage say."""
    file = folder / f"{name}{SUFFIX}"
    source = read_regular_file(file, "the function", MOST_BYTES)
    notes = read_regular_file(file.with_suffix(NOTES), "the notes", MOST_BYTES)
    try:
        check_function(source, name)
        lineage = read_lineage(notes)
    except (NotPure, ValueError) as problem:
        raise UsageError(f"{file} cannot be used: {message_of(problem)}") from None
    return FoundFunction(name, source, clean(lineage.found_by), lineage, notes, own)


def check_function(source: str, name: str) -> None:
    """Raises NotPure for a source that does not define a pure function NAME, with a docstring of at most ten lines."""
    if not _is_name(name):
        raise NotPure(f"{name[:LONGEST_NAME]!r} {NO_NAME}")
    if (size := len(source.encode(errors="surrogatepass"))) > MOST_BYTES:
        raise NotPure(f"it has {size:,} bytes (at most {MOST_BYTES:,})")
    function = pure_function(source, name)
    odd = [finding for finding in screen(source) if not finding.message.startswith("the source defines no function")]
    if odd:
        raise NotPure(f"line {odd[0].line}: {odd[0].message}")
    lines = (ast.get_docstring(function) or "").splitlines()
    if not 0 < len(lines) <= MOST_LINES:
        raise NotPure(f"{name} needs a docstring of one to {MOST_LINES} lines")


def read_lineage(notes: str) -> Lineage:
    """The lineage at the head of notes. Raises ValueError."""
    head, fence, rest = notes.partition(FENCE)
    text, end, _ = rest.partition(FENCE)
    if head or not (fence and end):
        raise ValueError("its notes do not begin with a lineage between two lines of ---")
    try:
        return Lineage.model_validate(read_yaml(text))
    except yaml.YAMLError as problem:
        raise ValueError(f"its lineage is not YAML: {message_of(problem)}") from None
    except ValidationError as problem:
        first = problem.errors()[0]
        raise ValueError(f"its lineage: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def notes_of(lineage: Lineage, text: str) -> str:
    """The notes: lineage, then text as Markdown."""
    head = yaml.safe_dump(lineage.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    return f"{FENCE}{head}{FENCE}\n{text.strip()}\n"


def found_in(source: str, functions: Mapping[str, FoundFunction]) -> list[str]:
    """The names of functions that a source holds a copy of, whatever it calls them."""
    try:
        held = _bodies(source).values()
    except NotPython:
        return []
    return [name for name, each in functions.items() if _bodies(each.source)[name] in held]


def _bodies(source: str) -> dict[str, str]:
    """The functions of a source without docstrings and without names of its top level, which inlining changes."""
    tree = parse(source)
    bound = bindings(tree)
    functions = {name: node for name, node in bound.items() if isinstance(node, ast.FunctionDef)}
    for function in functions.values():
        nodes = list(ast.walk(function))
        own = {node.arg for node in nodes if isinstance(node, ast.arg)}
        own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        for node in nodes:
            if isinstance(node, ast.Name) and node.id in bound and node.id not in own:
                node.id = ""
    return {
        name: "".join(map(ast.dump, (node.args, *node.body[ast.get_docstring(node, clean=False) is not None :])))
        for name, node in functions.items()
    }


def _is_name(text: str) -> bool:
    usable = text.isascii() and text.isidentifier() and not keyword.iskeyword(text)
    return usable and not text.startswith("_") and len(text) <= LONGEST_NAME


def _names(folder: Path) -> list[str]:
    try:
        files = [path for path in folder.iterdir() if path.suffix == SUFFIX and not path.name.startswith(("_", "."))]
    except OSError:
        return []
    return sorted(path.stem for path in files)
