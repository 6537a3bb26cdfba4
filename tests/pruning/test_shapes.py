"""Uniform shapes for a share of the parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.errors import UsageError
from autoprune.pruning.shapes import Shape, Sizes, shape_for

SMOLLM2 = Sizes(Shape(30, 1536, 3), channel=1728, group=294912, block=3540096, allowed=frozenset({1, 2}))


@given(st.floats(0.001, 0.74))
def test_width_is_exact_within_half_a_channel_per_block(share):
    shape = shape_for(SMOLLM2, "width", share)
    assert shape.blocks == 30
    assert shape.groups == 3
    assert abs(SMOLLM2.removed(shape) - share) <= 0.5 * 1728 / 3540096 + 1e-9


@given(st.floats(0.02, 0.9))
def test_depth_is_exact_within_half_a_block(share):
    assert abs(SMOLLM2.removed(shape_for(SMOLLM2, "depth", share)) - share) <= 0.5 / 30 + 1e-9


@given(st.floats(0.01, 0.85))
def test_mix_removes_whole_groups_and_the_rest_in_channels(share):
    shape = shape_for(SMOLLM2, "mix", share)
    assert abs(SMOLLM2.removed(shape) - share) <= 0.5 * 1728 / 3540096 + 1e-9
    assert abs((3 - shape.groups) - 3 * share) <= 1.0


def test_heads_are_the_nearest_number_that_the_configuration_can_state():
    assert shape_for(SMOLLM2, "heads", 0.08) == Shape(30, 1536, 2)
    assert shape_for(SMOLLM2, "heads", 0.15) == Shape(30, 1536, 1)
    many = Sizes(Shape(2, 8, 8), channel=10, group=10, block=160, allowed=frozenset({1, 2, 4}))
    assert shape_for(many, "heads", 0.3).groups == 4
    assert shape_for(many, "heads", 0.4).groups == 2


def test_the_width_is_a_multiple_where_that_is_asked_for():
    shape = shape_for(SMOLLM2, "width", 0.2, 32)
    assert shape.channels == 1120
    assert SMOLLM2.removed(shape) == pytest.approx(0.2, abs=16 * 1728 / 3540096)


@pytest.mark.parametrize(
    ("structure", "share", "complaint"),
    [
        ("width", 0.9, "--structure width can remove at most 74.9% of this model's decoder blocks, not 90.0%"),
        ("heads", 0.4, "can remove at most 16.7%"),
        ("heads", 0.02, "cannot remove as little as 2.0% .*: one structure has 8.3%"),
        ("depth", 0.01, "cannot remove as little as 1.0% .*: one structure has 3.3%"),
        ("width", 1.2, "--params 1.2 is not a share between 0 and 1"),
        ("width", 0.0, "--params 0 is not a share between 0 and 1"),
    ],
)
def test_a_share_without_a_shape_is_refused(structure, share, complaint):
    with pytest.raises(UsageError, match=complaint):
        shape_for(SMOLLM2, structure, share)


def test_heads_that_cannot_be_removed_are_refused():
    gpt2 = Sizes(Shape(3, 128, 0), channel=65, group=0, block=12704)
    with pytest.raises(UsageError, match="heads of this model cannot be removed; use --structure width or depth"):
        shape_for(gpt2, "mix", 0.2)
    one = Sizes(Shape(3, 128, 1), channel=65, group=100, block=12704)
    with pytest.raises(UsageError, match="can remove nothing of this model: its configuration can state no smaller"):
        shape_for(one, "heads", 0.2)
