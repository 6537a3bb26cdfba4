"""The building blocks of expressions: the inputs of the candidate's contract, and operators in torch and in numpy.

The torch template goes into a candidate's source. The numpy function computes the same on probes (`probes.py`), so that
formulas with equal rankings are recognised before they are measured. Logarithms, roots, quotients and exponentials are
guarded, so that finite inputs give finite scores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Shape = Literal["matrix", "row", "column", "constant"]
EPS = 1e-8
STEEPEST = 10.0
"""Largest argument of an exponential: squared three times in a row, the result is still finite in float32."""


@dataclass(frozen=True)
class Terminal:
    """An input: torch source and shape. All inputs are non-negative."""

    source: str
    shape: Shape


TERMINALS = {
    "W": Terminal("layer.weight.abs()", "matrix"),
    "G": Terminal("layer.gradient.abs()", "matrix"),
    "X": Terminal("layer.input_norm", "row"),
    "M": Terminal("layer.input_mean.abs()", "row"),
    "V": Terminal("layer.input_var", "row"),
    "H": Terminal("layer.hessian_diag", "row"),
    "D": Terminal("torch.tensor(layer.depth)", "constant"),
    "S": Terminal("torch.tensor(layer.sparsity)", "constant"),
}
ATTENTION = ("q", "k", "v", "qkv", "o")
"""The roles for which `attention` takes its first argument."""
_ATTENTION = ", ".join(f'"{role}"' for role in ATTENTION)
CODE = "code"
"""Marks a leaf that is another candidate's whole source: ("code", source)."""


@dataclass(frozen=True)
class Operator:
    """One operator: a torch template with positional arguments, and the same in numpy.

    `keeps_sign`: non-negative arguments give a non-negative value. `guards`: takes the absolute value of the first
    argument unless it is known to be non-negative. `gives`: the shape of a reduction's value; None: the arguments
    broadcast. `over`: sums over its argument, which must not be a constant.
    """

    template: str
    arity: int
    value: Callable[..., Array]
    keeps_sign: bool = True
    guards: bool = False
    over: bool = False
    gives: Shape | None = None


def _share(values: Array, axis: int) -> Array:
    total: Array = values.sum(axis, keepdims=True)
    return values / (total + EPS)


OPERATORS = {
    "add": Operator("({0} + {1})", 2, np.add),
    "mul": Operator("({0} * {1})", 2, np.multiply),
    "sub": Operator("({0} - {1})", 2, np.subtract, keeps_sign=False),
    "div": Operator("({0} / ({1} + EPS))", 2, lambda a, b: a / (b + EPS), guards=True),
    "pow": Operator("{0}.pow({1})", 2, np.power, guards=True),
    "attention": Operator(f"({{0}} if layer.role in ({_ATTENTION}) else {{1}})", 2, lambda a, b: a),
    "sqr": Operator("{0}.square()", 1, np.square),
    "sqrt": Operator("{0}.sqrt()", 1, np.sqrt, guards=True),
    "abs": Operator("{0}.abs()", 1, np.abs),
    "neg": Operator("(-{0})", 1, np.negative, keeps_sign=False),
    "log": Operator("{0}.log1p()", 1, np.log1p, guards=True),
    "exp": Operator(f"{{0}}.clamp(max={STEEPEST}).exp()", 1, lambda a: np.exp(np.minimum(a, STEEPEST))),
    "tanh": Operator("{0}.tanh()", 1, np.tanh),
    "row_share": Operator(
        "({0} / ({0}.sum(dim=-1, keepdim=True) + EPS))", 1, lambda a: _share(a, -1), guards=True, over=True
    ),
    "column_share": Operator(
        "({0} / ({0}.sum(dim=0, keepdim=True) + EPS))", 1, lambda a: _share(a, 0), guards=True, over=True
    ),
    "row_norm": Operator(
        "{0}.norm(dim=1, keepdim=True)",
        1,
        lambda a: np.sqrt(np.square(a).sum(-1, keepdims=True)),
        over=True,
        gives="column",
    ),
    "column_norm": Operator("{0}.norm(dim=0)", 1, lambda a: np.sqrt(np.square(a).sum(0)), over=True, gives="row"),
    "minmax": Operator("minmax({0})", 1, lambda a: (a - a.min()) / (a.max() - a.min() + EPS), over=True),
    "zscore": Operator("zscore({0})", 1, lambda a: (a - a.mean()) / (a.std(ddof=1) + EPS), keeps_sign=False, over=True),
    "exchange": Operator("exchange({0}, layer, GROUP, {1})", 2, lambda a, rounds: a),
}
"""`attention` takes its first argument in attention layers and its second elsewhere; `probes.py` handles it. `exchange`
needs the full Hessian, which probes lack: there it ranks like its first argument."""

OUTERMOST = ("exchange",)
REDUCTIONS = tuple(name for name, operator in OPERATORS.items() if operator.gives)
UNARY = tuple(name for name, operator in OPERATORS.items() if operator.arity == 1)
