"""A difference is shown as far as it is shorter than the code, or completely."""

import pytest

from autoprune.report.compared import MOST_DIFFERENT, compared
from tests.report.test_code import drawn

SHORT = "def score(layer):\n    return layer.weight.abs()\n"
LONG = "".join(f"x{number} = {number}\n" for number in range(200)) + SHORT
OTHER = "".join(f"y{number} = {number}\n" for number in range(200)) + SHORT


def shown(before, after, whole="--whole"):
    _, lines = drawn(compared(before, after, "g1.c1", "g2.c1", whole))
    return [line.strip("│ ") for line in lines]


def test_what_differs_is_shown_with_both_names():
    lines = shown(LONG, LONG.replace("x7 = 7", "x7 = 8"))
    assert lines[0].startswith("╭─ difference from g1.c1 ─")
    assert lines[1:3] == ["--- g1.c1", "+++ g2.c1"]
    assert [line for line in lines if line.startswith(("-x", "+x"))] == ["-x7 = 7", "+x7 = 8"]


def test_equal_sources_have_no_difference():
    assert shown(LONG, LONG)[1] == "no difference"


@pytest.mark.parametrize("whole", ["--whole", ""])
def test_a_difference_as_long_as_a_long_source_is_counted_or_shown_completely(whole):
    lines = shown(OTHER, LONG, whole)
    changed = [line for line in lines if line.startswith(("-y", "+x"))]
    assert len(changed) == (0 if whole else 400)
    assert any(line.endswith("lines, the code 202: --whole shows both") for line in lines) == bool(whole)


@pytest.mark.parametrize("whole", ["--whole", ""])
def test_a_long_difference_is_cut_or_shown_completely(whole):
    lines = shown(OTHER, SHORT, whole)
    removed = [line for line in lines if line.startswith("-y")]
    assert len(removed) == (MOST_DIFFERENT - 3 if whole else 200)
    assert any(line.endswith("more lines: --whole shows everything") for line in lines) == bool(whole)
