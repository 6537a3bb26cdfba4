"""Reading sources that are legal and absurd: one line that refuses them, or a tree that every walker can walk."""

import ast
import sys
from collections.abc import Callable

import pytest

from autoprune.agents.critic import RuleCritic, Submission
from autoprune.agents.niche import niche_of
from autoprune.agents.partial import completed
from autoprune.agents.population import Algorithm
from autoprune.agents.symbolic.code_leaf import can_embed, can_embed_whole
from autoprune.agents.symbolic.individual import Individual, can_be_parent
from autoprune.agents.symbolic.source import source as rendered
from autoprune.candidates.composition import composed
from autoprune.candidates.contract import MAX_SOURCE_BYTES, expensive_fields_named
from autoprune.candidates.rounds import raised
from autoprune.candidates.screen import refuse, screen
from autoprune.candidates.static_analysis import published_twin, read
from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.report.algorithm_file import documented
from autoprune.report.code import code, difference
from autoprune.report.page import Page
from autoprune.syntax import NotPython, hides, imported_modules, parse, shared_tree
from tests.absurd import ABSURD, FINE, HIDING, LEGAL, SCORE, UNBOUNDED

SPREAD = "SLOPE = 0.1\n\n\ndef allocate(units, sparsity):\n    return [SLOPE * unit.depth for unit in units]\n"


def cases(sources: dict[str, str]) -> list[object]:
    return [pytest.param(source, id=name) for name, source in sources.items()]


def _refused(source: str) -> None:
    message = ""
    try:
        refuse(source)
    except CandidateFailure as failure:
        message = failure.message
    assert len(message) < 700
    assert message.isprintable()


def _reviewed(source: str) -> None:
    known = [Algorithm("g1.c1", "t", SCORE, 1.0), Algorithm("g1.c2", "t", source, 2.0)]
    review = RuleCritic().review(Submission("g2.c1", 2, 0, {}, source, "", known))
    assert all(len(comment) < 700 for comment in review.comments)


def _followed(source: str) -> None:
    reading = read(source)
    if reading is not None:
        published_twin(reading)
        assert reading.flat in (True, False)


def _built_on(source: str) -> None:
    can_embed_whole(source)
    if can_embed(source):
        individual = Individual.of({}, source)
        rendered(("sqrt", individual.expression), individual.group)
        individual.deepened(2)
    can_be_parent({}, source)


def _composed(source: str) -> None:
    for algorithm, allocation in ((source, SPREAD), (SCORE, source), (source, source)):
        try:
            parse(composed(algorithm, allocation))
        except ValueError as refused:
            reason = str(refused)
        else:
            reason = ""
        assert "\n" not in reason
    completed(source, SCORE)
    deep = raised(source, 2)
    if deep is not None:
        parse(deep)


def _exported(source: str) -> None:
    try:
        whole = documented(source, "told", MAX_SOURCE_BYTES)
    except AutoPruneError as error:
        whole = str(error)
    assert whole.endswith(source) or ("\n" not in whole and len(whole) < 500)


def _shown(source: str) -> None:
    whole = Page(code(source[:3000])).text() + Page(difference(SCORE, source[:3000], "a", "b")).text()
    assert not any(map(hides, whole))


WALKERS: list[Callable[[str], object]] = [
    *(screen, imported_modules, expensive_fields_named, niche_of),
    *(_refused, _reviewed, _followed, _built_on, _composed, _exported, _shown),
]


@pytest.mark.parametrize("source", cases(ABSURD))
def test_nothing_that_reads_a_source_fails_on_it(source: str) -> None:
    for walk in WALKERS:
        walk(source)


@pytest.mark.parametrize("walk", WALKERS, ids=lambda walk: walk.__name__)
def test_what_the_parser_lets_through_can_be_walked_with_half_of_the_stack_used(walk: Callable[[str], object]) -> None:
    def below(frames: int) -> None:
        if frames:
            below(frames - 1)
        else:
            for source in LEGAL.values():
                walk(source)

    if hasattr(walk, "cache_clear"):
        walk.cache_clear()
    read.cache_clear()
    shared_tree.cache_clear()
    below(sys.getrecursionlimit() // 3)


@pytest.mark.parametrize("source", cases(UNBOUNDED | HIDING))
def test_what_is_absurd_or_hides_code_is_one_error_of_the_screen(source: str) -> None:
    finding, *others = screen(source)
    assert (finding.severity, others) == ("error", [])
    assert any(words in finding.message for words in ("nested", "hide code", "encoding", "cannot be parsed"))
    with pytest.raises(NotPython) as caught:
        parse(source)
    assert caught.value.line <= source.count("\n") + 2


@pytest.mark.parametrize("source", cases(FINE))
def test_what_is_fine_is_let_through(source: str) -> None:
    refuse(source)
    assert isinstance(parse(source), ast.Module)


@pytest.mark.parametrize(
    ("name", "line", "part"),
    [
        ("a line separator", 2, "U+2028 (LINE SEPARATOR)"),
        ("a lone carriage return", 1, "U+000D (CARRIAGE RETURN)"),
        ("a direction override", 3, "U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("NUL", 3, "U+0000 (NUL)"),
        ("an invisible letter", 3, "U+3164 (HANGUL FILLER)"),
        ("UTF-7", 1, "the encoding 'utf-7'"),
        ("another encoding in the second line", 2, "the encoding 'latin-1'"),
    ],
)
def test_a_character_that_hides_code_is_named_with_its_line(name: str, line: int, part: str) -> None:
    [finding] = screen(HIDING[name])
    assert finding.line == line
    assert part in finding.message


def test_an_integer_beyond_float_is_refused_whatever_its_base() -> None:
    for literal in ("1" + "0" * 309, hex(1 << 1024), oct(1 << 4000), bin(1 << 9999)):
        with pytest.raises(NotPython, match=r"bits|digits"):
            parse(f"x = {literal}")


def test_a_doubtful_escape_is_read_without_a_word(recwarn):
    parse(r'X = "\d" + "\.py"' + "\nY = 0x1for x in ()\n")
    assert not recwarn.list


def test_what_other_threads_do_to_the_parser_is_not_the_source_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    parse_once, mishaps = ast.parse, iter([True, True])

    def disturbed(source: str) -> ast.Module:
        if next(mishaps, False):
            raise SystemError("AST constructor recursion depth mismatch (before=69, after=120)")
        return parse_once(source)

    monkeypatch.setattr("autoprune.syntax.ast.parse", disturbed)
    assert ast.unparse(parse("x = 1")) == "x = 1"


def test_a_source_that_the_parser_never_copes_with_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(source: str) -> ast.Module:
        raise SystemError("AST constructor recursion depth mismatch (before=69, after=120)")

    monkeypatch.setattr("autoprune.syntax.ast.parse", broken)
    with pytest.raises(NotPython, match="nested too deeply"):
        parse("x = 1")
