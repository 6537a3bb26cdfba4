"""The format of a run directory, stored in its settings (`format`) and in its archive (table `run_format`).

1  up to 2026-11-24: the archive has no format, and its proposals have no `sections`
2  the archive has its format

Increase it with each release that adds a setting or changes the archive, so that older programs report the reason.
Older directories can be read: missing settings have their defaults, moved ones are read by their former keys
(`config_migration.py`), and the archive is migrated when it is opened (`tables.py`). Events have their own version
(`events.py`).
"""

from autoprune.errors import UsageError

FORMAT = 2


def refuse_newer(place: object, version: int, supported: int = FORMAT) -> None:
    """Raises UsageError for the format of a newer program."""
    if version > supported:
        raise UsageError(
            f"{place} was written by a newer autoprune (format {version}, this one reads up to {supported}); "
            "update autoprune to use this run"
        )
