"""`autoprune config KEY` explains a setting, and the table in the documentation is that of the code."""

import json
from pathlib import Path

import pytest

import autoprune
from autoprune.config import Config, load_config, setting_keys
from autoprune.config_explained import described, explained, fields, settings_table
from autoprune.config_sections import Settings
from autoprune.errors import UsageError

PAGE = Path(autoprune.__file__).parent.parent / "docs" / "reference" / "settings.md"


def test_the_table_in_the_documentation_is_generated():
    text = PAGE.read_text(encoding="utf-8")
    assert text[text.index("| setting |") :] == settings_table(), "autoprune config --markdown writes it"


def test_every_setting_has_a_description():
    def without(kind, path=""):
        for name, field in kind.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
                yield from without(field.annotation, f"{path}{name}.")
            elif not field.description:
                yield f"{path}{name}"

    assert list(without(Config)) == []


def test_every_setting_is_in_the_table_once():
    rows = [line.split("`")[1] for line in settings_table().splitlines()[2:]]
    assert rows == list(fields())
    assert set(setting_keys()) <= {*rows}


@pytest.mark.parametrize(
    ("key", "lines"),
    [
        ("search.league", ["  value:   update", "  default: mask", "  type:    mask, update"]),
        (
            "sparsity",
            ["  value:   0.7", "  default: 0.6", "  type:    a number above 0 and below 1", "  option:  --sparsity"],
        ),
        ("advanced.revisions", ["  type:    an integer at least 0 and at most 2"]),
        ("data.seqlen", ["  type:    an integer at least 8"]),
        (
            "llm.roles",
            ["  value:   {critic: {model: judge, base_url: null, temperature: null, max_reply_tokens: null}}"],
        ),
        ("confirmation.sparsities", ["  type:    a list of (a number above 0 and below 1)"]),
        ("database", ["  type:    a PostgreSQL URL or null"]),
        ("agents.operators", ["  type:    a list of words or null"]),
    ],
)
def test_a_setting_is_explained(key, lines):
    config = load_config(None, ["search.league=update", "sparsity=0.7", "llm.roles.critic.model=judge"])
    text = explained(config, key, {"sparsity": "--sparsity"})
    assert text.splitlines()[0] == key
    assert str(fields()[key].description).split()[0] in text
    assert set(lines) <= set(text.splitlines())


@pytest.mark.parametrize("key", list(fields()))
def test_every_setting_has_a_value_a_default_and_a_type(key):
    facts = described(Config(), key)
    assert facts["value"] == facts["default"]
    assert facts["type"]
    json.dumps(facts)


def test_a_group_is_explained_by_its_settings():
    text = explained(Config(), "sandbox", {})
    assert "seconds: 120.0" in text
    assert "# sandbox: Limits on one candidate." in text


def test_an_unknown_key_asks_what_was_meant():
    with pytest.raises(UsageError, match=r"unknown setting 'serch\.league'.*did you mean search\.league\?"):
        explained(Config(), "serch.league", {})
