"""All importances of structures by name. The names come from the files beside this one; nothing here imports torch."""

from autoprune.errors import UsageError
from autoprune.pruning.named_files import load_spec, names_beside
from autoprune.pruning.structures.spec import StructureSpec

NAMES = names_beside(__file__)


def spec_of(name: str) -> StructureSpec:
    """The method of that name. Raises UsageError for an unknown one."""
    if name not in NAMES:
        raise UsageError(f"unknown structured algorithm {name!r}; there are {', '.join(NAMES)}")
    return load_spec(StructureSpec, __package__, "structured algorithm", name, NAMES)


def that_rank(*kinds: str) -> list[str]:
    """The names of the methods that rank all of these kinds of structures."""
    return [name for name in NAMES if set(kinds) <= set(spec_of(name).kinds)]
