"""What a worker answers is believed only as far as its types go; numbers of any size end as the candidate's failure."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.candidates.contract import GROUPS, UNITS
from autoprune.errors import CandidateFailure
from autoprune.sandbox.answers import Allocated, Answer, Edited, Failed, Loaded, Scored, read
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.protocol import MAX_MESSAGE, ProtocolError
from tests.sandbox.hostile import PRELUDE

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just(10**400),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)
GOOD: dict[type[Answer], dict[str, Any]] = {
    Loaded: {"id": 1, "group": "row", "unit": None, "allocate": False},
    Scored: {"id": 1, "shape": [2, 3], "own": 0.1, "own_processor": 0, "processor": 1.5},
    Edited: {"id": 1, "own": 0.1, "own_processor": 0, "processor": 1.5},
    Allocated: {"id": 1, "densities": [0.5, 1, -3.0]},
}
FAILURE = {"stage": "score", "reason": "exception", "message": "words"}


@pytest.mark.parametrize("kind", GOOD)
def test_answers_and_failures_are_read(kind: type[Answer]) -> None:
    assert isinstance(read(GOOD[kind], kind), kind)
    failed = read({"id": 1, "failure": FAILURE}, kind)
    assert isinstance(failed, Failed)
    assert failed.failure.model_dump() == FAILURE


def test_the_seconds_of_an_edit_are_those_of_its_parts_however_false_they_are() -> None:
    assert read(GOOD[Scored], Scored).by_part == {"score": 0.1}
    assert read({**GOOD[Edited], "updating": 0.1}, Edited).by_part == {"refine": 0.0, "update": 0.1}
    assert read({**GOOD[Edited], "updating": 7.0}, Edited).by_part == {"refine": 0.0, "update": 7.0}


def test_every_group_and_unit_of_the_contract_is_known() -> None:
    for group in GROUPS:
        for unit in (None, *UNITS):
            assert read({**GOOD[Loaded], "group": group, "unit": unit}, Loaded)


@given(st.sampled_from(list(GOOD)), st.data())
def test_anything_in_the_place_of_a_fact_is_an_answer_or_a_protocol_error(kind: type[Answer], data: Any) -> None:
    key = data.draw(st.sampled_from([*GOOD[kind], "failure", "other", "\ud800"]))
    answer: Answer | str
    try:
        answer = read({**GOOD[kind], key: data.draw(ANYTHING)}, kind)
    except ProtocolError as error:
        answer = str(error)
    assert isinstance(answer, kind | Failed) or (answer.isprintable() and len(answer) < 300)


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("missing", ["id", "shape", "densities", "group", "unit", "own"])
def test_a_missing_fact_is_a_protocol_error(kind: type[Answer], missing: str) -> None:
    if missing in GOOD[kind]:
        with pytest.raises(ProtocolError, match=missing):
            read({key: value for key, value in GOOD[kind].items() if key != missing}, kind)


@pytest.mark.parametrize(
    ("densities", "reason"),
    [
        ("b'[1' + b'0' * 400 + b', 1, 1]'", "protocol"),
        ("b'[1e999, 1, 1]'", "protocol"),
        ("b'[-1e999, 1, 1]'", "protocol"),
        ("b'[NaN, 1, 1]'", "protocol"),
        ("b'[' + b'9' * 5000 + b', 1, 1]'", "protocol"),
        ("b'[\"1\", 1, 1]'", "protocol"),
        ("b'[true, 1, 1]'", "protocol"),
        ("b'[null, 1, 1]'", "protocol"),
        ("b'[[1], 1, 1]'", "protocol"),
        ("b'[' * 50_000 + b']' * 50_000", "protocol"),
        ("b'{\"0\": 1}'", "protocol"),
        ("b'null'", "protocol"),
        ("b'[1]'", "shape"),
        ("b'[' + b'1,' * 9999 + b'1]'", "shape"),
        ("b'[' + b'1,' * 600_000 + b'1]'", "protocol"),
    ],
)
def test_forged_densities_are_the_candidates_failure(local: Sandbox, bundle: Path, densities: str, reason: str) -> None:
    source = PRELUDE + (
        "    return w\n\ndef allocate(units, sparsity):\n"
        f"    forge(lambda answer: b'{{\"id\": %d, \"densities\": ' % answer['id'] + {densities} + b'}}')\n"
        "    return [1.0 for unit in units]\n"
    )
    units = [{"name": str(place), "size": 4} for place in range(3)]
    with local.open(source, bundle) as session, pytest.raises(CandidateFailure) as caught:
        session.allocate(units, 0.5)
    assert (caught.value.stage, caught.value.reason) == ("allocate", reason)


def test_a_question_may_be_larger_than_an_answer(local: Sandbox, bundle: Path) -> None:
    units = [{"name": f"experts.{place}", "size": 4, "depth": place / 9000} for place in range(20_000)]
    source = "def score(layer): return layer.weight\ndef allocate(units, sparsity): return [u.depth for u in units]\n"
    assert len(str(units)) > MAX_MESSAGE
    with local.open(source, bundle) as session:
        assert session.allocate(units, 0.5) == [unit["depth"] for unit in units]
        assert session.repeats() is True
