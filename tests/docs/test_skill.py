"""The skill file for coding agents has the front matter that they read, and names what `--json` prints."""

from dataclasses import fields

import yaml

from autoprune.api.result import SearchResult
from tests.docs.pages import ROOT

TEXT = (ROOT / "docs" / "skill.md").read_text(encoding="utf-8")


def test_the_front_matter_has_a_name_and_says_when_to_use_it():
    _, front, _ = TEXT.split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts.keys() == {"name", "description"}
    assert facts["name"] == "autoprune"
    assert 50 < len(facts["description"]) < 1024


def test_every_key_of_the_result_is_described():
    for field in fields(SearchResult):
        assert field.name == "run" or f"| `{field.name}` |" in TEXT
