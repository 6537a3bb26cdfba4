"""What `auto` means depends on the chat model: which critic reviews, and who proposes first."""

import pytest

from autoprune.config import load_config
from autoprune.llm.provider import Choice, choose_llm
from autoprune.search.resolving import resolved

LOOPBACK = "llm.base_url=http://127.0.0.1:1/v1"
AWAY = "llm.base_url=http://example.org/v1"


def choice_of(*words):
    config = load_config(None, ["llm.provider=openai", *words])
    return config, choose_llm(config.llm, config.model)


@pytest.mark.parametrize(
    ("words", "critic"),
    [
        ((AWAY,), "auto"),
        ((AWAY, "llm.profile=small"), "rules"),
        ((AWAY, "llm.profile=small", "agents.critic=llm"), "llm"),
        ((AWAY, "llm.profile=small", "llm.roles.critic.model=judge"), "auto"),
        ((AWAY, "agents.critic=rules"), "rules"),
    ],
)
def test_a_small_model_leaves_reviews_to_the_rules_unless_told_otherwise(words, critic):
    assert resolved(*choice_of(*words)).agents.critic == critic


def test_the_built_in_model_leaves_them_to_the_rules_and_a_target_that_prunes_itself_does_not():
    config = load_config(None, [])
    by_provider = {
        provider: resolved(config, Choice(provider=provider, why="", profile="small")) for provider in ("local", "self")
    }
    assert by_provider["local"].agents.critic == "rules"
    assert by_provider["self"].agents.critic == "auto"


@pytest.mark.parametrize(("address", "first"), [(LOOPBACK, True), (AWAY, False)])
def test_the_engine_proposes_first_where_replies_may_take_minutes(address, first):
    assert resolved(*choice_of(address)).advanced.symbolic_first is first


def test_what_is_set_is_kept():
    assert resolved(*choice_of(LOOPBACK, "advanced.symbolic_first=false")).advanced.symbolic_first is False
