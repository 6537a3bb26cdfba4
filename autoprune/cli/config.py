"""`autoprune config`."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from autoprune.cli import complete
from autoprune.cli.common import print_json, say
from autoprune.cli.parse import split
from autoprune.config import load_config
from autoprune.config_explained import described, explained, settings_table
from autoprune.config_text import commented_yaml
from autoprune.keywords import SEARCH, labels
from autoprune.log import log_to
from autoprune.secrets import masked

KEY = re.compile(r"[a-z_]+(\.[a-z_]+)*(?<!\.yaml)(?<!\.yml)")


def config(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG.yaml] [KEY=VALUE ...] [KEY ...]",
            help="A file of settings, then single settings; keys or groups to explain.",
            autocompletion=complete.setting_keys,
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a table of all settings as Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the settings as JSON.")] = False,
) -> None:
    """Print all settings with their descriptions, as a YAML file that `autoprune search` takes. Without arguments
    these are the defaults. A key without a value is explained: `autoprune config search.league`."""
    keys = [word for word in words or [] if KEY.fullmatch(word) and not Path(word).exists()]
    path, overrides = split([word for word in words or [] if word not in keys])
    with log_to(say):
        settings = load_config(path, overrides)
    if markdown:
        sys.stdout.write(settings_table())
    elif keys and as_json:
        print_json({key: described(settings, key) for key in keys})
    elif keys:
        options = labels(SEARCH, SEARCH, option=True)
        sys.stdout.write(masked("\n".join(explained(settings, key, options) for key in keys)))
    elif as_json:
        print_json(settings.model_dump(mode="json"))
    else:
        sys.stdout.write(masked(commented_yaml(settings)))
