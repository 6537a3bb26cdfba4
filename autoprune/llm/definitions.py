"""What the source of a module defines at its top, and what it takes from elsewhere; by its syntax tree."""

import ast
import builtins
from collections.abc import Iterator

FUNCTION = "score"
_NO_FUNCTION = ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom


def defined(tree: ast.Module) -> dict[str, ast.stmt]:
    """What a module defines at its top, by name, with the statement that does; of `score` only a function counts, not a
    value that is called so."""
    names: dict[str, ast.stmt] = {}
    for node in tree.body:
        names |= dict.fromkeys(_bound(node), node)
    if (found := names.get(FUNCTION)) and not _is_function(found, names):
        del names[FUNCTION]
    return names


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement binds; one with a body (`try`, `if`) binds what its statements do."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))
    elif not _is_main(node):
        for child in ast.iter_child_nodes(node):
            for inner in child.body if isinstance(child, ast.ExceptHandler) else [child]:
                if isinstance(inner, ast.stmt):
                    yield from _bound(inner)


def _is_main(node: ast.stmt) -> bool:
    """What runs when a file is a program: a candidate never is."""
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _is_function(node: ast.stmt, names: dict[str, ast.stmt]) -> bool:
    """Whether a statement binds a function: a definition, a lambda, another name for what is defined beside it, or what
    a factory, an object's method or `functools.partial` gives."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        inner = [each for each in ast.walk(node) if isinstance(each, ast.FunctionDef) and each.name == FUNCTION]
        return isinstance(node, ast.FunctionDef) or (bool(inner) and not isinstance(node, _NO_FUNCTION))
    value = root = node.value
    if value is None or isinstance(value, ast.Lambda):
        return value is not None
    while isinstance(root, ast.Call | ast.Attribute):
        root = root.func if isinstance(root, ast.Call) else root.value
    if not isinstance(root, ast.Name) or root.id == FUNCTION or root.id not in names:
        return False
    source = names[root.id]
    if isinstance(source, ast.Import | ast.ImportFrom):
        return "partial" in ast.unparse(value)
    if isinstance(source, ast.FunctionDef) and isinstance(value, ast.Name):
        return True
    return any(isinstance(each, ast.FunctionDef | ast.Lambda) for each in ast.walk(source) if each is not source)


def unbound(tree: ast.Module) -> set[str]:
    """Names that a module uses and nowhere binds."""
    used: set[str] = set()
    bound = set(dir(builtins)) | set(defined(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return used - bound


def segment(source: str, node: ast.stmt) -> str:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return "\n".join(source.split("\n")[first - 1 : node.end_lineno])
