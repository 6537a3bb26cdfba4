"""Estimates by a source's text how many steps its Python loops take, and finds factorisations within long ones.

A bound is followed where it is a number, a shape, or a product of them; other loops, those that may end early, and
`while` count as one step, so that the estimate is a lower bound.
"""

import ast
import math
from collections.abc import Iterator

SIZE = 512
"""Rows and columns that a matrix is assumed to have."""
MOST_STEPS = 200_000
"""Steps in Python for one matrix from which a loop is doubted: with microseconds for each, seconds for a matrix."""
DEEPEST = 3
"""Nested calls of helpers that are followed: each may add a whole tree's depth to the stack."""
MOST_NODES = 100_000
"""Visited nodes of the tree; helpers that call helpers can multiply them."""
LARGEST = 10**9
"""The largest number that is told apart: in a hostile source products grow without end."""
FACTORISATIONS = {"inv", "pinv", "inverse", "inverse_hessian", "cholesky", "cholesky_inverse", "svd", "eigh", "qr"}
_FLAT = {"flatten", "ravel", "view", "reshape"}
_SAME = {"enumerate", "reversed", "list", "tuple", "sorted", "zip"}
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def slow_parts(tree: ast.Module) -> Iterator[str]:
    """One line for each loop with too many steps, and for each factorisation that is repeated for every row or
    column, in the functions that are called for every matrix."""
    costs = _Costs(tree)
    for name in ("score", "refine", "update"):
        yield from costs.of(name, 1, 0)


class _Costs:
    """Follows the calls within a source."""

    def __init__(self, tree: ast.Module) -> None:
        self._functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        self._constants = _sizes([node for node in tree.body if isinstance(node, ast.Assign)], {})
        self._seen: dict[str, int] = {}
        self._visited = 0

    def of(self, name: str, steps: int, depth: int) -> Iterator[str]:
        """The slow parts of a function that is called `steps` times."""
        if name not in self._functions or depth > DEEPEST or self._seen.get(name, 0) >= steps:
            return
        function = self._functions[name]
        self._seen[name] = steps
        assignments = [node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.AugAssign)]
        sizes = _sizes(assignments, self._constants)
        for statement in function.body:
            yield from self._within(statement, steps, sizes, depth)

    def _within(self, node: ast.AST, steps: int, sizes: dict[str, int], depth: int) -> Iterator[str]:
        self._visited += 1
        if self._visited > MOST_NODES:
            return
        loops: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(node, ast.For) and not _may_end_early(node):
            loops = [(node.target, node.iter)]
        elif isinstance(node, _COMPREHENSIONS):
            loops = [(each.target, each.iter) for each in node.generators]
        times = math.prod(_times(target, iterated, sizes) for target, iterated in loops)
        if times > 1 and steps * times > MOST_STEPS:
            yield (
                f"line {getattr(node, 'lineno', 0)}: in Python about {steps * times:,} steps for each matrix of {SIZE} "
                f"x {SIZE}, which takes seconds; compute on whole rows, columns or the matrix at once"
            )
            return
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in self._functions:
                yield from self.of(name, steps, depth + 1)
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in FACTORISATIONS:
                if steps >= SIZE:
                    yield (
                        f"line {node.lineno}: {name} is called about {steps:,} times for each matrix; factor once "
                        "before the loop and update the factor, or treat all rows as one batch"
                    )
        for child in ast.iter_child_nodes(node):
            outside = isinstance(node, ast.For) and child in (node.iter, *node.orelse)
            yield from self._within(child, steps if outside else steps * times, sizes, depth)


def _may_end_early(loop: ast.For) -> bool:
    """Whether a loop has a `break` of its own, or a `return`."""

    def ends(node: ast.AST) -> bool:
        if isinstance(node, ast.Return):
            return True
        own = not isinstance(node, ast.For | ast.While | ast.FunctionDef | ast.Lambda)
        return isinstance(node, ast.Break) or (own and any(map(ends, ast.iter_child_nodes(node))))

    return any(map(ends, loop.body))


def _sizes(assignments: list[ast.Assign] | list[ast.Assign | ast.AugAssign], known: dict[str, int]) -> dict[str, int]:
    """The names that stand for one number of elements throughout, with that number."""
    sizes, unsure = dict(known), set[str]()
    for node in assignments:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        many = isinstance(node.value, ast.Attribute) and node.value.attr == "shape"
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        size = SIZE if many and isinstance(target, ast.Tuple) else _number(node.value, sizes)
        for name in names:
            if isinstance(name, ast.Name):
                changed = isinstance(node, ast.AugAssign) or sizes.get(name.id, size) != size
                unsure |= {name.id} if changed or (isinstance(target, ast.Tuple) and not many) else set()
                sizes[name.id] = size
    return {name: size for name, size in sizes.items() if name not in unsure}


def _times(target: ast.expr, iterated: ast.expr, sizes: dict[str, int]) -> int:
    """The steps of a loop, at least 1."""
    match iterated:
        case ast.Call(func=ast.Name(id="range"), args=[stop]):
            return _number(stop, sizes)
        case ast.Call(func=ast.Name(id="range"), args=[start, stop]):
            return max(_number(stop, sizes) - (_number(start, sizes) if isinstance(start, ast.Constant) else 0), 1)
        case ast.Call(func=ast.Name(id="range"), args=[start, stop, step]):
            ends = max(_number(start, sizes), _number(stop, sizes))
            return max(ends // _number(step, sizes), 1) if _is_literal(step) else 1
        case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in _SAME:
            return _times(target.elts[-1] if isinstance(target, ast.Tuple) else target, first, sizes)
        case ast.Call(func=ast.Attribute(value=inner, attr="tolist")):
            return _times(target, inner, sizes)
        case ast.Call(func=ast.Attribute(attr="nonzero")):
            return SIZE * SIZE if isinstance(target, ast.Tuple) and len(target.elts) == 2 else 1
        case ast.Call(func=ast.Attribute(value=inner, attr=attr)) if attr in _FLAT and _is_weight(inner):
            return SIZE * SIZE
        case ast.Attribute(attr="weight"):
            return SIZE
    return 1


def _is_weight(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr == "weight" for part in ast.walk(node))


def _number(node: ast.expr, sizes: dict[str, int]) -> int:
    """The number of elements that an expression stands for, 1 where that is unknown."""
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return min(max(abs(value), 1), LARGEST)
        case ast.UnaryOp(operand=operand):
            return _number(operand, sizes)
        case ast.Name(id=name):
            return sizes.get(name, 1)
        case ast.Subscript(value=ast.Attribute(attr="shape")) | ast.Call(func=ast.Attribute(attr="size"), args=[_]):
            return SIZE
        case ast.Call(func=ast.Attribute(attr="numel")):
            return SIZE * SIZE
        case ast.Call(func=ast.Name(id="min"), args=[_, *_] as values):
            return min(_number(value, sizes) for value in values)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return min(_number(left, sizes) * _number(right, sizes), LARGEST)
        case ast.BinOp(left=ast.Constant(value=int(base)), op=ast.Pow(), right=ast.Constant(value=int(power))):
            return min(base**power, LARGEST) if 0 < power < 64 and 0 < base <= 10 else 1
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=ast.Constant()):
            return _number(left, sizes)
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            return max(_number(left, sizes) // _number(right, sizes), 1) if _is_literal(right) else 1
    return 1


def _is_literal(node: ast.expr) -> bool:
    return isinstance(node.operand if isinstance(node, ast.UnaryOp) else node, ast.Constant)
