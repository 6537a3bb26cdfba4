"""Events and rows of a run that somebody else made may hold anything; what they raise where they are read is one line.

Columns are checked as an archive gives them. What is nested in them has no scheme: a run of an older version, or of a
newer one with a field more, is to be shown too.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from autoprune.errors import UsageError
from autoprune.runs.directory import RunDirectory
from autoprune.runs.postgres import one_line

ODD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What values of any type and size raise where others are expected."""


@contextmanager
def reading_facts(run: RunDirectory) -> Iterator[None]:
    """Raises UsageError for facts that are not those of a run."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except UnicodeEncodeError:  # of a terminal that cannot show a letter
        raise
    except (*ODD, SQLAlchemyError) as error:
        reason = f"{type(error).__name__}: {one_line(getattr(error, 'orig', None) or error)[:100]}"
        raise UsageError(
            f"{run.path} cannot be read as a run: its events or its archive hold what this program never writes "
            f"({reason})"
        ) from error
