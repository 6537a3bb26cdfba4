"""Reading Python: one thread at a time.

CPython before 3.12.2 counts the depth of a tree that it builds in one place for all threads, so that two threads which
parse at once can fail with SystemError (python/cpython issue 106905). Candidates go their ways side by side.
"""

import ast
import threading

_turn = threading.Lock()


def parse(source: str) -> ast.Module:
    """`ast.parse`. Raises SyntaxError and ValueError as that does."""
    with _turn:
        return ast.parse(source)
