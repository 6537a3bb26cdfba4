"""What coding agents read: the skill file with its front matter and what `--json` prints, and `llms.txt`."""

import re
from dataclasses import fields

import yaml

from autoprune.api.result import SearchResult
from autoprune.cli.group import COMMANDS
from tests.docs.pages import ROOT, links

PAGE = ROOT / "docs" / "skill.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_front_matter_has_a_name_and_says_when_to_use_it():
    _, front, _ = TEXT.split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts.keys() == {"name", "description"}
    assert facts["name"] == "autoprune"
    assert 50 < len(facts["description"]) < 1024


def test_every_key_of_the_result_is_described():
    for field in fields(SearchResult):
        assert field.name == "run" or f"| `{field.name}` |" in TEXT


def test_a_copy_of_the_skill_file_has_no_broken_links():
    assert [target for target in links(PAGE) if not target.startswith("https://")] == []


def test_llms_txt_names_every_command():
    text = (ROOT / "docs" / "llms.txt").read_text(encoding="utf-8")
    listed = re.search(r"^Commands: (.*?) All with a result", text, re.MULTILINE)[1]
    assert sorted(name.removeprefix("autoprune ") for name in re.findall(r"`([^`]+)`", listed)) == sorted(COMMANDS)
