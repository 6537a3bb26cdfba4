"""Static analysis of scores: an interpreter that evaluates a source on a small synthetic layer without running it.

It supports only the mathematical operations that scores consist of, without loops and branches, so a source cannot do
any harm through it; a source with anything else is not analysed. With it the critic recognises published formulas
("this is RIA") and numerical hazards before a candidate runs. Whether masks are equal is measured later.
"""

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoprune.candidates.contract import DEFAULT_GROUP
from autoprune.pruning.published import EXPRESSIONS, PUBLISHED, evaluate
from autoprune.syntax import NotPython, parse

Array = NDArray[np.float64]
OUT, IN = 12, 16
DEEPEST = 8
"""Nested calls of helpers."""
MOST_STEPS = 5000
"""Subexpressions that are evaluated; helpers that call helpers can grow exponentially."""

_INPUTS: dict[str, Callable[[Any], Array]] = {
    "W": lambda layer: np.abs(layer.weight),
    "G": lambda layer: np.abs(layer.gradient),
    "X": lambda layer: np.asarray(layer.input_norm),
}
_OPERATORS: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "mul": np.multiply,
    "pow": np.power,
    "sqr": np.square,
    "row_share": lambda matrix: matrix / matrix.sum(axis=1, keepdims=True),
    "column_share": lambda matrix: matrix / matrix.sum(axis=0),
    "minmax": lambda matrix: (matrix - matrix.min()) / np.ptp(matrix),
}
"""Those of the published scores, in numpy and without guards: the layer has no zeros."""

_MISUSE = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)
"""Exceptions of numpy for invalid operations of a source, which is then not analysed."""


class Unreadable(Exception):
    """The source uses something that the interpreter does not support."""


@dataclass
class Reading:
    """The result of an analysis. `hazard`: first line with a value that is not finite, 0 for none. `signed`: whether
    the sign of a weight changes the scores."""

    group: str
    scores: Array
    hazard: int = 0
    signed: bool = False

    def same_order(self, other: Array) -> bool:
        """Whether other scores keep the same weights at every sparsity."""
        if self.group == "row":
            return np.array_equal(np.argsort(self.scores, axis=-1), np.argsort(other, axis=-1))
        return np.array_equal(np.argsort(self.scores, axis=None), np.argsort(other, axis=None))

    @property
    def flat(self) -> bool:
        """Whether all weights of some group have the same score."""
        spread = np.ptp(self.scores, axis=1 if self.group == "row" else None)
        return bool(np.any(spread == 0))


@cache
def read(source: str) -> Reading | None:
    """Analyse a source; None if it uses anything that the interpreter does not support."""
    try:
        module = _Module(parse(source))
        with np.errstate(all="ignore"):
            scores, hazard = module.score(_layer())
            _, on_zeros = module.score(_layer(zeros=True))
            mirrored, _ = module.score(_layer(mirrored=True))
            if scores.shape != (OUT, IN):
                return None
            signed = not np.allclose(scores, mirrored, equal_nan=True)
        return Reading(module.group, scores, hazard or on_zeros, signed)
    except (Unreadable, NotPython, *_MISUSE):
        return None


def published_twin(reading: Reading) -> str | None:
    """The published score that ranks the weights in the same order, if there is one."""
    return next(
        (PUBLISHED[name].title for name, scores in published_scores().items() if reading.same_order(scores)), None
    )


@cache
def published_scores() -> dict[str, Array]:
    """The published scores that need no full Hessian, on the made-up layer."""
    layer = _layer()
    return {
        name: evaluate(expression, lambda input: _INPUTS[input](layer), _OPERATORS)
        for name, expression in EXPRESSIONS.items()
    }


def _layer(zeros: bool = False, mirrored: bool = False) -> SimpleNamespace:
    """Random weights and consistent statistics; with some zeros, or with the sign of every weight flipped."""
    random = np.random.default_rng(0)
    weight = random.standard_t(3, (OUT, IN)) * (-1 if mirrored else 1)
    mean, deviation = random.normal(size=IN), random.lognormal(size=IN)
    gradient = random.lognormal(size=(OUT, IN))
    if zeros:
        weight[1] = weight[:, 2] = mean[2] = deviation[2] = gradient[:, 2] = 0.0
    square = mean**2 + deviation**2
    return SimpleNamespace(
        weight=weight,
        input_norm=np.sqrt(1000 * square),
        input_mean=mean,
        input_var=deviation**2,
        hessian_diag=square,
        gradient=gradient,
        output_sensitivity=random.lognormal(size=OUT),
        depth=np.float64(0.5),
        sparsity=np.float64(0.6),
    )


_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


def _over(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction with torch's arguments: over all dimensions, or over `dim`."""

    def reduced(x: Any, dim: Any = None, keepdim: Any = False) -> Any:
        axis = None if dim is None else int(dim)
        return function(x, axis=axis, keepdims=bool(keepdim) and axis is not None)

    return reduced


def _variance(x: Any, axis: int | None, keepdims: bool) -> Any:
    """Unbiased, like torch's; NaN for a single number."""
    count = np.float64(x.size if axis is None else x.shape[axis])
    return x.var(axis=axis, keepdims=keepdims) * (count / (count - 1))


def _clamp(x: Any, min: Any = -np.inf, max: Any = np.inf) -> Any:
    return np.minimum(np.maximum(x, min), max)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("abs", "sqrt", "square", "log", "log1p", "exp", "sign", "tanh")},
    **{name: getattr(np, name) for name in ("maximum", "minimum", "where", "ones_like", "zeros_like")},
    "pow": np.power,
    "div": np.divide,
    "mul": np.multiply,
    "add": np.add,
    "sub": np.subtract,
    **{name: _over(getattr(np, name)) for name in ("sum", "mean", "amax", "amin")},
    "max": lambda x: np.max(x),
    "min": lambda x: np.min(x),
    "std": _over(lambda x, axis, keepdims: np.sqrt(_variance(x, axis, keepdims))),
    "var": _over(_variance),
    "norm": _over(lambda x, axis, keepdims: np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))),
    "tensor": lambda x: x,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "clamp": _clamp,
    "clamp_min": lambda x, min: np.maximum(x, min),
    "float": lambda x: np.asarray(x, dtype=np.float64),
    "clone": lambda x: x,
}
"""Supported calls, as a method or as torch.NAME."""


@dataclass
class _Module:
    """A source's top level: constants, helpers, `score`."""

    tree: ast.Module
    constants: dict[str, Any] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef):
                self.functions[node.name] = node
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                value = node.value
                self.constants[node.targets[0].id] = value.value if isinstance(value, ast.Constant) else None

    @property
    def group(self) -> str:
        return str(self.constants.get("GROUP", DEFAULT_GROUP))

    def score(self, layer: SimpleNamespace) -> tuple[Array, int]:
        """The scores, and the first line whose value is not finite (0 for none)."""
        if "score" not in self.functions:
            raise Unreadable
        follower = _Follower(self)
        scores = follower.call(self.functions["score"], [layer])
        return np.asarray(scores, dtype=np.float64), follower.hazard


class _Follower:
    """Evaluates one call of `score`, statement by statement."""

    def __init__(self, module: _Module) -> None:
        self._module = module
        self._depth = 0
        self._steps = 0
        self.hazard = 0

    def call(self, function: ast.FunctionDef, values: list[Any]) -> Any:
        names = [argument.arg for argument in function.args.args]
        if self._depth == DEEPEST or len(names) != len(values):
            raise Unreadable
        self._depth += 1
        variables = dict(zip(names, values, strict=True))
        for statement in function.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=expression):
                    variables[name] = self._checked(expression, variables)
                case ast.AugAssign(target=ast.Name(id=name), op=op, value=expression):
                    variables[name] = self._binary(op, variables[name], self._checked(expression, variables))
                case ast.Return(value=ast.expr() as expression):
                    self._depth -= 1
                    return self._checked(expression, variables)
                case ast.Expr(value=ast.Constant()):
                    pass
                case _:
                    raise Unreadable
        raise Unreadable

    def _checked(self, expression: ast.expr, variables: dict[str, Any]) -> Any:
        value = self._value(expression, variables)
        if not self.hazard and isinstance(value, np.ndarray | np.floating) and not np.all(np.isfinite(value)):
            self.hazard = expression.lineno
        return value

    def _value(self, node: ast.expr, variables: dict[str, Any]) -> Any:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise Unreadable
        match node:
            case ast.Constant(value=bool() as flag):
                return flag
            case ast.Constant(value=int() | float() as number):
                return np.float64(number)
            case ast.Name(id=name) if name in variables:
                return variables[name]
            case ast.Name(id=name) if isinstance(self._module.constants.get(name), int | float):
                return np.float64(self._module.constants[name])
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if isinstance(variables.get(name), SimpleNamespace):
                if not hasattr(variables[name], attr):
                    raise Unreadable
                return getattr(variables[name], attr)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._value(operand, variables)
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self._value(left, variables), self._value(right, variables))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._binary(op, self._value(left, variables), self._value(right, variables))
            case ast.Call():
                return self._called(node, variables)
        raise Unreadable

    def _called(self, node: ast.Call, variables: dict[str, Any]) -> Any:
        values = [self._value(argument, variables) for argument in node.args]
        keywords = {keyword.arg: self._value(keyword.value, variables) for keyword in node.keywords if keyword.arg}
        match node.func:
            case ast.Name(id=name) if name in self._module.functions and not keywords:
                return self.call(self._module.functions[name], values)
            case ast.Attribute(value=ast.Name(id="torch" | "math"), attr=name) if name in _FUNCTIONS:
                return _FUNCTIONS[name](*values, **keywords)
            case ast.Attribute(value=owner, attr=name) if name.rstrip("_") in _FUNCTIONS:
                return _FUNCTIONS[name.rstrip("_")](self._value(owner, variables), *values, **keywords)
        raise Unreadable

    def _binary(self, op: ast.AST, left: Any, right: Any) -> Any:
        if type(op) not in _BINARY:
            raise Unreadable
        return _BINARY[type(op)](left, right)
