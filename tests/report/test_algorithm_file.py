"""Whatever an LLM wrote: the file is Python, its docstring says it, and its code is the candidate's."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.errors import AutoPruneError
from autoprune.report.algorithm_file import documented
from autoprune.syntax import hides, imported_modules

SOURCE = 'import torch\n\nGROUP = "matrix"\n\n\ndef score(layer):\n    return layer.weight.abs() * torch.tensor(2.0)\n'
LIMIT = 64 * 1024
HOSTILE = (
    'ends with a quote"',
    '"""\nimport os\nos.system("true")\n"""',
    "a backslash \\",
    '\\"""',
    '""""""""',
    "\\N{BULLET} \\x41 \\u0041 \\",
    "control \x00\x07\x1b[31m\r\x0c and \u202e direction \ud800",
    "# -*- coding: utf-7 -*-",
    "{braces} %s",
    "",
)


def statements(text):
    return list(map(ast.dump, ast.parse(text).body))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text):
    whole = documented(SOURCE, text, LIMIT)
    assert statements(whole)[1:] == statements(SOURCE)
    assert whole.endswith(SOURCE)
    assert not any(character in whole for character in "\x00\x07\x1b\r\x0c\u202e")


def seen(character):
    return character.isprintable() and not character.isspace() and not hides(character)


@settings(deadline=None)
@given(st.text())
def test_the_docstring_is_the_text(text):
    told = ast.get_docstring(ast.parse(documented(SOURCE, text, LIMIT)), clean=False)
    assert told is not None
    assert [character for character in told if seen(character)] == [each for each in text.strip() if seen(each)]


@settings(deadline=None)
@given(st.text(alphabet='"\\é∑a\n', min_size=0, max_size=400), st.integers(len(SOURCE) + 140, len(SOURCE) + 500))
def test_a_long_text_is_cut_to_the_limit(text, limit):
    whole = documented(SOURCE, text, limit)
    assert len(whole.encode()) <= limit
    assert statements(whole)[1:] == statements(SOURCE)


def test_a_source_with_a_docstring_of_its_own_keeps_it_as_a_statement():
    source = f'"""Mine."""\n{SOURCE}'
    assert statements(documented(source, "told", LIMIT))[1:] == statements(source)


@pytest.mark.parametrize("source", ["def score(layer:\n", "a = '\0'", "from __future__ import annotations\n" + SOURCE])
def test_a_source_that_cannot_be_used_so_is_one_line(source):
    if source.startswith("from"):
        assert documented(source, "told", LIMIT)  # after a docstring it is still at the beginning
        source = f'"""Mine."""\n{source}'
    with pytest.raises(AutoPruneError) as caught:
        documented(source, "told", LIMIT)
    assert "\n" not in str(caught.value)


def test_a_source_that_fills_the_limit_is_one_line():
    with pytest.raises(AutoPruneError, match="no room"):
        documented(SOURCE, "told", len(SOURCE))


@pytest.mark.parametrize(
    "line", ["from autoprune import kit", "import autoprune.kit as k", "from autoprune.kit import obs"]
)
def test_a_source_with_the_kit_imports_the_package(line):
    assert "autoprune" in imported_modules(f"{line}\n\n{SOURCE}")


@pytest.mark.parametrize("source", [SOURCE, "# import autoprune.kit", "def score(", "import autoprunes"])
def test_other_sources_do_not(source):
    assert "autoprune" not in imported_modules(source)
