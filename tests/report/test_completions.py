from autoprune.report.completions import completion_lines, lines_of_rows


def test_models_stand_one_below_the_other_and_a_completion_is_one_line():
    lines = list(completion_lines("def f(x):\n", [("dense", " return\tx"), ("wanda sdsa", "\r\n")]))
    assert lines == [r"prompt  def f(x):\n", r"  dense        return\tx", r"  wanda sdsa  \r\n"]


def test_prompts_that_all_models_have_completed_are_shown():
    rows = [("dense", ["a", "b"]), ("wanda", ["c", "d"])]
    first, second = ["prompt  P", "  dense  a", "  wanda  c"], ["prompt  Q", "  dense  b", "  wanda  d"]
    assert list(lines_of_rows(("P", "Q", "R"), rows)) == first + second
    assert list(lines_of_rows(("P",), [])) == []
