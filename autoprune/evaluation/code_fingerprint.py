"""Which code measures: what was measured under other code does not count."""

import hashlib
from functools import cache
from pathlib import Path

ROOMS = ("pruning", "evaluation", "sandbox", "executors")
"""Where the code is that decides what a measurement gives."""


@cache
def code_fingerprint() -> str:
    """A hash of the sources of the rooms that measure: under changed code nothing that was measured counts."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(path for room in ROOMS for path in (package / room).rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()
