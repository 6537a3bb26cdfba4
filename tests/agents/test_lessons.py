"""The lessons that prompts show."""

import pytest

from autoprune.agents.lessons import lessons


@pytest.mark.parametrize(
    ("sentences", "text"),
    [
        ([], "(nothing yet)"),
        ([("g1.lesson", "A helps."), ("g1.lesson.2", "Try B.")], "- [g1.lesson] A helps. Try B."),
        (
            [("g1.lesson", "A helps."), ("g2.lesson", "A helps."), ("g2.lesson.2", "B hurts.")],
            "- [g1.lesson] A helps.\n- [g2.lesson] B hurts.",
        ),
        ([("g1.c2.rejected.0a1b2c3d", "ann rejected it: no")], "- [g1.c2.rejected.0a1b2c3d] ann rejected it: no"),
    ],
)
def test_a_generations_lesson_is_one_line_and_no_sentence_is_shown_twice(sentences, text):
    assert lessons(sentences) == text


@pytest.mark.parametrize("repeated", ["a  helps by 3.2 %", "A helps by 3.2 % !", "A helps by 3.2 % [g2.c1]."])
def test_a_sentence_that_differs_in_case_marks_or_references_is_shown_once(repeated):
    first = "A helps by 3.2 %, [g1.c1]."
    assert lessons([("g1.lesson", first), ("g2.lesson", repeated)]) == f"- [g1.lesson] {first}"


@pytest.mark.parametrize("other", ["A helps by 3.5 %", "g1.c2's A helps by 3.2 %", "A hurts by 3.2 %"])
def test_another_number_candidate_or_word_is_another_lesson(other):
    assert lessons([("g1.lesson", "A helps by 3.2 %."), ("g2.lesson", other)]).count("\n") == 1


def test_the_oldest_lesson_of_a_long_run_is_shown_too():
    shown = lessons([(f"g{generation}.lesson", f"lesson {generation}") for generation in range(1, 61)])
    assert shown.startswith("- [g1.lesson] lesson 1\n")
    assert len(shown.splitlines()) == 60
