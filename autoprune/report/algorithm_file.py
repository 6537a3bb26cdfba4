"""Exporting a candidate as a Python file: its source under a short docstring with its origin and main figures. Details
are in the notes beside it (`algorithm_notes.py`).

Text of an LLM is escaped, cut and stripped of control characters before it is put into the docstring, and the result is
parsed again, to verify that the code of the file is exactly that of the candidate.
"""

import ast
import textwrap
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

from autoprune.errors import AutoPruneError
from autoprune.report.candidate import ending
from autoprune.report.confirmation import own_verdicts
from autoprune.report.origin import Origin
from autoprune.report.page import WIDTH
from autoprune.report.text import one_line, visible
from autoprune.runs.verdicts import interval, percent
from autoprune.syntax import imported_modules, parse

SAID = 2000
"""Characters of a text before it is wrapped."""
CUT = "\n[cut: the file would be larger than a candidate may be]\n"


def algorithm_file(origin: Origin, notes: str, limit: int) -> str:
    """The text of the file, at most `limit` bytes of UTF-8. `notes`: the name of the file of notes.

    Raises AutoPruneError for a source that is not Python or leaves no room for the docstring.
    """
    return documented(origin.source, docstring(origin, notes), limit)


def docstring(origin: Origin, notes: str) -> str:
    """At most ten lines: summary, formula if it fits a line, origin, main figures, a need of the kit, and
    the name of the notes."""
    idea = "" if origin.proposal.thought.get("expression") else origin.proposal.thought.get("idea")
    formula = one_line(origin.formula, SAID)
    summary = one_line(origin.sentence or idea or formula or "A pruning algorithm", SAID)
    lines = _wrapped(summary, 2)
    if formula and formula != summary and len(formula) <= WIDTH - len("Formula: "):
        lines.append(f"Formula: {formula}")
    lines += ["", *_wrapped(origin.made_by, 2), *_wrapped(figures(origin), 2)]
    if "autoprune" in imported_modules(origin.source):
        lines.append("Imports autoprune.kit: functions of published algorithms in the package autoprune.")
    return "\n".join([*lines, *_wrapped(f"Lineage and confirmation: {notes}", 1)])


def figures(origin: Origin) -> str:
    """The candidate's perplexity on the report split with the best baseline's, or its result on the search split."""
    rows = [row for row in origin.picture.rows if row["kind"] == "baseline" and row["report"] is not None]
    place = f"{origin.model} at sparsity {origin.config.sparsity:g}"
    row = origin.confirmed
    if row is None or row["report"] is None:
        ended = ending(origin.outcome) if origin.outcome else "not measured"
        return f"On {place}, search split: {ended}. Not measured on the report split."
    seeds = len(row.get("seeds", [])) or 1
    text = f"Perplexity on {place}, report split: {row['report']:.2f} ({seeds} calibration seed{'s' * (seeds > 1)})"
    if not rows:
        return f"{text}."
    best = min(rows, key=lambda row: row["report"])
    text += f"; best baseline: {best['name']}, {best['report']:.2f}"
    for comparison in own_verdicts(origin.picture):
        if (comparison["candidate"], comparison["baseline"]) == (row["name"], best["name"]):
            bounds = f", 95 % interval {interval(comparison)} %" if interval(comparison) else ""
            return f"{text} ({percent(comparison['difference'])} %{bounds}: {comparison['verdict']})."
    return f"{text}."


def _wrapped(text: str, lines: int) -> list[str]:
    """The text in at most `lines` lines that leave room for quotes."""
    return textwrap.wrap(one_line(text, SAID), WIDTH - len('"""'), max_lines=lines, placeholder=" …")


def documented(source: str, text: str, limit: int) -> str:
    """The source under a docstring, which is cut so that both are at most `limit` bytes.

    Raises AutoPruneError for a source that is not Python or leaves no room.
    """
    with _as_python():
        statements = parse(source).body
    clean = _fitting(source, visible(text, limit).strip() + "\n", limit)
    whole = _joined(source, clean)
    with _as_python():
        _check(statements, clean, whole)
    return whole


@contextmanager
def _as_python() -> Iterator[None]:
    try:
        yield
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise AutoPruneError(f"the candidate's source is not usable Python: {error}") from None


def _fitting(source: str, text: str, limit: int) -> str:
    """As much of the text as fits, by bisection, since its size depends on escapes."""

    def fits(part: str) -> bool:
        return len(_joined(source, part).encode()) <= limit

    if fits(text):
        return text
    if not fits(CUT):
        raise AutoPruneError(f"the source has {len(source.encode())} bytes; {limit} leave no room for a docstring")
    kept = bisect_left(range(1, len(text)), True, key=lambda length: not fits(text[:length] + CUT))
    return text[:kept] + CUT


def _joined(source: str, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if escaped.startswith('"'):
        escaped = "\\" + escaped
    return f'"""{escaped}"""\n\n{source}'


def _check(statements: list[ast.stmt], text: str, whole: str) -> None:
    """Raises AutoPruneError unless the docstring is `text` and the rest is the source, or what `compile` raises."""
    body = parse(whole).body
    compile(whole, "<exported>", "exec")
    first = body[0]
    same = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and first.value.value == text
    if not same or list(map(ast.dump, body[1:])) != list(map(ast.dump, statements)):
        raise AutoPruneError("the candidate cannot be written under a docstring without changing its behaviour")
