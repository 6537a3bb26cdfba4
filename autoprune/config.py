"""One tree of settings: defaults, then a YAML file, then `key=value` arguments. An unknown key is an error."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from autoprune.config_agents import AgentSettings, ApprovalPolicy, LLMSettings
from autoprune.config_errors import problem_of, yaml_problem
from autoprune.config_migration import log_move, migrated, migrated_setting
from autoprune.config_sections import (
    HUGE,
    AdvancedSettings,
    AllocationSettings,
    BaselineSettings,
    ConfirmationSettings,
    DataSettings,
    ExecutorSettings,
    SandboxSettings,
    SearchSettings,
    Settings,
    Share,
    TrackingSettings,
)
from autoprune.config_values import Approval, Dtype, MaybeDatabase, Offload
from autoprune.errors import UsageError
from autoprune.text_files import read_text_file
from autoprune.yaml_text import LARGEST, read_yaml

STRUCTURED_SHARE = 0.2
"""Of the decoder blocks' parameters: what a search with `search.structure` removes by default."""


def _policy(value: Any) -> Any:
    """A policy, or one that is read from a YAML file."""
    return _read_yaml(Path(value), "the approval policy")[0] if isinstance(value, str) else value


class Config(Settings):
    """All settings of a run."""

    model: str = Field("smollm2-135m", description="a directory, a Hub id, a GGUF file, or a built-in name")
    sparsity: Share = Field(
        0.6,
        description="share of zeros among the prunable weights; with search.structure the share of the decoder blocks' "
        "parameters that is removed, by default 0.2",
    )
    seed: Annotated[int, Field(ge=0, le=HUGE)] = Field(0, description="random seed")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N, or balanced (over all GPUs)")
    dtype: Dtype = Field(
        "auto", description="dtype of the target's weights; auto: the faster of float32 and bfloat16 on the device"
    )
    offload: Offload = Field(
        "auto",
        description="location of the target's decoder blocks if not on the device; each is loaded when needed",
    )
    approval: Approval = Field("auto", description="approval of candidates: automatic, by a person, or by a policy")
    approval_policy: Annotated[ApprovalPolicy | None, BeforeValidator(_policy)] = Field(
        None, description="for approval=file: a YAML file of rules"
    )
    database: MaybeDatabase = Field(
        None, description="PostgreSQL URL for archive and checkpoints; default: SQLite files in the run directory"
    )
    data: DataSettings = DataSettings()
    allocation: AllocationSettings = AllocationSettings()
    sandbox: SandboxSettings = SandboxSettings()
    executor: ExecutorSettings = ExecutorSettings()
    llm: LLMSettings = LLMSettings()
    agents: AgentSettings = AgentSettings()
    search: SearchSettings = SearchSettings()
    baselines: BaselineSettings = BaselineSettings()
    confirmation: ConfirmationSettings = ConfirmationSettings()
    tracking: TrackingSettings = TrackingSettings()
    advanced: AdvancedSettings = AdvancedSettings()

    @model_validator(mode="before")
    @classmethod
    def _default_share(cls, tree: Any) -> Any:
        """Removing structures has a default share of its own."""
        search = tree.get("search") if isinstance(tree, dict) else None
        structured = isinstance(search, dict) and search.get("structure") is not None
        return {"sparsity": STRUCTURED_SHARE, **tree} if structured else tree


def load_config(
    path: Path | None = None,
    overrides: list[str] | None = None,
    beneath: Mapping[str, Any] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Config:
    """Defaults, then the YAML file, then `a.b=value` words (values are read as YAML).

    `beneath`: values by dotted keys that replace defaults. `typed`: key -> the option or keyword that an error names in
    its place. Raises UsageError with the key and its place in the file, or its word.
    """
    tree: dict[str, Any] = {}
    for key, value in (beneath or {}).items():
        _assign(tree, key.split("."), value, key)
    settings, text = ({}, "") if path is None else _read_settings(path)
    return _with_words(_over(tree, settings), overrides or [], path, text, typed or {})


def change_config(config: Config, overrides: list[str], typed: Mapping[str, str] | None = None) -> Config:
    """These settings with changes by `a.b=value` words. Raises UsageError like `load_config`."""
    return _with_words(config.model_dump(mode="json"), overrides, None, "", typed or {})


def _with_words(
    tree: dict[str, Any], words: list[str], path: Path | None, text: str, typed: Mapping[str, str]
) -> Config:
    set_by_words: set[str] = set()
    for word in words:
        key, equals, given = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{word!r} is not of the form key=value (for example sparsity=0.6)")
        try:
            value = read_yaml(given)
        except yaml.YAMLError:
            value = given
        except ValueError as error:
            raise UsageError(f"the value of {key} cannot be used: it {error}") from None
        for present, part in migrated_setting(key, value):
            _assign(tree, present.split("."), part, word)
            set_by_words.add(present)
        log_move(key)
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise UsageError(problem_of(error, setting_keys(), path, text, set_by_words, typed)) from None
    if config.approval == "file" and config.approval_policy is None:
        raise UsageError("approval=file needs a policy: approval_policy=FILE.yaml")
    if problem := structure_problem(config):
        raise UsageError(problem)
    return config


def structure_problem(config: Config) -> str | None:
    """What contradicts `search.structure`, or needs it; None if nothing does."""
    settings = config.search
    if settings.structure is None:
        return None if settings.compensate == "none" else "search.compensate needs search.structure (--structure)"
    if settings.league != "mask":
        return "search.league is for single weights; with search.structure use search.compensate"
    if settings.structure == "depth" and settings.compensate != "none":
        return "removed blocks cannot be compensated; search.structure=depth takes no search.compensate"
    if config.confirmation.patterns:
        return "whole structures are removed, so confirmation.patterns have no meaning with search.structure"
    return None


def flat_settings(config: Config) -> dict[str, Any]:
    """All settings as plain values by dotted keys: `{"data.seqlen": 512, ...}`."""
    return flat(config.model_dump(mode="json"))


def setting_keys() -> tuple[str, ...]:
    """The dotted keys of all settings, in their order."""
    return tuple(flat_settings(Config()))


def _read_settings(path: Path) -> tuple[dict[str, Any], str]:
    """The settings in a file, and its text."""
    tree, text = _read_yaml(path)
    tree, problems = migrated(tree)
    if problems:
        raise UsageError(f"{path}: {problems[0]}")
    return tree, text


def _read_yaml(path: Path, what: str = "the configuration") -> tuple[dict[str, Any], str]:
    text = read_text_file(path, what, most=4 * LARGEST + 1)  # a character has up to four bytes
    try:
        tree = read_yaml(text)
    except yaml.YAMLError as error:
        raise UsageError(yaml_problem(path, error)) from None
    except ValueError as error:
        raise UsageError(f"{what} {path} cannot be used: it {error}") from None
    if tree is None:
        return {}, text
    if not isinstance(tree, dict):
        raise UsageError(f"{path} must hold a mapping of settings, not a {type(tree).__name__}")
    return tree, text


def flat(tree: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The leaves of a tree by dotted keys."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= flat(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return leaves


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge two trees of settings; values of `above` take precedence."""
    merged = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _over(below[key], above[key])
    return merged


def _assign(tree: dict[str, Any], keys: list[str], value: Any, word: str) -> None:
    for key in keys[:-1]:
        branch = tree.setdefault(key, {})
        if not isinstance(branch, dict):
            raise UsageError(f"{word!r}: {key} is a value, not a group of settings")
        tree = branch
    tree[keys[-1]] = value
