"""The found functions that a run's candidates may use, as of its start.

Their sources are kept beside the candidates of the run, and the record names them: a run that is resumed or forked
elsewhere, or after the library has changed, asks the same questions.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from autoprune.candidates.functions import NotPure
from autoprune.candidates.library import FoundFunction, Words, check_function, library
from autoprune.config import Config
from autoprune.errors import UsageError, message_of
from autoprune.runs.directory import RunDirectory
from autoprune.text_files import clean

RECORD = "found"
"""The fact of a run's record that names them."""


class Kept(BaseModel):
    """Where the source of a found function is, and who found it."""

    model_config = ConfigDict(extra="forbid")

    source: Words
    found_by: Words


_KEPT = TypeAdapter(dict[str, Kept])


def found_functions(run: RunDirectory, config: Config) -> dict[str, FoundFunction]:
    """The found functions by name: none unless agents.kit is all, else those of the record, or of the library for a
    run that begins.

    Raises UsageError for a record that cannot be used, AutoPruneError for a source that is missing.
    """
    if config.agents.kit != "all":
        return {}
    record = run.settings()[1]
    if RECORD not in record:
        return library()
    functions = {}
    try:
        for name, kept in _KEPT.validate_python(record[RECORD]).items():
            source = run.source(kept.source)
            check_function(source, name)
            functions[name] = FoundFunction(name, source, clean(kept.found_by))
    except (ValidationError, NotPure) as problem:
        raise UsageError(
            f"{run.settings_file} names found functions that cannot be used: {message_of(problem)}"
        ) from None
    return functions


def as_record(run: RunDirectory, found: Mapping[str, FoundFunction]) -> dict[str, Any]:
    """The fact of the record; the sources are kept in the run."""
    return {name: {"source": run.save_source(each.source), "found_by": each.found_by} for name, each in found.items()}
