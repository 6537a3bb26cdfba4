"""The top-level definitions of a module and its unbound names, from its syntax tree."""

import ast
import builtins
from collections.abc import Iterator

FUNCTION = "score"
_NO_FUNCTION = ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom


def defined(tree: ast.Module) -> dict[str, ast.stmt]:
    """Top-level name -> the statement that defines it. `score` is only included if it is a function."""
    names: dict[str, ast.stmt] = {}
    for node in tree.body:
        names |= dict.fromkeys(_bound(node), node)
    if (definition := names.get(FUNCTION)) and not _is_function(definition, names):
        del names[FUNCTION]
    return names


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement, or its body (`try`, `if`), binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))
    elif not _is_main(node):
        for child in ast.iter_child_nodes(node):
            for inner in child.body if isinstance(child, ast.ExceptHandler) else [child]:
                if isinstance(inner, ast.stmt):
                    yield from _bound(inner)


def _is_main(node: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__"`, which a candidate never runs."""
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _is_function(node: ast.stmt, names: dict[str, ast.stmt]) -> bool:
    """Whether a statement binds a function: a definition, a lambda, an alias, or the result of a factory, an object's
    method or `functools.partial`."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        nested = any(isinstance(part, ast.FunctionDef) and part.name == FUNCTION for part in ast.walk(node))
        return isinstance(node, ast.FunctionDef) or (nested and not isinstance(node, _NO_FUNCTION))
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
    return any(isinstance(part, ast.FunctionDef | ast.Lambda) for part in ast.walk(source) if part is not source)


def unbound(tree: ast.Module) -> set[str]:
    """Names that a module uses but does not bind."""
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
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    return "\n".join(source.split("\n")[first - 1 : node.end_lineno])
