"""A lint of a candidate's source before it runs; its findings go to the critic and the trace.

It finds honest mistakes early and cheaply. It is not a security boundary: malicious code can hide from any lint, and is
contained by the sandbox. It does not import torch.
"""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from autoprune.candidates.contract import (
    EDITS,
    EXPENSIVE_FIELDS,
    GROUPS,
    LAYER_FIELDS,
    MAX_SOURCE_BYTES,
    import_allowed,
    imports_in_words,
    is_edit,
)
from autoprune.candidates.parameters import UnusableParameters, ranges
from autoprune.candidates.structure_contract import NAME as STRUCTURE
from autoprune.candidates.structure_contract import PARAMETERS, is_structured, literal, problems, structures_ranked
from autoprune.candidates.uses import FOUND, uses_of
from autoprune.config import Config
from autoprune.errors import CandidateFailure
from autoprune.leagues import MASK_ONLY, STRUCTURED, League
from autoprune.syntax import NotPython, imports, shared_tree
from autoprune.text_files import clean


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RANDOM = _words(
    "rand rand_like randn randn_like randint randint_like randperm bernoulli multinomial normal poisson dropout "
    "uniform_ normal_ random_ exponential_ bernoulli_ cauchy_ geometric_ log_normal_ seed"
)
_DYNAMIC = _words("eval exec compile open input globals locals vars breakpoint __import__")
_OUTSIDE_THE_MATHS = _words(
    "hub save load serialization multiprocessing distributed cpp_extension ops classes jit compile set_num_threads "
    "set_default_dtype set_default_device manual_seed storage untyped_storage from_file data_ptr"
)
_MAX_MESSAGE = 300
_FIELDS = frozenset(field.name for field in (*LAYER_FIELDS, *EXPENSIVE_FIELDS))


@dataclass(frozen=True)
class Finding:
    """One remark. An "error" means that the source cannot run as a candidate; `reason` as in CandidateFailure."""

    severity: Literal["error", "warning"]
    line: int
    message: str
    reason: str = "contract"


@dataclass(frozen=True)
class Rules:
    """What a search allows. `kit`: importing `autoprune.kit`; in the leagues `mask` and `structured` an `update` is an
    error. `structures`: the kinds that a candidate must rank, none for one that scores weights; None: whatever it
    does."""

    kit: bool = True
    league: League | None = None
    structures: tuple[str, ...] | None = None

    @classmethod
    def of(cls, config: Config) -> "Rules":
        """The rules of a search."""
        return cls(config.agents.kit != "off", config.search.of_league, config.search.kinds)


UNRESTRICTED = Rules()
"""The contract alone, without the rules of a search."""


def screen(source: str, rules: Rules = UNRESTRICTED) -> list[Finding]:
    """All findings, errors first, then by line. Cached, since a sandbox screens a candidate each time it opens it."""
    return list(_screened(source, rules))


@functools.lru_cache(maxsize=128)
def _screened(source: str, rules: Rules) -> tuple[Finding, ...]:
    if (size := len(source.encode(errors="surrogatepass"))) > MAX_SOURCE_BYTES:
        return (Finding("error", 1, f"the source has {size} bytes (at most {MAX_SOURCE_BYTES})"),)
    try:
        tree = shared_tree(source)
    except NotPython as error:
        return (Finding("error", error.line, _short(str(error))),)
    findings = [*_imports(tree, rules.kit), *_not_found(tree), *_habits(tree)]
    if is_structured(source):
        findings += _structured(source, tree)
    else:
        findings += [*_entry_points(tree), *_parameters(source)]
    findings += _outside_search(source, tree, rules)
    unique = {replace(finding, message=_short(finding.message)) for finding in findings}
    return tuple(sorted(unique, key=lambda finding: (finding.severity, finding.line, finding.message)))


def _short(message: str) -> str:
    """A message cut to _MAX_MESSAGE: names and constants in it may be as long as the source."""
    return clean(message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 1] + "…")


def refuse(source: str, rules: Rules = UNRESTRICTED) -> None:
    """Raise CandidateFailure (stage "screen") for the first error that the screen finds, if any."""
    for finding in screen(source, rules):
        if finding.severity == "error":
            lines = source.split("\n")  # as Python counts them: `splitlines` has ten more line ends
            code = lines[finding.line - 1].strip()[:160] if finding.line <= len(lines) else ""
            where = f" (line {finding.line}: `{code}`)" if code else ""
            raise CandidateFailure("screen", finding.reason, clean(finding.message + where))


def _entry_points(tree: ast.Module) -> Iterator[Finding]:
    defined: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined[node.name] = node
        elif isinstance(node, ast.Assign):
            defined |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            defined[node.target.id] = node
    if "score" not in defined:
        yield Finding("error", 1, "the source defines no function score(layer)")
    for name, arguments in (("score", ("layer",)), ("allocate", ("units", "sparsity"))):
        function = defined.get(name)
        if isinstance(function, ast.FunctionDef):
            yield from _signature(function, arguments)
        elif isinstance(function, ast.AsyncFunctionDef | ast.ClassDef):
            yield Finding("error", function.lineno, f"{name} must be a plain function")
    yield from _edits(defined)
    group = defined.get("GROUP")
    if isinstance(group, ast.Assign | ast.AnnAssign):
        if not isinstance(group.value, ast.Constant):
            yield Finding("warning", group.lineno, "GROUP should be a plain string")
        elif group.value.value not in GROUPS:
            yield Finding("error", group.lineno, f"GROUP is {group.value.value!r}, not one of {', '.join(GROUPS)}")


def _parameters(source: str) -> Iterator[Finding]:
    try:
        ranges(source)
    except UnusableParameters as problem:
        yield Finding("error", problem.line, str(problem))


def _edits(defined: dict[str, ast.stmt]) -> Iterator[Finding]:
    """Functions that trusted code calls have the right signature; helpers of their names are pointed out."""
    for name, arguments in EDITS.items():
        statement = defined.get(name)
        if statement is None:
            continue
        if is_edit(statement):
            yield from _signature(statement, arguments)
        else:
            call = f"{name}({', '.join(arguments)})"
            message = (
                f"this {name} is treated as a helper and never called by the evaluator; the contract's {call} is a "
                "plain top-level function whose first parameter is named layer"
            )
            yield Finding("warning", statement.lineno, message)


def _structured(source: str, tree: ast.Module) -> Iterator[Finding]:
    """The contract of a candidate that ranks structures."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if "score" not in functions:
        yield Finding("error", 1, "the source defines no function score(structures)")
    for name, arguments in PARAMETERS.items():
        if name in functions:
            yield from _signature(functions[name], arguments)
    for line, message in problems(source, tree):
        yield Finding("error", line, message)


def _outside_search(source: str, tree: ast.Module, rules: Rules) -> Iterator[Finding]:
    """What a search of another league does not allow."""
    if rules.structures is not None:
        yield from _other_structures(source, rules.structures)
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name != "update":
            continue
        if rules.league == MASK_ONLY and is_edit(node):
            message = "this search is for masks only (search.league=mask): kept weights stay as they are; remove update"
            yield Finding("error", node.lineno, message)
        elif rules.league == STRUCTURED and is_structured(source):
            message = "this search only chooses structures (search.compensate=none): remove update"
            yield Finding("error", node.lineno, message)


def _other_structures(source: str, wanted: tuple[str, ...]) -> Iterator[Finding]:
    if not is_structured(source):
        if wanted:
            yield Finding("error", 1, f"this search removes structures: define {STRUCTURE} = {literal(wanted)}")
        return
    try:
        ranked = structures_ranked(source)
    except ValueError:
        return  # which is a finding of its own
    if not wanted:
        yield Finding("error", 1, f"this search prunes single weights: {STRUCTURE} is for searches with --structure")
    elif not set(wanted) <= set(ranked):
        yield Finding("error", 1, f"this search removes {' and '.join(wanted)}s: {STRUCTURE} = {literal(wanted)}")


def _signature(node: ast.FunctionDef, expected: tuple[str, ...]) -> Iterator[Finding]:
    positional = [*node.args.posonlyargs, *node.args.args]
    required = len(positional) - len(node.args.defaults)
    accepts_all = len(positional) >= len(expected) or node.args.vararg is not None
    required_keywords = any(default is None for default in node.args.kw_defaults)
    if required > len(expected) or not accepts_all or required_keywords:
        call = f"{node.name}({', '.join(expected)})"
        yield Finding("error", node.lineno, f"{node.name} is called as {call}; its signature does not allow that")
    returns = [inner for inner in ast.walk(node) if isinstance(inner, ast.Return) and inner.value is not None]
    if not returns:
        yield Finding("warning", node.lineno, f"{node.name} never returns a value")


def _imports(tree: ast.Module, kit: bool) -> Iterator[Finding]:
    for line, module, names in imports(tree):
        if not import_allowed(module, names, kit):
            message = f"import of {module!r} is not allowed; a candidate may import {imports_in_words(kit)}"
            yield Finding("error", line, message, "forbidden")


def _not_found(tree: ast.Module) -> Iterator[Finding]:
    """Found functions that were not inlined (`inlining.inlined`), which a candidate cannot import."""
    uses = uses_of(tree, FOUND)
    named = [(node.lineno, name) for node, name in uses.expressions]
    named += [(node.lineno, ", ".join(uses.imported.values())) for node, _ in uses.statements if not named]
    for line, name in named:
        where = "(`autoprune kit list` shows all; a search offers them with agents.kit=all)"
        hint = "call it as kit.found.NAME(...), in a source that gives no name of a builtin to something else"
        subject = f"there is no found function {name}" if name else "no found function is used"
        message = f"{subject} {where}, or it cannot be inlined: {hint}"
        yield Finding("error", line, message, "forbidden")


def _habits(tree: ast.Module) -> Iterator[Finding]:
    parameters = {
        node.args.args[0].arg
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and (node.name == "score" or is_edit(node)) and node.args.args
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield from _attribute(node, parameters)
        elif isinstance(node, ast.Name) and node.id in _DYNAMIC:
            yield Finding("warning", node.lineno, f"{node.id} has no place in a score", "forbidden")
        elif isinstance(node, ast.Name | ast.Constant) and _is_dunder(node):
            yield Finding(
                "warning", node.lineno, "names with double underscores reach behind the contract", "forbidden"
            )
        elif isinstance(node, ast.While) and _is_endless(node):
            yield Finding("warning", node.lineno, "this loop may never end")


def _attribute(node: ast.Attribute, parameters: set[str]) -> Iterator[Finding]:
    if node.attr in _RANDOM:
        yield Finding("warning", node.lineno, f"{node.attr} draws random numbers: a score should be deterministic")
    elif node.attr in _OUTSIDE_THE_MATHS and isinstance(node.ctx, ast.Load):
        yield Finding("warning", node.lineno, f"{node.attr} has no place in a score", "forbidden")
    elif node.attr.startswith("__"):
        yield Finding("warning", node.lineno, "names with double underscores reach behind the contract", "forbidden")
    elif isinstance(node.value, ast.Name) and node.value.id in parameters and node.attr not in _FIELDS:
        yield Finding(
            "warning", node.lineno, f"layer has no attribute {node.attr!r}; it has {', '.join(sorted(_FIELDS))}"
        )


def _is_dunder(node: ast.Name | ast.Constant) -> bool:
    text = node.id if isinstance(node, ast.Name) else node.value
    return isinstance(text, str) and len(text) > 4 and text.startswith("__") and text.endswith("__")


def _is_endless(node: ast.While) -> bool:
    always = isinstance(node.test, ast.Constant) and bool(node.test.value)
    leaves = any(isinstance(inner, ast.Break | ast.Return | ast.Raise) for inner in ast.walk(node))
    return always and not leaves
