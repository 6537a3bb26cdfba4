from collections import Counter
from random import Random

from autoprune.search.bandit import (
    PARENTS,
    SECTIONS,
    Trial,
    choose_from_cells,
    choose_operator,
    choose_parents,
    choose_sections,
)


def drawn(trials, measured=5, failed=5, times=400):
    return Counter(choose_operator(trials, measured, failed, Random(seed)) for seed in range(times))


def test_without_experience_every_operator_has_its_turn():
    assert set(drawn([])) == set(PARENTS)


def test_what_paid_off_is_drawn_more_often():
    trials = [Trial("cross", True)] * 8 + [Trial(name, False) for name in PARENTS if name != "cross"] * 8
    assert drawn(trials)["cross"] > 300


def test_operators_without_enough_parents_are_left_out():
    assert set(drawn([], measured=0, failed=0)) == {"initialise"}
    assert "cross" not in drawn([], measured=1, failed=0)
    assert "repair" not in drawn([], measured=5, failed=0)


def test_parents_are_distinct_and_better_ranks_come_first_more_often():
    first = Counter()
    for seed in range(400):
        parents = choose_parents(["a", "b", "c", "a"], 2, Random(seed))
        assert len(set(parents)) == 2
        first[parents[0]] += 1
    assert first["a"] > first["b"] > first["c"] > 0


def test_random_parents_ignore_the_rank():
    first = Counter(choose_parents("abc", 1, Random(seed), "random")[0] for seed in range(600))
    assert min(first.values()) > 150


def test_fewer_names_than_wanted_give_all():
    assert choose_parents(["a"], 2, Random(0)) == ["a"]


CELLS = {"a": "row", "b": "row", "c": "row", "d": "matrix", "e": "row", "f": "heavy"}
"""Names, best first, with their cells."""


def test_from_the_map_only_the_best_of_each_cell_is_drawn_and_every_cell_alike():
    first = Counter(choose_from_cells(CELLS, 1, Random(seed))[0] for seed in range(600))
    assert set(first) == {"a", "d", "f"}
    assert min(first.values()) > 150


def test_two_parents_from_the_map_are_of_different_cells_while_there_are_two():
    for seed in range(100):
        assert len({CELLS[name] for name in choose_from_cells(CELLS, 2, Random(seed))}) == 2
    one_cell = dict.fromkeys("abc", "row")
    for seed in range(100):
        first, second = choose_from_cells(one_cell, 2, Random(seed))
        assert first == "a" != second


def test_the_same_generator_draws_the_same_parents_from_the_map():
    assert choose_from_cells(CELLS, 2, Random(7)) == choose_from_cells(CELLS, 2, Random(7))
    assert choose_from_cells({}, 2, Random(7)) == []
    assert choose_from_cells(CELLS, 0, Random(7)) == []


def drawn_sections(trials, times=400):
    return Counter(section for seed in range(times) for section in choose_sections(trials, Random(seed)))


def test_without_experience_a_section_is_more_often_in_the_prompt_than_not():
    for section, times in drawn_sections([]).items():
        assert 200 < times < 390, section


def test_sections_that_went_with_gains_are_kept_and_those_that_did_not_are_dropped():
    trials = [Trial("cross", True, frozenset({"path"}))] * 12 + [Trial("cross", False, frozenset({"lessons"}))] * 12
    drawn = drawn_sections(trials)
    assert drawn["path"] > 380
    assert drawn["lessons"] < 20


def test_ends_without_a_choice_of_sections_teach_nothing_about_them():
    assert drawn_sections([Trial("cross", True)] * 50) == drawn_sections([])
    assert set(drawn_sections([])) == set(SECTIONS)
