import re
from importlib.resources import files
from random import Random
from string import Template
from typing import get_args

import pytest

from autoprune import kit
from autoprune.agents import llm_proposer
from autoprune.agents.briefing import limits
from autoprune.agents.prompts.load import kit_section, operator_task, render, strong_task
from autoprune.agents.proposer import Request
from autoprune.candidates.contract import (
    ALLOWED_IMPORTS,
    EXPENSIVE_FIELDS,
    KIT,
    LAYER_FIELDS,
    UNIT_FIELDS,
    UNITS,
)
from autoprune.config_sections import SandboxSettings
from autoprune.config_values import NOT_DRAWN, WITHOUT_MODEL, Operator
from autoprune.llm.code_blocks import fenced_code

ASKED_FOR = [operator for operator in get_args(Operator) if operator not in WITHOUT_MODEL]
ROOM = files("autoprune.agents.prompts")
PROMPTS = sorted(
    f"{folder}{path.name.removesuffix('.md')}"
    for folder in ("", "small/", "strong/")
    for path in ROOM.joinpath(folder).iterdir()
    if path.name.endswith(".md")
)
OF_THE_CONTRACT = ("fields", "expensive_fields", "unit_fields", "imports", "groups", "default_group", "units")


@pytest.mark.parametrize("name", PROMPTS)
def test_prompt_renders_with_its_placeholders_and_nothing_left_over(name: str) -> None:
    text = ROOM.joinpath(f"{name}.md").read_text()
    names = set(Template(text).get_identifiers()) - set(OF_THE_CONTRACT)
    values = {field: f"<<{field} $x>>" for field in names}
    rendered = render(name, **values)
    assert all(value in rendered for value in values.values())
    assert "$" not in re.sub(r"<<.*?>>", "", rendered)


def test_missing_value_is_named() -> None:
    with pytest.raises(KeyError, match="results"):
        render("small/analyst")


def test_system_prompt_states_the_contract() -> None:
    text = render("small/proposer_system")
    for field in LAYER_FIELDS:
        assert f"`layer.{field.name}`: {field.shape}" in text
    assert not any(re.search(rf"layer\.{field.name}\b", text) for field in EXPENSIVE_FIELDS)


def test_system_prompt_shows_a_candidate_that_keeps_the_contract() -> None:
    torch = pytest.importorskip("torch")
    from autoprune.candidates.screen import screen

    source = fenced_code(render("small/proposer_system"))
    assert source is not None
    assert screen(source) == []
    namespace: dict[str, object] = {}
    exec(source, namespace)

    class Layer:
        weight = torch.randn(6, 4)
        input_var = torch.rand(4)

    scores = namespace["score"](Layer())  # type: ignore[operator]
    assert scores.shape == (6, 4)
    assert scores.isfinite().all()


@pytest.mark.parametrize("operator", sorted(set(ASKED_FOR) - {"allocation", *NOT_DRAWN}))
def test_operator_asks_for_one_change_around_a_drawn_ingredient(operator: str) -> None:
    tasks = {operator_task(operator, Random(seed)) for seed in range(40)}
    assert len(tasks) > 5
    assert all("$" not in task for task in tasks)
    assert operator_task(operator, Random(7)) == operator_task(operator, Random(7))


def test_the_operator_for_allocations_says_what_is_known_of_a_unit() -> None:
    task = operator_task("allocation", Random(0))
    assert "`allocate(units, sparsity)`" in task
    assert all(field.name in task for field in UNIT_FIELDS)


def test_the_strong_contract_states_everything_that_a_candidate_may_use() -> None:
    text = render("strong/contract", target="", judged="", allocation="", tuning="", kit=kit_section(), edits="")
    for field in (*LAYER_FIELDS, *EXPENSIVE_FIELDS):
        assert f"`layer.{field.name}`: {field.shape}" in text
    assert all(f"`unit.{field.name}`" in text for field in UNIT_FIELDS)
    for word in ("GROUP", "UNIT", "allocate(units, sparsity)", *ALLOWED_IMPORTS, KIT, *(f'"{unit}"' for unit in UNITS)):
        assert word in text


def test_the_kit_is_listed_with_signatures_and_summaries() -> None:
    text = kit_section()
    assert "- `kit.swaps(weight, mask, hessian, rounds=16, pattern='none')`: A mask with an error p H p^T" in text
    assert all(f"- `kit.{name}(" in text for name in kit.__all__)
    assert len(text.splitlines()) == 1 + len(kit.__all__)
    assert "arXiv" not in text


@pytest.mark.parametrize("operator", ASKED_FOR)
def test_a_strong_model_is_asked_without_an_ingredient(operator: str) -> None:
    assert "$" not in strong_task(operator)


@pytest.mark.parametrize("operator", ["explore", "allocation"])
def test_a_small_model_is_asked_for_as_many_lines_as_the_constant_says(
    operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm_proposer, "MOST_LINES", 17)
    plan = {"slot": "g1.c1", "generation": 1, "operator": operator, "engine": "llm", "parents": []}
    frame = llm_proposer.conversation(Request(plan, "0", 0, [], [], [], frozenset(), [], None))[-1]["content"]
    assert "at most 17 lines" in frame


def test_limits_follow_the_settings() -> None:
    text = limits(SandboxSettings(seconds=300.0, memory_mb=2048), "docker")
    assert "Limits: 300 seconds of wall clock" in text
    assert "2,048 MiB" in text
    assert "plan for 150 of these seconds" in text


@pytest.mark.parametrize("name", PROMPTS)
def test_no_prompt_has_a_number_of_its_own_that_is_a_limit(name: str) -> None:
    assert not re.search(r"\b(?:at most|up to|within) \d", ROOM.joinpath(f"{name}.md").read_text())
