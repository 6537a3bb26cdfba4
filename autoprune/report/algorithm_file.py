"""A candidate as a file of its own: its source as it ran, under a docstring that says where it comes from.

What an LLM wrote goes into a Python string here, so it is escaped, cut and stripped of control characters, and the
result is parsed again: the file's code is the candidate's code, statement by statement, and nothing else.
"""

import ast
import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Group

from autoprune.config import Config
from autoprune.errors import AutoPruneError
from autoprune.report.candidate import descent, ending
from autoprune.report.confirmation import confirmation
from autoprune.report.gist import REASONING
from autoprune.report.page import WIDTH, Page
from autoprune.report.picture import Picture
from autoprune.report.text import one_line, visible
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event
from autoprune.runs.lookup import Found
from autoprune.syntax import parse

SAID = 2000
"""Characters of each part of a thought that are kept."""
ANCESTORS = 12
LEFT_OUT = ("expression", "allocation", REASONING)
"""Parts of a thought that the source says already, and its idea in words; and what may fill many screens."""
INDENT = "    "
CUT = "\n[cut: the file would be larger than a candidate may be]\n"


def algorithm_file(
    run: RunDirectory, archive: Archive, events: Sequence[Event], found: Found, name: str, limit: int
) -> str:
    """The file's text, at most `limit` bytes of UTF-8. `name`: the file's own, for the lines on its use.

    Raises AutoPruneError for a source that is no Python, or that leaves no room for a word about it.
    """
    source = run.source(found.candidate)
    told = "\n".join(_told(run, archive, events, found, source, name))
    return documented(source, told, limit)


def documented(source: str, text: str, limit: int) -> str:
    """The source under a docstring of the text, which is cut so that both are at most `limit` bytes.

    Raises AutoPruneError for a source that is no Python, or that leaves no room.
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
        raise AutoPruneError(f"the candidate's source cannot be used as Python: {error}") from None


def _fitting(source: str, text: str, limit: int) -> str:
    """As much of the text as fits, by bisection: how many bytes it takes depends on what has to be escaped in it."""

    def fits(part: str) -> bool:
        return len(_joined(source, part).encode()) <= limit

    if fits(text):
        return text
    if not fits(CUT):
        raise AutoPruneError(f"the source has {len(source.encode())} bytes; {limit} leave no room for a docstring")
    kept, least_that_fails = 0, len(text)
    while least_that_fails - kept > 1:
        middle = (kept + least_that_fails) // 2
        if fits(text[:middle] + CUT):
            kept = middle
        else:
            least_that_fails = middle
    return text[:kept] + CUT


def _joined(source: str, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if escaped.startswith('"'):
        escaped = "\\" + escaped
    return f'"""{escaped}"""\n\n{source}'


def _check(statements: list[ast.stmt], text: str, whole: str) -> None:
    """Raises AutoPruneError unless the docstring is the text and the rest is the source, and what Python itself raises
    on one that it does not compile."""
    body = parse(whole).body
    compile(whole, "<exported>", "exec")
    first = body[0]
    same = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and first.value.value == text
    if not same or list(map(ast.dump, body[1:])) != list(map(ast.dump, statements)):
        raise AutoPruneError("the candidate cannot be written under a docstring without changing what it does")


def _told(
    run: RunDirectory, archive: Archive, events: Sequence[Event], found: Found, source: str, name: str
) -> Iterator[str]:
    config, record = run.settings()
    proposals = {each.slot: each for each in archive.proposals()}
    outcomes = {each.slot: each for each in archive.outcomes()}
    proposal = proposals[found.slot]
    thought = {key: value for key, value in proposal.thought.items() if key not in LEFT_OUT and value}
    yield one_line(thought.get("idea") or "A pruning algorithm", WIDTH - 3)
    yield ""
    version = record.get("versions", {}).get("autoprune", "?")
    made = f"operator {proposal.operator}, engine {proposal.engine}"
    yield _wrapped(
        f"Discovered by autoprune {version} in the run {run.name}: {found.slot}, {found.candidate} ({made})."
    )
    if recorded := Picture.of(events).recorded:
        yield _wrapped(f"A replay: {recorded}.")
    if thought:
        yield "\nThought"
        for key, value in thought.items():
            said = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield _wrapped(f"{key.replace('_', ' ')}: {one_line(said, SAID)}", INDENT)
    if ancestors := [line.plain for line in descent(proposals, outcomes, found.slot)]:
        yield "\nLineage, oldest first (of several parents the one that measured best)"
        if len(ancestors) > ANCESTORS:
            yield f"{INDENT}({len(ancestors) - ANCESTORS} earlier ones are left out)"
        yield from (_wrapped(line, INDENT) for line in ancestors[-ANCESTORS:])
    yield "\nSearch"
    yield from (_wrapped(f"{key}: {value}", INDENT) for key, value in _settings(config, record).items())
    if found.slot in outcomes and outcomes[found.slot].candidate == found.candidate:
        yield _wrapped(f"on the search split: {ending(outcomes[found.slot])}", INDENT)
    yield "\nConfirmation"
    yield from _confirmed(events, found)
    yield "\nUse"
    yield from (f"{INDENT}{line}" for line in _use(config, source, name))


def _settings(config: Config, record: dict[str, Any]) -> dict[str, str]:
    """What the measurements depend on. Of a model in a directory only its name: the rest is its owner's."""
    data, allocation = config.data, config.allocation.model_dump(exclude_none=True)
    texts = f"{_last(data.source)} for search and report, {_last(data.calibration)} for calibration"
    token = record.get("texts", {}).get("search", {}).get("bos")
    bos = f", each preceded by {token}" if token else ""
    return {
        "model": f"{_last(config.model)} (fingerprint {record.get('model', '?')}, {record.get('dtype', '?')})",
        "sparsity": f"{config.sparsity:g}",
        "allocation where the source brings none": ", ".join(f"{key} {value}" for key, value in allocation.items()),
        "text": f"{texts}, {data.calibration_samples} sequences of {data.seqlen} tokens{bos}; statistics: dense",
        "windows": f"{data.search_windows} for search, {data.report_windows} for report",
        "seed": str(config.seed),
    }


def _confirmed(events: Sequence[Event], found: Found) -> Iterator[str]:
    """The candidate's own rows and verdicts, beside the baselines."""
    picture = Picture.of(events)
    mine = [row["name"] for row in picture.rows if row.get("candidate") == found.candidate]
    if not mine:
        yield f"{INDENT}none: it was not measured on the report split"
        return
    picture.rows = _beside_baselines(picture.rows, found)
    picture.comparisons = [each for each in picture.comparisons if each["candidate"] in mine]
    picture.elsewhere = [{**each, "rows": _beside_baselines(each["rows"], found)} for each in picture.elsewhere]
    for line in Page(Group(*confirmation(picture))).text().splitlines():
        yield line.rstrip()


def _beside_baselines(rows: Sequence[dict[str, Any]], found: Found) -> list[dict[str, Any]]:
    return [row for row in rows if row["kind"] != "candidate" or row.get("candidate") == found.candidate]


def _use(config: Config, source: str, name: str) -> Iterator[str]:
    """Commands that apply the file as the search did. It runs in the sandbox there, as any candidate.

    All but the parameters to which a run tuned SDSA: no command takes these.
    """
    file, model = shlex.quote(name), shlex.quote(_last(config.model))
    own = re.search(r"^def allocate\b", source, re.MULTILINE) is not None
    allocation = "own" if own else config.allocation.name
    if config.allocation.tune and not own:
        yield "(these allocate by SDSA with its default parameters, not with those that the run tuned it to)"
    yield f"autoprune prune --model {model} --algorithm {file} --sparsity {config.sparsity:g} \\"
    yield f"    --allocation {allocation} --out pruned"
    yield f"autoprune compare --model {model} --algorithms {file},wanda --sparsity {config.sparsity:g} \\"
    yield f"    --allocations {'own,' if own else ''}{config.allocation.name if not own else 'sdsa'}"


def _last(name: str) -> str:
    """A name as given; of an absolute path the last part."""
    return Path(name).name if Path(name).is_absolute() else name


def _wrapped(text: str, indent: str = "") -> str:
    """At most WIDTH columns, lines after the first further in."""
    further = f"{indent}{INDENT if indent else ''}"
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=further)
