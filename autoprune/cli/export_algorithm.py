"""`autoprune export-algorithm`."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from autoprune.cli.common import console, print_json
from autoprune.cli.contacts import announce
from autoprune.cli.options import Candidate
from autoprune.errors import AutoPruneError, UsageError
from autoprune.report.text import plain
from autoprune.runs.events import read_events

SUFFIX = ".py"
NOTES = ".md"


def export_algorithm(
    candidate: Candidate,
    out: Annotated[Path, typer.Option(help="The Python file to write, NAME.py; notes go to NAME.md.")],
    self_contained: Annotated[
        bool, typer.Option("--self-contained", help="Inline the functions of autoprune.kit: the file needs only torch.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the written files as JSON.")] = False,
) -> None:
    """Write a candidate as a file for `prune --algorithm` and `compare --algorithms`, with notes beside it."""
    from autoprune.candidates.contract import MAX_SOURCE_BYTES
    from autoprune.candidates.self_contained import self_contained as without_kit
    from autoprune.report.algorithm_file import algorithm_file
    from autoprune.report.algorithm_notes import algorithm_notes
    from autoprune.report.origin import Origin
    from autoprune.runs.archive import Archive
    from autoprune.runs.facts import reading_facts
    from autoprune.runs.lookup import find_candidate, run_and_candidate

    if out.suffix != SUFFIX:
        raise UsageError(f"{out} must end in {SUFFIX}: other commands recognise algorithm files by it")
    notes = out.with_suffix(NOTES)
    for path in (out, notes):
        if path.exists() and not force:
            raise UsageError(f"{path} already exists; choose another file, or overwrite it with --force")
    run, target = run_and_candidate(candidate)
    announce(run, run.settings()[0])
    with reading_facts(run), closing(Archive.of(run)) as archive:
        named = find_candidate(archive, target)
        origin = Origin.of(run, archive, list(read_events(run.events_file)), named)
        if self_contained:
            origin = replace(origin, source=without_kit(origin.source))
        texts = {out: algorithm_file(origin, notes.name, MAX_SOURCE_BYTES), notes: algorithm_notes(origin, out.name)}
    for path, text in texts.items():
        try:
            path.write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise AutoPruneError(f"cannot write {path}: {error.strerror}") from None
    size = len(texts[out].encode())
    if as_json:
        facts = {"out": str(out), "notes": str(notes), "slot": named.slot, "candidate": named.candidate, "bytes": size}
        print_json(facts)
    else:
        line = f"{out}: {named.slot} {named.candidate}, {size:,} bytes; lineage and confirmation: {notes}"
        console().print(plain(line), soft_wrap=True)
