"""The format of a run directory, said by its settings (`format`) and by its archive (table `run_format`).

1  up to 2026-11-24: the archive does not say its format, and its proposals have no `sections`
2  the archive says it

Raise it once for each release that adds a setting, or changes the archive, so that an older program says what is wrong
and does not trip over it. An older directory is read as it is: settings that it lacks have their defaults, those
that have moved are found by their former keys (`config_migration.py`), and its archive is brought up to date where it
is opened (`migration.py`). Events have a version of their own (`events.py`).
"""

from autoprune.errors import UsageError

FORMAT = 2


def refuse_newer(place: object, found: int, known: int = FORMAT) -> None:
    """Raises UsageError for what a newer program wrote."""
    if found > known:
        raise UsageError(
            f"{place} was written by a newer autoprune (format {found}, this one reads up to {known}); "
            "update autoprune to use this run"
        )
