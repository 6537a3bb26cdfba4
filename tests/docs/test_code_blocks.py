"""Every block of code in README.md and docs/ works: Python and commands run, settings load, JSON is JSON.

A page's blocks run in their order, in one folder and one Python namespace. A block with a title is also written to the
file of that name, for the blocks after it. Output that a real run printed is tagged `text`, and is not run.
"""

import json
import re
from pathlib import Path
from typing import Any, get_args, get_origin
from urllib.parse import urlsplit

import click
import pytest
import typer
from pydantic import BaseModel

from autoprune.cli import app
from autoprune.config import Config, load_config
from autoprune.errors import AutoPruneError
from tests.docs import shell
from tests.docs.pages import PAGES, ROOT, Block, blocks, inline_code, links, name_of
from tests.docs.programs import Programs
from tests.docs.small import MODELS, ONCE
from tests.postgres_server import ON_POSTGRES

LANGUAGES = ("python", "bash", "yaml", "json", "text")
GROUPS = [name for name, field in Config.model_fields.items() if isinstance(getattr(Config(), name), BaseModel)]
SETTING = re.compile(rf"((?:{'|'.join(GROUPS)})\.[a-z_.]+[a-z_])(?:=.*)?")
POLICY = "policy.yaml"
PEER = "from llmcompressor import"
"""In a block that is compiled and not run: it uses a library that is installed by its users, beside autoprune."""
MARKS = {"docs/database.md": ON_POSTGRES, "docs/executors.md": [pytest.mark.xdist_group("executors")]}
"""For pages that need what others need too: one worker has it for all."""

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@every_page
def test_every_block_says_what_it_is(page):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block.where}: tag it as one of {', '.join(LANGUAGES)}"


@pytest.mark.long
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=MARKS.get(name_of(page), ()), id=name_of(page)) for page in PAGES if blocks(page)]
)
def test_every_block_of_a_page_works(page, folder, programs, seen, tiny_model):
    place = folder(name_of(page))
    namespace: dict[str, object] = {"__name__": "docs"}
    for block in blocks(page):
        if block.title:
            (place / block.title).write_text(block.text, encoding="utf-8")
        if block.language == "python":
            execute(block, namespace, tiny_model)
        elif block.language == "bash":
            for command in block.commands:
                follow(block, command, programs, seen)
        elif block.language == "yaml":
            load(block, place)
        elif block.language == "json":
            json.loads(block.text)


def execute(block: Block, namespace: dict[str, object], tiny: Path) -> None:
    text = block.text
    for name in MODELS:
        text = text.replace(f'"{name}"', repr(str(tiny)))
    code = compile(text, block.where, "exec")
    if PEER not in text:
        exec(code, namespace)


def follow(block: Block, command: str, programs: Programs, seen: set[str]) -> None:
    """Check a command as it stands, then run it."""
    words = shell.words_of(command)
    try:
        shell.check(words)
    except (click.ClickException, AutoPruneError, AssertionError, SystemExit) as error:
        raise AssertionError(f"{block.where}: {command}: {error}") from error
    if shell.reason_not_to_run(command) or " ".join(words) in seen:
        return
    done = programs.run(command, words)
    told = f"{block.where}: {command}\n{done.stdout}\n{done.stderr}"
    lacking = [refusal for text, refusal in shell.REFUSED.items() if text in command]
    if lacking and done.returncode == 2:
        assert lacking[0] in done.stderr.splitlines()[-1], told
    else:
        assert done.returncode in ((0, 3) if shell.MAY_PAUSE in command else (0,)), told
    seen.update({" ".join(words)}.intersection(ONCE))


def load(block: Block, place: Path) -> None:
    """As the program reads it: a policy of approval, or the settings of a search."""
    file = place / (block.title or "settings.yaml")
    file.write_text(block.text, encoding="utf-8")
    if block.title == POLICY:
        load_config(None, ["approval=file", f"approval_policy={file}"])
    else:
        load_config(file)


def test_every_reason_not_to_run_a_command_is_needed_and_told():
    commands = [each for page in PAGES for block in blocks(page) if block.language == "bash" for each in block.commands]
    for text in shell.NOT_RUN:
        assert any(text in each for each in commands), f"no command has {text!r} in it: take it out of NOT_RUN"
        assert f"`{text}`" in (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")


def test_what_is_left_to_ci_is_run_there():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    for command in (text for text, reason in shell.NOT_RUN.items() if reason == shell.CI):
        assert command in lines


@every_page
def test_commands_in_the_text_exist_with_their_options(page):
    known = typer.main.get_command(app)
    for code in inline_code(page):
        words = code.split()
        if words[:1] != ["autoprune"] or len(words) == 1 or words[1].startswith("-"):
            continue
        command = known
        for word in words[1:]:
            if word not in getattr(command, "commands", {}):
                break
            command = command.commands[word]
        assert command is not known, f"{name_of(page)}: `{code}`: there is no such command"
        options = {each for parameter in command.params for each in parameter.opts} | {"--help"}
        named = {word.strip("[]").partition("=")[0] for word in words if word.strip("[]").startswith("--")}
        assert named <= options, f"{name_of(page)}: `{code}`"


@every_page
def test_settings_in_the_text_exist(page):
    for code in inline_code(page):
        for key in (found[1] for found in map(SETTING.fullmatch, code.split()) if found):
            group: Any = Config
            for name in key.split("."):
                if get_origin(group) is dict:
                    names, group = get_args(group)
                    known = get_args(names)
                else:
                    known = tuple(group.model_fields)
                    group = group.model_fields[name].annotation if name in known else None
                assert name in known, f"{name_of(page)}: `{code}`: there is no setting {key}"


@every_page
def test_links_are_well_formed_and_files_are_there(page):
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", link
            assert "." in parts.netloc, link
            assert " " not in link
        elif parts.path:
            assert (page.parent / parts.path).exists(), f"{name_of(page)}: {link}"
