"""`autoprune kit`: the functions that runs found."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from autoprune.cli import complete
from autoprune.cli.common import console, print_json, say
from autoprune.cli.contacts import announce
from autoprune.cli.options import Candidate
from autoprune.config_values import SandboxEngine
from autoprune.errors import UsageError
from autoprune.log import log_to
from autoprune.report.text import plain

if TYPE_CHECKING:
    from autoprune.candidates.library import FoundFunction, Lineage
    from autoprune.report.origin import Origin

SECONDS = 30.0
"""For a function on small tensors, in the sandbox."""

kit = typer.Typer(
    help="List, show, add and remove functions found by runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Name = Annotated[str, typer.Argument(help="Name of a found function.", autocompletion=complete.found_functions)]


@kit.command("list")
@log_to(say)
def list_functions(
    as_json: Annotated[bool, typer.Option("--json", help="Print the functions as JSON.")] = False,
) -> None:
    """List the found functions: those of the package, then your own."""
    from autoprune.candidates.library import library, own_functions

    functions = list(library().values())
    if as_json:
        print_json({"own": str(own_functions()), "functions": [_facts(each) for each in functions]})
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("function", "sparsity", "report", "model", "found by"):
        table.add_column(name, justify="right" if name in ("sparsity", "report") else "left", overflow="fold")
    for each in functions:
        lineage = _lineage(each)
        report = f"{lineage.report_perplexity:.2f}" if lineage.report_perplexity is not None else ""
        cells = (each.name, f"{lineage.sparsity:g}", report, lineage.model, each.found_by)
        table.add_row(*map(plain, cells))
    console().print(table)
    console().print(plain(f"your functions: {own_functions()}"), soft_wrap=True)


@kit.command("show")
@log_to(say)
def show(
    name: Name, as_json: Annotated[bool, typer.Option("--json", help="Print the function as JSON.")] = False
) -> None:
    """Print the source of a found function and its notes."""
    each = _named(name)
    if as_json:
        print_json(_facts(each) | {"source": each.source, "notes": each.notes})
        return
    console().print(plain(each.source.rstrip()), soft_wrap=True)
    console().print(plain(f"\n{each.notes.rstrip()}"), soft_wrap=True)


@kit.command("add", short_help="Distil functions of a candidate into your kit.")
@log_to(say)
def add(
    candidate: Candidate,
    function: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A function of the candidate; default: those called by score, refine, ..."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name in the kit; default: the function's own.")] = None,
    sandbox: Annotated[SandboxEngine, typer.Option(help="The sandbox in which the functions are tested.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the added functions as JSON.")] = False,
) -> None:
    """Add functions of a candidate to your kit. Their dependencies and lineage are included."""
    from autoprune.candidates.distil import default_functions, distil, functions_of
    from autoprune.candidates.functions import NotPure
    from autoprune.candidates.library import FoundFunction, add_function, free_name, notes_of, own_functions
    from autoprune.report.algorithm_notes import function_notes

    origin = _origin(candidate)
    try:
        known, default = functions_of(origin.source), default_functions(origin.source)
    except NotPure as problem:
        raise UsageError(f"{candidate} is not usable Python: {problem}") from None
    chosen = list(dict.fromkeys(function or default))
    if missing := [each for each in chosen if each not in known]:
        raise UsageError(f"{candidate} has no function {missing[0]!r}; it has {', '.join(known) or 'none'}")
    if not chosen:
        raise UsageError(f"{candidate} has no functions except {', '.join(known)}; name one with --function")
    if name is not None and len(chosen) != 1:
        raise UsageError(f"--name needs one function, but these are {', '.join(chosen)}; choose one with --function")
    functions = []
    for each in chosen:
        own_name = name or each
        free_name(own_name)
        try:
            source = distil(origin.source, each, own_name, str(origin.proposal.thought.get("idea") or origin.sentence))
        except NotPure as problem:
            raise UsageError(f"{each} of {candidate} cannot be distilled: {problem}") from None
        lineage = _lineage_of(origin, each)
        notes = notes_of(lineage, function_notes(origin, own_name))
        functions.append(FoundFunction(own_name, source, lineage.found_by, lineage, notes, own=True))
    tried = _tried(functions, sandbox)
    for distilled in functions:
        add_function(distilled)
    if as_json:
        print_json([_facts(distilled) | {"tried": tried[distilled.name]} for distilled in functions])
        return
    for distilled in functions:
        path = own_functions() / f"{distilled.name}.py"
        call = f"kit.found.{distilled.name}{distilled.signature}"
        console().print(plain(f"{call}: {path}; {tried[distilled.name]}"), soft_wrap=True)


@kit.command("remove")
def remove(name: Name) -> None:
    """Remove one of your own found functions."""
    from autoprune.candidates.library import remove_function

    console().print(plain(f"removed {remove_function(name)}"), soft_wrap=True)


def _named(name: str) -> "FoundFunction":
    from autoprune.candidates.library import library

    functions = library()
    if name not in functions:
        raise UsageError(f"there is no found function {name!r}; there are: {', '.join(functions)}")
    return functions[name]


def _origin(candidate: str) -> "Origin":
    from autoprune.report.origin import Origin
    from autoprune.runs.archive import Archive
    from autoprune.runs.events import read_events
    from autoprune.runs.facts import reading_facts
    from autoprune.runs.lookup import find_candidate, run_and_candidate

    run, target = run_and_candidate(candidate)
    announce(run, run.settings()[0])
    with reading_facts(run), closing(Archive.of(run)) as archive:
        return Origin.of(run, archive, list(read_events(run.events_file)), find_candidate(archive, target))


def _lineage_of(origin: "Origin", function: str) -> "Lineage":
    from autoprune.candidates.library import Lineage

    outcome, confirmed = origin.outcome, origin.confirmed
    return Lineage(
        found_by=origin.proposed_by,
        run=origin.run[:200],
        candidate=origin.candidate,
        slot=origin.slot,
        functions=[function],
        model=origin.model[:200],
        sparsity=origin.config.sparsity,
        search_perplexity=outcome.data.get("perplexity") if outcome else None,
        report_perplexity=confirmed["report"] if confirmed else None,
        date=origin.date,
    )


def _tried(functions: "list[FoundFunction]", engine: SandboxEngine) -> dict[str, str]:
    """Name -> what came of calling the function in the sandbox. Raises UsageError for one that may not be added."""
    from autoprune.config_sections import SandboxSettings
    from autoprune.errors import CandidateFailure
    from autoprune.sandbox.choose_sandbox import make_sandbox
    from autoprune.sandbox.trial import try_function

    tried = {}
    chosen = make_sandbox(SandboxSettings(engine=engine, seconds=SECONDS))
    try:
        for each in functions:
            try:
                tried[each.name] = try_function(chosen, each.source, each.name)
            except CandidateFailure as failure:
                if failure.reason != "exception":
                    raise UsageError(f"{each.name} failed in the sandbox: {failure}") from None
                tried[each.name] = f"not fully tested: with random arguments it raises {failure.message}"
    finally:
        chosen.close()
    return tried


def _facts(each: "FoundFunction") -> dict[str, Any]:
    facts = {"name": each.name, "signature": each.signature, "summary": each.summary, "own": each.own}
    return facts | {"lineage": _lineage(each).model_dump(mode="json")}


def _lineage(each: "FoundFunction") -> "Lineage":
    assert each.lineage is not None  # only those in a run's record are without one
    return each.lineage
