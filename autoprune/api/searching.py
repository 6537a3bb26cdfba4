"""`autoprune.search`: a search for a pruning algorithm."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoprune.api.background import BackgroundSearch
from autoprune.api.replay import as_recorded
from autoprune.api.run import Run
from autoprune.api.starting import check_second_model, check_share
from autoprune.config import Config, flat, load_config
from autoprune.config_sections import Settings
from autoprune.errors import UsageError
from autoprune.keywords import SEARCH, assignments, did_you_mean, labels
from autoprune.runs.directory import RunDirectory

GROUPS = tuple(name for name, value in Config() if isinstance(value, Settings))
SINGLE = tuple(name for name in Config.model_fields if name not in GROUPS)


def search(
    model: str | Path | None = None,
    *,
    sparsity: float | None = None,
    llm: str | None = None,
    config: str | Path | None = None,
    run_dir: str | Path | None = None,
    **settings: Any,
) -> Run:
    """Start a search for a pruning algorithm in the background, and return its run.

    The search works in a thread of this process, one at a time; its candidates run in the sandbox. Iterate the run for
    its events, or wait for `run.result()`. A search that the end of the process cuts off is continued by
    `open_run(...).resume()` or `autoprune resume`.

    Args:
        model: the target: a directory, a hub id, a GGUF file, or a built-in name; default smollm2-135m.
        sparsity: share of the weights to prune; default 0.6.
        llm: which chat model answers: auto, openai, local, self, symbolic (none) or replay.
        config: a YAML file of settings, beneath all that is given here.
        run_dir: where the run goes; default runs/<time>-<model>.
        settings: the other options of `autoprune search` (`max_candidates=12`), single settings (`dtype="float32"`),
            groups of settings (`data={"seqlen": 512}`), or dotted keys (`**{"data.seqlen": 512}`).

    Raises:
        UsageError: for a setting or a part that cannot be used, and while another search of this process goes on.
        AutoPruneError: if the search cannot start. It then leaves no run behind.
    """
    path = None if config is None else Path(config)
    given = {"model": _path(model), "sparsity": sparsity, "llm": llm}
    keywords = {name: value for name, value in given.items() if value is not None} | settings
    words = assignments(_by_key(keywords))
    loaded = as_recorded(load_config(path, words, typed=labels(SEARCH, keywords, option=False)), path, words)
    check_second_model(loaded)
    check_share(loaded, sparsity, settings.get("params"))
    run = RunDirectory.create(None if run_dir is None else Path(run_dir), loaded)
    return Run(run, BackgroundSearch.begin(run, loaded, fresh=True))


def _path(model: Any) -> str | None:
    if model is None or isinstance(model, str | Path):
        return None if model is None else str(model)
    raise UsageError(
        f"the target of a search is a path or a name, so that it can be resumed, not a {type(model).__name__}: "
        "save it first by model.save_pretrained and tokenizer.save_pretrained"
    )


def _by_key(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords as settings by dotted keys. Raises UsageError for an unknown keyword."""
    values: dict[str, Any] = {}
    for name, value in keywords.items():
        if name in GROUPS and isinstance(value, Mapping):
            values |= flat({name: dict(value)})
        elif name in SEARCH:
            values[SEARCH[name]] = str(value) if isinstance(value, Path) else value
        elif name in SINGLE or "." in name:
            values[name] = value
        elif name in GROUPS:
            raise UsageError(f"{name} is a group of settings: give a mapping, {name}={{...}}, not {value!r}")
        else:
            raise UsageError(f"search has no keyword {name!r}{did_you_mean(name, (*SEARCH, *SINGLE, *GROUPS))}")
    return values
