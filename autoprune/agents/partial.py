"""Partial proposals: a reply with only an allocation, or only an algorithm, takes the rest from its parent."""

from autoprune.candidates.composition import composed, defines, keeps_allocation, without_mark
from autoprune.syntax import NotPython


def completed(source: str, parent: str | None) -> str:
    """A reply's source with the part that it leaves to its parent, whose source may be None.

    A whole file, and text that is not Python, is returned unchanged. Raises ValueError with the reason if the two parts
    cannot be put together.
    """
    try:
        scores, spreads, keeps = defines(source, "score"), defines(source, "allocate"), keeps_allocation(source)
        source = without_mark(source) if scores and keeps else source
    except NotPython:
        return source
    if parent is not None and spreads and not scores:
        return composed(parent, source)
    if parent is not None and scores and keeps:
        return composed(source, parent)
    return source
