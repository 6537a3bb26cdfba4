"""`PARAMS`: numbers of a candidate that the search tunes, instead of a proposer that guesses them.

    PARAMS = {"power": (0.5, 1.5), "slope": (0.0, 0.3)}

is a draft with two free parameters; the code reads `PARAMS["power"]`. Tuning replaces the ranges by numbers in the
source itself, so that the candidate which is measured, archived and exported is a plain source with constants. This
module does not import torch and runs no candidate.
"""

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from autoprune.syntax import NotPython, shared_tree

NAME = "PARAMS"
MOST = 6
"""Free parameters of a candidate: each one more needs more trials."""
LONGEST = 40
"""Characters of a parameter's name."""
DIGITS = 4
"""Significant digits of tuned values."""
LOGARITHMIC = 10.0
"""Ratio of the ends from which a range of positive numbers is tuned on a logarithmic scale."""


class UnusableParameters(ValueError):
    """`PARAMS` is not as the contract says. `line`: of its assignment."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"{NAME} {problem}")
        self.line = line


@dataclass(frozen=True)
class Range:
    """The values from `low` to `high`, both included."""

    low: float
    high: float

    @property
    def logarithmic(self) -> bool:
        """Whether values are spread evenly on a logarithmic scale."""
        return self.low > 0 and self.high >= LOGARITHMIC * self.low

    @property
    def middle(self) -> float:
        """The centre of the range on its scale."""
        return self.at(math.sqrt(self.low) * math.sqrt(self.high) if self.logarithmic else self.low / 2 + self.high / 2)

    def at(self, value: float) -> float:
        """The value with DIGITS significant digits, which are all that a source should hold, within the range."""
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)


def ranges(source: str) -> dict[str, Range]:
    """The free parameters of a source by name; empty if there are none, or if all have their values.

    Raises UnusableParameters if `PARAMS` is assigned but no literal dictionary of at most MOST names to (low, high).
    """
    assignment = _assignment(source)
    if assignment is None:
        return {}
    line, node = assignment
    try:
        values = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, OverflowError):
        values = None
    if not isinstance(values, dict):
        raise UnusableParameters(line, 'must be a dictionary of literals such as {"power": (0.5, 1.5)}')
    if (free := sum(not _is_number(value) for value in values.values())) > MOST:
        raise UnusableParameters(line, f"has {free} parameters (at most {MOST})")
    if not all(_is_name(name) for name in values):
        raise UnusableParameters(
            line, f"must have names of ASCII letters, digits and _, of at most {LONGEST} characters"
        )
    return {name: _range(line, name, value) for name, value in values.items() if not _is_number(value)}


def values_of(source: str) -> dict[str, object]:
    """The literal `PARAMS` of a source that `ranges` accepts: names with numbers or ranges; empty without one."""
    assignment = _assignment(source)
    return {} if assignment is None else dict(ast.literal_eval(assignment[1]))


def with_values(source: str, values: Mapping[str, object]) -> str:
    """The source with these numbers (or ranges) in its `PARAMS`. Parameters that have their value keep it."""
    assignment = _assignment(source)
    if assignment is None or not values:
        return source
    node = assignment[1]
    known = {**ast.literal_eval(node), **values}
    data = source.encode()  # the columns of `ast` count bytes
    lines = [0, *(end.end() for end in re.finditer(rb"\n", data))]
    begin = lines[node.lineno - 1] + node.col_offset
    end = lines[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
    return (data[:begin] + repr(known).encode() + data[end:]).decode()


def middles(free: Mapping[str, Range]) -> dict[str, float]:
    """The middle of each range, where nothing tunes it."""
    return {name: each.middle for name, each in free.items()}


def as_text(free: Mapping[str, Range], values: Mapping[str, float]) -> str:
    """`power = 0.83 (range 0.5 to 1.5), slope = ...`"""
    return ", ".join(f"{name} = {values[name]:g} (range {each.low:g} to {each.high:g})" for name, each in free.items())


def _assignment(source: str) -> tuple[int, ast.expr] | None:
    """Line and value of the module's last assignment to PARAMS."""
    try:
        tree = shared_tree(source)
    except NotPython:
        return None
    last = None
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        if node.value is not None and any(isinstance(target, ast.Name) and target.id == NAME for target in targets):
            last = (node.lineno, node.value)
    return last


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isascii() and name.isidentifier() and len(name) <= LONGEST


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _range(line: int, name: str, value: object) -> Range:
    numbers = list(value) if isinstance(value, tuple | list) else []
    if len(numbers) != 2 or not all(map(_is_number, numbers)):
        raise UnusableParameters(line, f"gives {name!r} neither a finite number nor a range (low, high)")
    low, high = (float(number) for number in numbers)
    if not (low < high and math.isfinite(high - low)):
        raise UnusableParameters(line, f"gives {name!r} the range ({low:g}, {high:g}); low < high is needed")
    return Range(low, high)
