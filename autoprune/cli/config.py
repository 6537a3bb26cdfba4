"""`autoprune config`."""

import sys
from typing import Annotated

import typer

from autoprune.cli.common import print_json, say
from autoprune.cli.parse import split
from autoprune.config import load_config
from autoprune.config_text import commented_yaml
from autoprune.log import log_to
from autoprune.secrets import masked


def config(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CONFIG.yaml] [KEY=VALUE ...]", help="A file of settings, then single settings."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the settings as JSON.")] = False,
) -> None:
    """Print all settings with their descriptions, as a YAML file that `autoprune search` takes. Without arguments
    these are the defaults."""
    path, overrides = split(words or [])
    with log_to(say):
        settings = load_config(path, overrides)
    if as_json:
        print_json(settings.model_dump(mode="json"))
    else:
        sys.stdout.write(masked(commented_yaml(settings)))
