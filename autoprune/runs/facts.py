"""Errors from reading events and rows of a run, which may come from someone else, as a UsageError of one line.

The archive checks its columns. Nested data has no schema, so that runs of older versions, and of newer ones with
additional fields, can be shown.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from autoprune.errors import UsageError, message_of
from autoprune.runs.directory import RunDirectory

ODD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Exceptions that unexpected types and values can raise."""


@contextmanager
def reading_facts(run: RunDirectory) -> Iterator[None]:
    """Raises UsageError for events and rows that this program does not write."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except UnicodeEncodeError:  # from a terminal that cannot show a character
        raise
    except (*ODD, SQLAlchemyError) as error:
        reason = f"{type(error).__name__}: {message_of(getattr(error, 'orig', None) or error)[:100]}"
        raise UsageError(
            f"{run.path} cannot be read as a run: its events or its archive hold what this program never writes "
            f"({reason})"
        ) from error
