"""Formulas for structures: small trees over statistics of channels, head groups or decoder blocks, and their sources.

An expression is a number (the exponent of `pow`, the rounds of `eliminate`), the name of a terminal, or a tuple
(operator, argument, ...). A value is one non-negative number per structure. `eliminate` can only be the outermost
operator: it removes structures in rounds and solves for what is left before it scores again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from autoprune.agents.symbolic.expression import arguments
from autoprune.candidates.structure_contract import literal
from autoprune.pruning.published import Expression
from autoprune.pruning.structures.spec import BLOCK

_READS = "structures.consumer"
_COLUMNS = f"{_READS}.weight.square().sum(-1)"
_FELT = f"({_READS}.weight.square() @ {_READS}.output_sensitivity)"


@dataclass(frozen=True)
class Terminal:
    """One statistic: its torch source, a tensor [count], and its name in text. `of_consumer`: not of blocks;
    `of_blocks`: of blocks alone."""

    source: str
    words: str
    of_consumer: bool = False
    of_blocks: bool = False


TERMINALS = {
    "N": Terminal("sum(part.weight.square().sum((1, 2)) for part in structures.parts).sqrt()", "weight norm"),
    "T": Terminal("sum((part.weight * part.gradient).abs().sum((1, 2)) for part in structures.parts)", "Taylor"),
    "S": Terminal(
        "sum(part.output_sensitivity.sum(1) for part in structures.parts[:-1])", "output sensitivity", of_consumer=True
    ),
    "U": Terminal(
        "sum(part.weight.square().sum((1, 2)) for part in structures.parts[:-1]).sqrt()",
        "norm of the feeding rows",
        of_consumer=True,
    ),
    "W": Terminal(f"{_COLUMNS}.sum(1).sqrt()", "norm of the columns", of_consumer=True),
    "X": Terminal(f"{_READS}.input_norm.square().sum(1).sqrt()", "input norm", of_consumer=True),
    "V": Terminal(f"{_READS}.input_var.sum(1)", "input variance", of_consumer=True),
    "M": Terminal(f"{_READS}.input_mean.abs().sum(1)", "|input mean|", of_consumer=True),
    "P": Terminal(
        f"({_READS}.weight.abs().sum(-1) * {_READS}.input_norm).sum(1)", "Wanda of the columns", of_consumer=True
    ),
    "F": Terminal(f"({_COLUMNS} * {_READS}.input_var).sum(1)", "fluctuation", of_consumer=True),
    "E": Terminal(f"({_COLUMNS} * {_READS}.hessian_diag).sum(1)", "energy", of_consumer=True),
    "I": Terminal(f"unexplained({_READS}).sum(1)", "unexplained variance", of_consumer=True),
    "O": Terminal(f"({_COLUMNS} * unexplained({_READS})).sum(1)", "unexplained energy", of_consumer=True),
    "G": Terminal(f"({_FELT} * {_READS}.hessian_diag).sum(1)", "felt energy", of_consumer=True),
    "Z": Terminal(f"({_FELT} * unexplained({_READS})).sum(1)", "felt unexplained energy", of_consumer=True),
    "B": Terminal("torch.tensor([structures.influence])", "block influence", of_blocks=True),
    "D": Terminal("torch.tensor([structures.depth])", "depth", of_blocks=True),
    "R": Terminal("torch.tensor([1.0 - structures.depth])", "1 - depth", of_blocks=True),
}
"""Felt: weighted by the sensitivity of the loss to the consumer's outputs. Unexplained: what the other inputs do not
predict, the part that least squares cannot make up for."""

OPERATORS = {
    "mul": "({0} * {1})",
    "div": "({0} / ({1} + EPS))",
    "add": "({0} + {1})",
    "max": "torch.maximum({0}, {1})",
    "pow": "{0}.pow({1})",
    "log": "{0}.log1p()",
    "share": "({0} / ({0}.mean() + EPS))",
    "rank": "{0}.argsort().argsort().float()",
}
WHOLE = ("E", "G", "O", "Z")
"""Statistics that estimate by themselves what a removed structure costs, beside those of published methods."""
BINARY = ("mul", "div", "add", "max")
OVER_BLOCK = ("share", "rank")
"""Operators that compare the structures of one block with each other; without effect on whole blocks."""
UNARY = ("log", *OVER_BLOCK)
ELIMINATE = "eliminate"
IMPORTANCE = "importance"
"""The key of an expression in a thought; that of scores of weights, `expression`, has other statistics."""
SEEDS: dict[str, Expression] = {"magnitude": "N", "wanda-sp": "P", "flap": "F", "taylor": "T", "shortgpt": "B"}
"""The published methods as formulas."""


def terminals(kinds: Sequence[str]) -> list[str]:
    """The names of the statistics that structures of these kinds have."""
    blocks = tuple(kinds) == (BLOCK,)
    return [
        name
        for name, terminal in TERMINALS.items()
        if not (terminal.of_consumer and blocks) and not (terminal.of_blocks and not blocks)
    ]


def seeds(kinds: Sequence[str]) -> dict[str, Expression]:
    """The published methods that rank these kinds."""
    usable = terminals(kinds)
    return {name: expression for name, expression in SEEDS.items() if expression in usable}


def bare(expression: Expression) -> Expression:
    """The expression without an outermost `eliminate`."""
    return arguments(expression)[0] if isinstance(expression, tuple) and expression[0] == ELIMINATE else expression


def formula(expression: Expression) -> str:
    """The expression as text on one line: `mul(norm of the columns, pow(input norm, 0.5))`."""
    if isinstance(expression, str):
        return TERMINALS[expression].words
    if not isinstance(expression, tuple):
        return f"{expression:g}"
    return f"{expression[0]}({', '.join(formula(argument) for argument in expression[1:])})"


def order(expression: Expression) -> Expression:
    """The expression without outermost operators that keep the order of all structures: equal for equal rankings."""
    if not isinstance(expression, tuple):
        return expression
    if expression[0] == ELIMINATE:
        return (ELIMINATE, order(expression[1]), expression[2])
    return order(expression[1]) if expression[0] in ("pow", "log", "share", "rank") else expression


def source(expression: Expression, kinds: Sequence[str]) -> str:
    """A candidate's source for an expression. `kinds`: what it ranks."""
    inner, eliminates = _render(bare(expression)), bare(expression) is not expression
    if inner.startswith("(") and _is_closed(inner):
        inner = inner[1:-1]
    helpers = [part("unexplained")] if "unexplained(" in inner else []
    name = "importance" if eliminates else "score"
    functions = [*helpers, f"def {name}(structures):\n    return {inner}\n"]
    if eliminates:
        assert isinstance(expression, tuple)
        functions += [
            part("eliminated"),
            f"def score(structures):\n    return eliminated(structures, importance, {expression[2]:g})\n",
        ]
    body = "\n\n".join(functions)
    constants = "EPS = 1e-12\n" if re.search(r"\bEPS\b", body) else ""
    constants += "DAMPING = 0.01\n" if "DAMPING" in body else ""
    imports = "import torch\n\n" if "torch." in body else ""
    head = f'"""Importance: {formula(expression)}."""\n\n{imports}STRUCTURE = {literal(tuple(kinds))}\n{constants}'
    return f"{head}\n\n{body}"


def part(name: str) -> str:
    """The text of a helper in `parts/`, which is inserted into candidates and never imported here."""
    text = files("autoprune.agents.symbolic").joinpath(f"parts/{name}.py").read_text(encoding="utf-8")
    return text[text.index("def ") :]


def _render(expression: Expression) -> str:
    if isinstance(expression, str):
        return TERMINALS[expression].source
    if not isinstance(expression, tuple):
        return f"{expression:g}"
    rendered = [_render(argument) for argument in expression[1:]]
    if expression[0] in ("pow", "log", "rank"):
        rendered[0] = f"({rendered[0]})"
    return OPERATORS[expression[0]].format(*rendered)


def _is_closed(text: str) -> bool:
    """Whether the first bracket is closed by the last character."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(text) - 1
    return False
