"""Reading Python: one thread at a time.

CPython 3.11 counts the depth of a tree that it builds in one place for all threads, so that two threads which parse at
once can fail with "SystemError: AST constructor recursion depth mismatch" (seen here; python/cpython issue 106905 is
about it). Candidates go their ways side by side.
"""

import ast
import threading

_turn = threading.Lock()


def parse(source: str) -> ast.Module:
    """`ast.parse`. Raises SyntaxError and ValueError as that does."""
    with _turn:
        return ast.parse(source)
