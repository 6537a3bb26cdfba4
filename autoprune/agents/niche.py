"""The cell of a candidate in the map of a run, read off its source and never run: the same on every machine.

- inputs: which fields of `layer` the source names as attributes, the weight aside; and whether it allocates itself
- group: what the source sets GROUP to
- cost: `heavy` when it multiplies or decomposes matrices, sorts, or loops; else by the number of operations on tensors
  that are written down, `light` up to `LIGHT_OPERATIONS` of them and `medium` above

What stands in `allocate` is not counted, for it is called once and sees units. A source that hides what it does (in
`getattr`, say) is in the wrong cell, which does no harm: a cell only says beside whom a candidate is best.
"""

import ast
import builtins
from collections.abc import Iterator
from functools import lru_cache

from autoprune.candidates.contract import DEFAULT_GROUP, GROUPS, expensive_fields_named
from autoprune.runs.quality import COSTS, Niche
from autoprune.syntax import NotPython, parse

INPUTS = {
    "input_norm": "norm",
    "input_mean": "mean",
    "input_var": "variance",
    "hessian_diag": "diagonal",
    "gradient": "gradient",
    "hessian": "hessian",
    "depth": "depth",
    "role": "role",
    "sparsity": "sparsity",
    "pattern": "pattern",
}
"""Field of the contract -> how the map calls it, in the map's order."""
ALLOCATES = "own allocation"
LIGHT_OPERATIONS = 6
LIGHT, MEDIUM, HEAVY = COSTS
_PRODUCTS = {"matmul", "mm", "bmm", "mv", "addmm", "einsum", "tensordot", "kron", "cdist", "cov", "corrcoef"}
_DECOMPOSITIONS = {"inv", "pinv", "inverse", "cholesky", "cholesky_inverse", "svd", "eig", "eigh", "qr", "lu"}
_SOLVERS = {"solve", "solve_triangular", "lstsq", "cholesky_solve", "triangular_solve", "matrix_power", "matrix_exp"}
_SORTS = {"sort", "argsort", "msort", "topk", "kthvalue", "quantile", "nanquantile", "median", "unique"}
_HEAVY = _PRODUCTS | _DECOMPOSITIONS | _SOLVERS | _SORTS
_LOOPS = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@lru_cache(maxsize=4096)
def niche_of(source: str) -> Niche:
    """The cell of a source; one that is no Python is in the cell of those that read nothing."""
    try:
        tree = parse(source)
    except NotPython:
        return Niche((), LIGHT, DEFAULT_GROUP)
    allocates = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == "allocate"]
    rest = [node for part in tree.body if part not in allocates for node in ast.walk(part)]
    named = {node.attr for node in rest if isinstance(node, ast.Attribute)} | set(expensive_fields_named(source))
    inputs = [label for field, label in INPUTS.items() if field in named]
    return Niche(tuple(inputs + [ALLOCATES] * bool(allocates)), _cost(rest), _group(tree))


def _cost(nodes: list[ast.AST]) -> str:
    if any(map(_is_heavy, nodes)):
        return HEAVY
    return LIGHT if sum(1 for _ in _operations(nodes)) <= LIGHT_OPERATIONS else MEDIUM


def _operations(nodes: list[ast.AST]) -> Iterator[ast.AST]:
    """Calls, arithmetic and comparisons, but for those of plain numbers, as far as the source shows that."""
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id=name)) if hasattr(builtins, name):
                pass
            case ast.BinOp(left=left, right=right) if _is_number(left) and _is_number(right):
                pass
            case ast.Call() | ast.BinOp() | ast.Compare():
                yield node


def _is_heavy(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name in _HEAVY
        case ast.BinOp(op=ast.MatMult()) | ast.AugAssign(op=ast.MatMult()):
            return True
    return isinstance(node, _LOOPS)


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and _is_number(node.operand))


def _group(tree: ast.Module) -> str:
    """The last literal that GROUP is set to at the top of the source."""
    group = DEFAULT_GROUP
    for part in tree.body:
        match part:
            case (
                ast.Assign(targets=[ast.Name(id="GROUP")], value=ast.Constant(value=str(value)))
                | ast.AnnAssign(target=ast.Name(id="GROUP"), value=ast.Constant(value=str(value)))
            ) if value in GROUPS:
                group = value
    return group
