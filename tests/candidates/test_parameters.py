import ast
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.candidates.parameters import MOST, Range, UnusableParameters, as_text, middles, ranges, with_values
from autoprune.candidates.screen import refuse, screen
from autoprune.errors import CandidateFailure

SOURCE = '''"""Größe und Steigung."""

PARAMS = {"power": (0.5, 1.5), "slope": (0.0, 0.3), "fixed": 2}  # ± what the author thinks


def score(layer):
    return layer.weight.abs() * layer.input_norm.pow(PARAMS["power"])
'''

numbers = st.floats(allow_nan=False, allow_infinity=False)


def assigned(source):
    namespace = {}
    exec(source, namespace)
    return namespace["PARAMS"]


def test_ranges_are_free_and_numbers_are_not():
    assert ranges(SOURCE) == {"power": Range(0.5, 1.5), "slope": Range(0.0, 0.3)}
    assert ranges("def score(layer):\n    return layer.weight\n") == {}
    assert ranges("this is no python") == {}


def test_values_take_the_place_of_ranges_and_nothing_else_changes():
    tuned = with_values(SOURCE, {"power": 0.8, "slope": 0.1})
    assert assigned(tuned) == {"power": 0.8, "slope": 0.1, "fixed": 2}
    assert ranges(tuned) == {}
    before, after = SOURCE.split("PARAMS = ", 1)
    assert tuned.startswith(before)
    assert tuned.endswith(after.partition("}")[2])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("value", ['{\n    "ae": (1, 2),\n}', '({"ae": [1, 2]})'])
def test_an_assignment_over_several_lines_with_any_line_end(end, value):
    source = f'note = "é"; PARAMS: dict = {value}; more = "ü"\nlast = 1\n'.replace("\n", end)
    tuned = with_values(source, {"ae": 1.25})
    assert assigned(tuned) == {"ae": 1.25}
    assert [ast.unparse(node) for node in ast.parse(tuned).body][2:] == ["more = 'ü'", "last = 1"]


@given(low=numbers, high=numbers, where=st.floats(0, 1))
def test_every_value_of_a_range_is_in_it_and_comes_back_from_the_source(low, high, where):
    if not low < high or not math.isfinite(high - low):
        return
    limits = Range(low, high)
    value = limits.at(low * (1 - where) + high * where)
    assert low <= value <= high
    assert low <= limits.middle <= high
    source = f"PARAMS = {{'a': ({low!r}, {high!r})}}"
    assert ranges(source) == {"a": limits}
    assert assigned(with_values(source, {"a": value})) == {"a": value}


def test_a_wide_positive_range_has_its_middle_on_a_logarithmic_scale():
    free = {"damping": Range(1e-4, 1e-2), "power": Range(0.5, 1.5), "zero": Range(0.0, 10.0)}
    assert middles(free) == {"damping": pytest.approx(1e-3), "power": 1.0, "zero": 5.0}
    assert as_text(free, middles(free)).startswith(
        "damping = 0.001 (range 0.0001 to 0.01), power = 1 (range 0.5 to 1.5)"
    )


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("dict(power=(0, 1))", "must be a dictionary of literals"),
        ("[1, 2]", "must be a dictionary of literals"),
        ("{1: (0, 1)}", "must have names of ASCII letters"),
        ('{"\\ud800": (0, 1)}', "must have names of ASCII letters"),
        ('{"a b": (0, 1)}', "must have names of ASCII letters"),
        (f'{{"{"a" * 41}": (0, 1)}}', "must have names of ASCII letters"),
        (f'{{"a": {(1 << 1024) - 1} + 1j}}', "must be a dictionary of literals"),
        ('{"a": (-1.7e308, 1.7e308)}', "low < high is needed"),
        ('{"a": (0, 1), "b": 1e999}', "neither a finite number nor a range"),
        ('{"a": (1, 0)}', "low < high is needed"),
        ('{"a": (1, 1)}', "low < high is needed"),
        ('{"a": (0, 1e999)}', "neither a finite number nor a range"),
        ('{"a": (0, 1, 2)}', "neither a finite number nor a range"),
        ('{"a": ("x", 1)}', "neither a finite number nor a range"),
        ('{"a": (True, 2)}', "neither a finite number nor a range"),
        ('{"a": None}', "neither a finite number nor a range"),
        (str({f"p{number}": (0, 1) for number in range(MOST + 1)}), f"at most {MOST}"),
        (f'{{"a": (0, {10**400})}}', ""),
    ],
)
def test_what_is_no_range_is_a_finding_of_the_screen(value, problem):
    source = f"PARAMS = {value}\n\n\ndef score(layer):\n    return layer.weight\n"
    with pytest.raises(CandidateFailure, match=problem or None):
        refuse(source)
    if problem:
        with pytest.raises(UnusableParameters, match=problem):
            ranges(source)
        assert any(finding.severity == "error" and finding.line == 1 for finding in screen(source))


def test_the_middle_of_the_largest_numbers_is_finite():
    assert math.isfinite(Range(-8e307, 8e307).middle)
    assert math.isfinite(Range(1e-300, 1e300).middle)
