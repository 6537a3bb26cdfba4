"""A parent's score with another allocation: for a model that cannot copy a long source without a mistake."""

from autoprune.llm.definitions import FUNCTION, defined, segment
from autoprune.syntax import NotPython, parse

SPREADS = ("allocate", "UNIT")
"""What of a source spreads the sparsity."""


def with_allocation(parent: str, allocation: str) -> str:
    """The parent's source with the `allocate` (and `UNIT`) of another one in place of its own.

    What is not an allocation alone comes back as it is: the whole source of a candidate, or no Python.
    """
    try:
        names, own = defined(parse(allocation)), defined(parse(parent))
    except NotPython:
        return allocation
    if FUNCTION in names or "allocate" not in names:
        return allocation
    kept = parent
    for node in {id(own[name]): own[name] for name in SPREADS if name in own}.values():
        kept = kept.replace(segment(parent, node), "", 1)
    return f"{kept.strip()}\n\n\n{allocation.strip()}\n"
