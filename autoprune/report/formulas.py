"""The formula of a candidate's thought as a line of Unicode mathematics.

A chat model writes its formula as text, with or without LaTeX: `min \\sum_i s_i^2` becomes `min ∑ᵢ sᵢ²`. The text is
untrusted. What cannot be converted stays as it is, and nothing in it is interpreted further.
"""

import functools
import logging
import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autoprune.mathematics import LONGEST, formula
from autoprune.report.text import one_line

if TYPE_CHECKING:
    from pylatexenc.latex2text import LatexNodes2Text

LONGEST_LATEX = 1000
DEEPEST = 20
"""Maximum depth of braces in LaTeX that is converted."""
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])\.?")
_NAMES = re.compile(r"\\(?:operatorname\*?|math[a-z]+|text[a-z]*|boldsymbol|bm)\s*\{([^{}]*)\}")
_SUBSCRIPTS = str.maketrans("0123456789+-−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_SUPERSCRIPTS = str.maketrans("0123456789+-−=()niT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱᵀ")
_SCRIPT = re.compile(r"([_^])(?:\{([^{}]{1,40})\}|(-?[0-9]+(?:\.[0-9]+)?(?![A-Za-z0-9/])|[A-Za-z0-9](?![A-Za-z0-9])))")
_GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi"),
    *("rho", "sigma", "tau", "phi", "chi", "psi", "omega"),
)
_WORDS = {name: unicodedata.lookup(f"GREEK SMALL LETTER {name.replace('lambda', 'lamda')}") for name in _GREEK}
_WORDS |= {"sum": "∑", "prod": "∏", "sqrt": "√", "inf": "∞", "<=": "≤", ">=": "≥", "!=": "≠"}
_WORD = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(_GREEK)}|sum|prod|sqrt|inf)(?![A-Za-z])|<=|>=|!=")


def formula_of(thought: Mapping[str, Any]) -> str:
    """The formula of a candidate's thought on one line; empty without one."""
    if thought.get("expression") is not None:
        return formula(thought["expression"])
    text = thought.get("formula")
    return as_unicode(text) if isinstance(text, str) else ""


def as_unicode(text: str) -> str:
    """A formula in plain text or LaTeX as one line of Unicode."""
    text = one_line(text, LONGEST_LATEX)
    if "\\" in text or text.startswith("$"):
        text = _without_commands(text)
    text = _WORD.sub(lambda match: _WORDS[match[0]], text)
    return one_line(_SCRIPT.sub(_script, text), LONGEST)


def _without_commands(latex: str) -> str:
    """LaTeX with its commands replaced by characters; scripts keep their braces. Unchanged if that fails."""
    from pylatexenc.latexwalker import LatexWalkerError

    if _depth(latex) > DEEPEST:
        return latex
    latex = re.sub(r"(?<!\\)%", r"\%", latex.replace(r"\|", "‖"))  # no comment
    latex = _SIZES.sub("", _NAMES.sub(r" \1", latex))
    try:
        return str(_converter().latex_to_text(latex)).strip() or latex
    except (LatexWalkerError, LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return latex  # pylatexenc raises any of these for LaTeX that is incomplete


def _depth(latex: str) -> int:
    """The largest number of braces that are open at the same time."""
    depth = deepest = 0
    for character in latex:
        depth += (character == "{") - (character == "}")
        deepest = max(deepest, depth)
    return deepest


@functools.cache
def _converter() -> "LatexNodes2Text":
    """With quotients in parentheses, bars over more than a letter, and the names of unknown commands."""
    from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec, get_default_latex_context_db

    logging.getLogger("pylatexenc").setLevel(logging.CRITICAL)  # it reports every unknown command
    quotients = [MacroTextSpec(name, "(%s)/(%s)") for name in ("frac", "dfrac", "tfrac")]
    bars = [MacroTextSpec(name, "(%s)\u0305") for name in ("overline", "bar")]
    commands = get_default_latex_context_db()
    commands.set_unknown_macro_spec(MacroTextSpec("", lambda node: node.macroname))
    commands.add_context_category("formulas", prepend=True, macros=[*quotients, *bars])
    spaces = "based-on-source"
    return LatexNodes2Text(
        commands, math_mode="text", strict_latex_spaces=spaces, keep_braced_groups=True, keep_braced_groups_minlen=2
    )


def _script(match: "re.Match[str]") -> str:
    """A sub- or superscript by Unicode's characters, if it has all of them."""
    sign, inside = match[1], match[2] or match[3]
    table = _SUBSCRIPTS if sign == "_" else _SUPERSCRIPTS
    inside = inside.strip()
    if all(ord(character) in table for character in inside):
        return inside.translate(table)
    return f"{sign}{inside}" if len(inside) == 1 or re.fullmatch(r"[\w.−-]+", inside) else f"{sign}({inside})"
