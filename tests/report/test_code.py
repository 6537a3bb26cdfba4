"""Code is shown as it is: nothing invisible, no line that is none, and colours for light and dark backgrounds."""

import io
import unicodedata

import pytest
from rich.console import Console

from autoprune.report.code import COLOURS, code, difference, revealed
from autoprune.syntax import hides

HIDING = {
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "carriage return": "\r",
    "next line": "\x85",
    "form feed": "\f",
    "vertical tab": "\v",
    "file separator": "\x1c",
    "escape": "\x1b",
    "right to left": "\u202e",
    "isolate": "\u2066",
    "zero width": "\u200b",
    "byte order mark": "\ufeff",
    "filler": "\u3164",
    "surrogate": "\ud800",
}
CASES = [pytest.param(character, id=name) for name, character in HIDING.items()]
SOURCE = "def score(layer):\n    # kept:{}    return layer.weight.abs()\n    return -layer.weight\n"


def drawn(renderable, width=120):
    """As a terminal gets it, and its lines without colours."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor", no_color=False)
    console.print(renderable)
    plain = Console(file=io.StringIO(), width=width)
    plain.print(renderable)
    return console.file.getvalue(), [line.rstrip() for line in plain.file.getvalue().split("\n")]


@pytest.mark.parametrize("character", CASES)
def test_a_character_that_hides_code_is_shown_by_its_number_in_its_own_line(character):
    whole, lines = drawn(code(SOURCE.format(character)))
    assert lines[1] == f"    # kept:<U+{ord(character):04X}>    return layer.weight.abs()"
    assert lines[2] == "    return -layer.weight"
    assert character not in whole.replace("\x1b[", "")


@pytest.mark.parametrize("character", CASES)
def test_a_diff_counts_lines_as_python_does(character):
    _, lines = drawn(difference(SOURCE.format(""), SOURCE.format(character), "before", "after"))
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---") and line]
    assert changed == [
        "-    # kept:    return layer.weight.abs()",
        f"+    # kept:<U+{ord(character):04X}>    return layer.weight.abs()",
    ]


def test_what_can_be_seen_is_left_alone():
    text = "é = 'ä β 中文 🙂'\t# \xa0 fine\r\nnext"
    assert revealed(text, 1000) == text.replace("\r\n", "\n")
    assert revealed("x" * 20, 10) == "x" * 10 + "…"


def test_all_control_and_format_characters_hide_and_no_letter_or_digit_does():
    for point in range(0x110000):
        character = chr(point)
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
            assert hides(character) is (character not in "\n\t")
    assert not any(map(hides, "aZ09_äßλд中あ한🙂 \xa0"))


def test_code_has_no_background_and_every_colour_is_readable_on_white_and_on_black():
    whole, _ = drawn(code("@a\nclass C:\n    def f(self): return not 1.5 + len('x')  # no\n", line_numbers=True))
    assert "\x1b[48" not in whole
    assert ";48;" not in whole
    for colour in COLOURS.values():
        light = luminance(colour)
        assert 1.05 / (light + 0.05) >= 4.5
        assert (light + 0.05) / 0.05 >= 4.5


def luminance(colour):
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
