"""Names of slots, questions and nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.runs.names import (
    SlotId,
    asks_for_thought,
    generation_id,
    generation_of,
    lesson_id,
    node_id,
    owner_of,
)

NUMBERS = st.integers(0, 10**6)


@given(NUMBERS, NUMBERS)
def test_a_slot_is_read_as_it_was_written_and_its_parts_lead_back_to_it(generation, place):
    slot = str(SlotId(generation, place))
    assert SlotId.parse(slot) == (generation, place)
    assert owner_of(node_id(slot, "idea")) == slot
    assert generation_of(slot) == generation_of(lesson_id(generation, 2)) == generation
    assert owner_of(f"{generation_id(generation)}.reflect") == generation_id(generation)


@pytest.mark.parametrize("text", ["", "g1", "g1.c2.idea", "G1.c2", "baseline:wanda", "g-1.c1", "g1.c1\n"])
def test_what_names_no_slot_is_refused_with_its_text(text):
    with pytest.raises(ValueError, match="is no slot") as error:
        SlotId.parse(text)
    assert repr(text) in str(error.value)


def test_what_belongs_to_no_generation_has_none():
    assert generation_of("obs.density") is None
    assert owner_of("baseline:wanda") is None


@pytest.mark.parametrize("revision", [0, 2])
def test_only_the_first_question_to_a_small_model_contains_the_chain_of_thought(revision):
    assert asks_for_thought(f"g12.c3.propose.{revision}.thought")
    for other in (f"g12.c3.propose.{revision}.code", f"g12.c3.propose.{revision}.draft", "g12.c3.review.0", "g12"):
        assert not asks_for_thought(other)
