"""The settings of a search that replays a recording: the recorded ones, unless the user gives others."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoprune.config import Config, flat_settings, load_config
from autoprune.errors import UsageError
from autoprune.log import quiet
from autoprune.models.gguf_files import KNOWN
from autoprune.report.text import one_line

if TYPE_CHECKING:
    from autoprune.llm.provider import Choice

logger = logging.getLogger(__name__)
SHOWN = 1000
"""Characters of the line about settings."""


def as_recorded(config: Config, path: Path | None, words: list[str]) -> Config:
    """The recording's settings, overridden by the user's (a file and words, loaded as `config`).

    Without a recording they are unchanged. Recorded values that differ from the defaults are logged. Raises UsageError
    for a recording that cannot be used, or whose target is not built in if the user names none.
    """
    from autoprune.llm.recorded_settings import defaults
    from autoprune.llm.recording import open_recording, replays

    if not replays(config.llm):
        return config
    recording = open_recording(config.llm)
    defaults_of_run: dict[str, Any] = {}
    if "model" not in config.model_fields_set:
        target = recording.header.target
        if target not in KNOWN:
            raise UsageError(
                f"the recording {recording.path} used the target {one_line(target)}, which a recording cannot "
                "load; choose a target with --model"
            )
        defaults_of_run["model"] = target
    try:
        defaults_of_run |= defaults(recording.header.settings)
        with quiet():  # `words` were read before
            recorded = load_config(path, words, defaults_of_run)
    except UsageError as error:
        raise UsageError(f"the settings in the recording {recording.path} cannot be used: {error}") from None
    before, after = flat_settings(config), flat_settings(recorded)
    taken = [
        f"{key}={value}"
        for key, value in defaults_of_run.items()
        if after[key] == value and (key in ("model", "sparsity") or before[key] != value)
    ]
    if taken:
        logger.info(f"settings from the recording: {one_line(', '.join(taken), SHOWN)}")
    return recorded


def chosen(config: Config, choice: "Choice") -> Config:
    """The settings to store, with the chosen provider and the absolute path of the recording, so that the run can be
    resumed from any folder."""
    update: dict[str, object] = {"provider": choice.provider}
    if choice.recording is not None and config.llm.recording is not None:
        update["recording"] = str(choice.recording.path.resolve())
    return config.model_copy(update={"llm": config.llm.model_copy(update=update)})
