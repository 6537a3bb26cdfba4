"""Renders an expression, and its allocation if it has one, as a candidate's source."""

import ast
import re
from importlib.resources import files

from autoprune.agents.symbolic.allocation import CODE as OTHERS
from autoprune.agents.symbolic.allocation import Allocation
from autoprune.agents.symbolic.allocation import source as allocation_source
from autoprune.agents.symbolic.code_leaf import RENAMED, embedded
from autoprune.agents.symbolic.expression import codes, non_negative, shape
from autoprune.agents.symbolic.operators import CODE, OPERATORS, TERMINALS
from autoprune.candidates.composition import composed
from autoprune.candidates.contract import ALLOWED_IMPORTS
from autoprune.mathematics import formula
from autoprune.pruning.published import Expression


def source(expression: Expression, group: str, allocation: Allocation | None = None) -> str:
    """A candidate's source for a matrix-valued expression. Raises ValueError for another shape.

    An allocation as code that does not fit beside the expression's source is left out.
    """
    if allocation and allocation["family"] == OTHERS:
        alone = source(expression, group)
        try:
            return composed(alone, allocation["source"])
        except ValueError:
            return alone
    if shape(expression) != "matrix":
        raise ValueError(f"{formula(expression)} is no matrix")
    body = _render(expression)
    helpers = [code for name, code in _HELPERS.items() if f"{name}(" in body]
    names = [name for name in TERMINALS if re.search(rf"\b{name}\b", body)]
    inputs = "".join(f"    {name} = {TERMINALS[name].source}\n" for name in names)
    leaves = [embedded(code) for code in codes(expression)]
    body = body[1:-1] if body.startswith("(") and _closes_at_end(body) else body
    scoring = f"def score(layer):\n{inputs}    return {body}\n"
    parts = [*(leaf.body for leaf in leaves), *helpers, scoring]
    if allocation:
        parts.append(allocation_source(allocation))
    imports = {line for leaf in leaves for line in leaf.imports}
    imports |= {f"import {name}" for name in ALLOWED_IMPORTS if any(f"{name}." in text for text in parts)}
    constants = f'GROUP = "{group}"\n' + ("EPS = 1e-8\n" if any(re.search(r"\bEPS\b", text) for text in parts) else "")
    head = f'"""Score: {formula(expression)}."""\n'
    if imports:
        head += "\n" + "".join(f"{line}\n" for line in sorted(imports))
    return f"{head}\n{constants}\n\n" + "\n\n".join(parts)


def part(name: str) -> str:
    """The text of a helper in `parts/`, which is inserted into candidates and never imported here."""
    return files("autoprune.agents.symbolic").joinpath(f"parts/{name}.py").read_text(encoding="utf-8")


def _exchange() -> str:
    """The helper `exchange` with `pruning/swaps.py`, which the refinement of published baselines uses as well."""
    swaps = files("autoprune.pruning").joinpath("swaps.py").read_text(encoding="utf-8")
    return "\n\n".join(_below_imports(text) for text in (part("exchange"), swaps))


def _below_imports(text: str) -> str:
    head = (ast.Import, ast.ImportFrom, ast.Expr)  # a docstring is an expression
    first = next(node for node in ast.parse(text).body if not isinstance(node, head))
    return "".join(text.splitlines(keepends=True)[first.lineno - 1 :])


_HELPERS = {
    "minmax": "def minmax(x):\n    return (x - x.min()) / (x.max() - x.min() + EPS)\n",
    "zscore": "def zscore(x):\n    return (x - x.mean()) / (x.std() + EPS)\n",
    "exchange": _exchange(),
}


def _render(expression: Expression) -> str:
    if isinstance(expression, str):
        return expression
    if not isinstance(expression, tuple):
        return f"{expression:g}"
    if expression[0] == CODE:
        return f"{RENAMED}(layer).float()"
    operator = OPERATORS[expression[0]]
    arguments = [_render(argument) for argument in expression[1:]]
    if operator.guards and not non_negative(expression[1]):
        arguments[0] = f"{arguments[0]}.abs()"
    return operator.template.format(*arguments)


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(text) - 1
    return False
