"""What changes the hash of the code that measures, and what does not."""

import io
import shutil
import tokenize
from pathlib import Path

import pytest

from autoprune.evaluation.code_fingerprint import DISCOVERIES, KIT, PACKAGE, ROOMS, code_fingerprint, without_comments

NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT)
SOURCE = '''"""Of the module."""

# A comment.
LIMIT = 3  # at most
"""Of the constant."""


class Score:
    """Of the class."""

    def of(self, weight):
        """Of the method,

        "quoted" and \\""" escaped, # not a comment."""
        # Another comment.
        return fold(
            "# text",  # a comment between arguments
            """text""",
            weight,
        )
'''
CODE = '''LIMIT = 3
class Score:
    def of(self, weight):
        return fold(
            "# text",
            """text""",
            weight,
        )
'''


def code_of(source: str) -> list[str]:
    """The tokens by the standard library, without comments, layout and statements that are only a string."""
    tokens = [each for each in tokenize.generate_tokens(io.StringIO(source).readline) if each.type not in NO_CODE]
    statements: list[list[tokenize.TokenInfo]] = [[]]
    for token in tokens:
        statements[-1].append(token)
        if token.type == tokenize.NEWLINE:
            statements.append([])
    code = [each for each in statements if [token.type for token in each] != [tokenize.STRING, tokenize.NEWLINE]]
    return [token.string for statement in code for token in statement if token.type != tokenize.NEWLINE]


def test_comments_docstrings_and_blank_lines_are_left_out():
    assert without_comments(SOURCE) == CODE
    assert without_comments(CODE) == CODE


@pytest.mark.parametrize(
    "source",
    [
        'text = (\n    "one"\n    "two"\n)\n',
        'text = \\\n"one"\n',
        'f"{run()}"\n',
        'call("""\n# text\n""")\n',
        'pattern = \'["#(]\'\nother = r"\\""\n',
    ],
)
def test_strings_that_are_no_statement_are_code(source):
    assert without_comments(source) == source


@pytest.mark.parametrize("room", ROOMS)
def test_no_code_of_the_package_is_left_out(room):
    for path in (PACKAGE / room).rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert code_of(without_comments(source)) == code_of(source), path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(PACKAGE / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PACKAGE / KIT, tmp_path)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_comment_a_docstring_or_a_discovery_changes_nothing(package):
    before = code_fingerprint(package)
    assert before == code_fingerprint()
    edit(package / "pruning/scores.py", '"""', '"""Edited. ')
    edit(package / "pruning/masks.py", "import torch\n", "# Edited.\nimport torch  # edited\n\n")
    edit(package / "candidates/discovered/exchange_by_variance.py", "import torch\n", "import torch as edited\n")
    for data in DISCOVERIES:
        (package / data / "exchange_by_nothing.py").write_text("def score(layer):\n    return layer.weight\n")
    assert code_fingerprint(package) == before


@pytest.mark.parametrize("change", ["edit", "add", "rename", "kit"])
def test_an_edit_of_code_changes_it(package, change):
    before = code_fingerprint(package)
    path = package / "pruning/masks.py"
    match change:
        case "edit":
            edit(path, "return ", "return 1 + ")
        case "add":
            path.with_name("more.py").write_text("MORE = 1\n")
        case "rename":
            path.rename(path.with_name("mask.py"))
        case "kit":
            edit(package / KIT, "return ", "return 1 + ")
    assert code_fingerprint(package) != before
