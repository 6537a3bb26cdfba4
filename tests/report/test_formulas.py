"""The formula of a thought, as a chat model writes it: plain text, Unicode or LaTeX, and whatever else."""

import pytest

from autoprune.mathematics import LONGEST
from autoprune.report.formulas import as_unicode, formula_of


def test_a_formula_that_a_model_brings_is_one_bounded_line():
    assert formula_of({"formula": "S = |W|\n· ‖X‖\x1b[2J\u202e"}) == "S = |W| · ‖X‖[2J"
    assert len(formula_of({"formula": "x" * 100_000})) == LONGEST
    assert formula_of({"formula": ["no", "text"]}) == ""
    assert formula_of({"formula": "mine", "expression": ["mul", "W", "X"]}) == "|W| · ‖X‖"
    assert formula_of({}) == ""


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("min_z sum_i s_i^2 (w_i z_i) H (w_i z_i)^T - lambda sum z", "min_z ∑ᵢ sᵢ² (wᵢ zᵢ) H (wᵢ zᵢ)ᵀ - λ ∑ z"),
        ("Sᵢⱼ = |Wᵢⱼ| · ‖Xⱼ‖^0.5", "Sᵢⱼ = |Wᵢⱼ| · ‖Xⱼ‖^0.5"),
        ("D^-1/2 H D^-1/2, |w|_0 <= k", "D^-1/2 H D^-1/2, |w|₀ ≤ k"),
        ("w_max x_{j, rest} x^{a+b} g_ij", "w_max x_(j, rest) x^(a+b) g_ij"),
        ("summary of lambdas", "summary of lambdas"),
    ],
)
def test_plain_text_becomes_mathematics_without_another_meaning(written, shown):
    assert as_unicode(written) == shown


@pytest.mark.parametrize(
    ("latex", "shown"),
    [
        (r"\min_m \sum_i s_i^{2} H^{-1}", "minₘ ∑ᵢ sᵢ² H⁻¹"),
        (r"$\frac{a + b}{\sqrt{c}}$", "(a + b)/(√(c))"),
        (r"\left\| X_j \right\|_2", "‖ Xⱼ ‖₂"),
        (r"H + \rho \operatorname{diag}(H)", "H + ρ diag(H)"),
        (r"\ln r - \overline{\ln r}", "ln r - (ln r)\u0305"),
        (r"\arg\min_S \unknown{x} 5% more", "argmin_S unknownx 5% more"),
    ],
)
def test_latex_becomes_unicode_and_loses_no_operand(latex, shown):
    assert as_unicode(latex) == shown


@pytest.mark.parametrize(
    "hostile",
    [
        r"\input{/etc/passwd}", r"\href{javascript:alert(1)}{x}", "<script>\\alert</script>", r"\frac" * 300, "{" * 900,
        r"\sqrt" * 200, "\\" * 900, r"\newcommand{\a}{\a\a}\a", r"\begin{x" * 90, "$" * 900, "_" * 900, "^{" * 400,
        r"\u202e\x1b[31m", "[red]x[/red]\\", r"\def\x{\x}\x", "\\left" * 150, r"\verb|", r"\text{" * 15,
    ],
    ids=range(18),
)  # fmt: skip
def test_hostile_formulas_are_a_bounded_line_of_text(hostile):
    shown = formula_of({"formula": hostile})
    assert len(shown) <= LONGEST
    assert shown.isprintable()
    assert "root:" not in shown
