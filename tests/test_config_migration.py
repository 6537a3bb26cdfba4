"""Former keys of settings: read as what they are now, wherever settings are stored, or refused in one line."""

import json

import pytest
import yaml

from autoprune.agents.lookups import TOOL_ROUNDS
from autoprune.agents.population import ELITE
from autoprune.config import Config, flat_settings, load_config
from autoprune.config_agents import LLMSettings
from autoprune.config_migration import CONSTANTS, MOVED, migrated
from autoprune.config_sections import TrackingSettings
from autoprune.errors import UsageError
from autoprune.evaluation.racing import ERROR_RATE
from autoprune.llm.recorded_settings import defaults
from autoprune.pruning.allocation.sdsa import SDSA
from autoprune.pruning.allocation.sdsa_settings import parameters
from autoprune.pruning.allocation.spec import Setting
from autoprune.pruning.allocation.table import made
from autoprune.runs.directory import RunDirectory
from autoprune.sandbox.channel import PRINTED
from autoprune.search.islands import ISLANDS, MIGRATION

OLD = """
model: smollm2-135m
sparsity: 0.6
seed: 0
device: auto
dtype: auto
offload: auto
memory_gb: 8.0
approval: auto
approval_policy: null
database: null
data: {source: builtin, calibration: builtin, calibration_samples: 16, seqlen: 512, search_windows: 16,
  report_windows: 24, bos: auto}
allocation: {name: sdsa, unit: block, preset: default, kappa: null, tau: null, delta: null, tune: false}
sandbox: {engine: auto, seconds: 120.0, memory_mb: 4096, output_kb: 64, threads: 0, processes: 0,
  image: autoprune-sandbox:latest, gpu: false}
executor: {kind: here, workers: null, address: null, cores_per_worker: null, gpus_per_worker: null}
llm:
  provider: auto
  model: null
  base_url: null
  temperature: 0.8
  profile: auto
  max_reply_tokens: null
  timeout: null
  retries: 4
  port: 0
  context: 8192
  threads: 0
  record: false
  recording: null
  roles:
    proposer: {model: null, base_url: null, temperature: null, max_reply_tokens: null}
    critic: {model: judge, base_url: null, temperature: null, max_reply_tokens: null}
    analyst: {model: null, base_url: null, temperature: null, max_reply_tokens: null}
agents: {critic: auto, analyst: auto, revisions: 1, veto: false, symbolic_share: 0.25, symbolic_first: true,
  tools: auto, tool_rounds: 3, gcot: full, parents: rank, operators: null, sections: bandit}
search:
  max_candidates: 12
  max_minutes: null
  max_tokens: null
  max_usd: null
  generation_size: 3
  finalists: 3
  baseline_scores: [wanda]
  baseline_allocations: [uniform, owl]
  baseline_refinements: [none]
  tune_baselines: true
  tune_elsewhere: false
  confirm_seeds: 2
  confirm_baselines: 1
  confirm_sparsities: [0.7]
  confirm_patterns: ['2:4']
  transfer_model: other
  transfer_windows: 4
  racing: false
  racing_error: 0.05
  elite: 2
  layer_error: 1.5
  islands: 2
  migration: 4
  deepen: 2
  polish: 3
  cache: false
"""
"""A run's settings as they were stored with a hundred keys; those that moved have another value than by default."""
TODAY = {
    "llm": {"roles": {"critic": {"model": "judge"}}},
    "baselines": {"scores": ["wanda"], "allocations": ["uniform", "owl"], "refinements": ["none"], "tune": True},
    "confirmation": {
        "finalists": 3,
        "seeds": 2,
        "baselines": 1,
        "sparsities": [0.7],
        "patterns": ["2:4"],
        "tune_elsewhere": False,
        "transfer_model": "other",
        "transfer_windows": 4,
    },
    "advanced": {
        "memory_gb": 8.0,
        "cache": False,
        "racing": False,
        "layer_error": 1.5,
        "deepen": 2,
        "polish": 3,
        "revisions": 1,
        "symbolic_first": True,
    },
}


@pytest.fixture
def run(tmp_path):
    """Writes a run's directory that holds no more than these settings."""

    def make(settings):
        directory = RunDirectory(tmp_path)
        directory.settings_file.write_text(yaml.safe_dump({"format": 2, "config": settings, "record": {}}))
        return directory

    return make


NEW = {
    "advanced.parameter_trials",
    "agents.kit",
    "baselines.updates",
    "llm.models",
    "search.league",
    "search.structure",
    "search.compensate",
    *(f"tracking.{name}" for name in TrackingSettings.model_fields),
}
"""Settings that there were not under other names before."""


def old(**changes):
    """The old tree, with values changed by `group__name`."""
    tree = yaml.safe_load(OLD)
    for key, value in changes.items():
        group, _, name = key.partition("__")
        tree[group][name] = value
    return tree


def test_every_former_key_is_one_of_today_has_moved_or_is_a_constant():
    today, given = set(flat_settings(Config())), yaml.safe_load(OLD)
    del given["llm"]["roles"]
    keys = {f"{key}.{name}" for key, group in given.items() if isinstance(group, dict) for name in group}
    keys |= {key for key, group in given.items() if not isinstance(group, dict)}
    assert keys - today == {*MOVED, *CONSTANTS} - {"advanced.veto"}
    assert today - keys == {*MOVED.values(), *NEW}


def test_constants_are_those_of_the_code():
    of_the_code = {
        "agents.tool_rounds": TOOL_ROUNDS,
        "allocation.delta": SDSA().delta,
        "allocation.kappa": SDSA().kappa,
        "allocation.tau": SDSA().tau,
        "llm.context": LLMSettings().context_tokens,
        "sandbox.output_kb": PRINTED // 1024,
        "search.elite": ELITE,
        "search.islands": ISLANDS,
        "search.migration": MIGRATION,
        "search.racing_error": ERROR_RATE,
    }
    assert {key: CONSTANTS[key] for key in of_the_code} == of_the_code


def test_an_old_file_is_read_as_the_settings_of_today_and_silently(tmp_path, caplog):
    file = tmp_path / "old.yaml"
    file.write_text(OLD)
    assert load_config(file) == Config.model_validate(TODAY)
    assert not caplog.records


def test_words_win_over_an_old_file(tmp_path):
    file = tmp_path / "old.yaml"
    file.write_text(OLD)
    config = load_config(file, ["confirmation.finalists=5", "search.confirm_seeds=7"])
    assert (config.confirmation.finalists, config.confirmation.seeds) == (5, 7)


def test_an_old_run_is_read_and_continued_as_one_of_today(run):
    directory = run(yaml.safe_load(OLD))
    assert directory.settings() == (Config.model_validate(TODAY), {})
    directory.check_continuable()
    directory.write_settings(*directory.settings())
    assert directory.settings() == (Config.model_validate(TODAY), {})


def test_a_word_with_a_former_key_counts_and_says_which_key_it_is_now(caplog):
    assert load_config(None, ["search.finalists=4"]).confirmation.finalists == 4
    assert caplog.messages == ["search.finalists is confirmation.finalists now"]


def test_a_word_that_sets_a_whole_group_may_hold_former_keys():
    config = load_config(None, ["confirmation.seeds=3", "search={finalists: 4, max_candidates: 5, elite: 2}"])
    assert (config.confirmation.finalists, config.confirmation.seeds, config.search.max_candidates) == (4, 3, 5)


@pytest.mark.parametrize("word", [f"{key}={json.dumps(value)}" for key, value in CONSTANTS.items()])
def test_a_former_key_with_the_value_of_its_constant_changes_nothing(word):
    assert load_config(None, [word]) == Config()


@pytest.mark.parametrize(("former", "today"), [("on", "published"), ("off", "off"), ("all", "all")])
def test_the_former_values_of_agents_kit_are_read_as_those_of_today(tmp_path, run, former, today):
    file = tmp_path / "old.yaml"
    file.write_text(f"agents: {{kit: {former}}}")  # as YAML reads on and off: booleans
    settings = [load_config(file), load_config(None, [f"agents.kit={former}"])]
    settings.append(load_config(None, [], defaults({"agents.kit": former})))
    settings.append(run({"agents": {"kit": former}}).settings()[0])
    assert [config.agents.kit for config in settings] == [today] * 4


def test_a_word_with_a_constant_says_that_it_is_no_setting_any_more(caplog):
    load_config(None, ["sandbox.threads=0"])
    assert caplog.messages == [
        "sandbox.threads is no setting any more; OMP_NUM_THREADS in the environment limits the threads"
    ]


def test_a_run_goes_on_with_the_threads_and_workers_of_the_machine(run):
    tree = old(sandbox__threads=3, sandbox__processes=1, llm__threads=2, executor__cores_per_worker=4)
    directory = run(tree)
    assert directory.settings()[0] == Config.model_validate(TODAY)
    directory.check_continuable()


OTHER = [
    ("search", "elite", 5, "search.elite=5 is no setting any more; it is always 2"),
    ("agents", "veto", True, "agents.veto=True is no setting any more; it is always False"),
    ("allocation", "kappa", 0.25, "allocation.kappa=0.25 is no setting any more; a candidate can call autoprune.kit"),
    ("allocation", "tune", True, "allocation.tune=True is no setting any more; baselines.tune tunes the baselines"),
    ("allocation", "preset", "other", "allocation.preset=other is no setting any more; the allocation sdsa-paper"),
]


OF_MACHINE = [
    ("llm.port=8080", "it is always 0"),
    ("llm.context=4096", "it follows from llm.profile: 8192 tokens, and 32768 with strong"),
    ("llm.threads=2", "OMP_NUM_THREADS in the environment limits the threads"),
    ("executor.gpus_per_worker=0.5", "executor.workers beyond the number of GPUs share them"),
]


@pytest.mark.parametrize(("word", "said"), OF_MACHINE)
def test_another_value_of_a_setting_of_the_machine_is_one_line(tmp_path, word, said):
    file, (key, _, value) = tmp_path / "mine.yaml", word.partition("=")
    group, _, name = key.partition(".")
    file.write_text(f"{group}: {{{name}: {value}}}")
    for given in ((file,), (None, [word])):
        with pytest.raises(UsageError, match=rf"{word} is no setting any more; {said}$"):
            load_config(*given)


@pytest.mark.parametrize(("group", "name", "value", "said"), OTHER)
def test_another_value_of_a_constant_is_one_line(tmp_path, run, group, name, value, said):
    file = tmp_path / "mine.yaml"
    file.write_text(f"{group}: {{{name}: {value}}}")
    for given in ((file,), (None, [f"{group}.{name}={value}"]), (None, [f"{group}={{{name}: {value}}}"])):
        with pytest.raises(UsageError, match=said) as refused:
            load_config(*given)
        assert "\n" not in str(refused.value)
    directory = run(old(**{f"{group}__{name}": value}))
    assert directory.settings()[0] == Config.model_validate(TODAY)
    with pytest.raises(UsageError, match=f"can be read, but not continued: {said}"):
        directory.check_continuable()


def test_a_setting_under_both_keys_is_refused(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("search: {finalists: 2}\nconfirmation: {finalists: 2}")
    with pytest.raises(UsageError, match=r"search\.finalists is confirmation\.finalists now, and both are given"):
        load_config(file)


@pytest.mark.parametrize("tree", [{"search": 5}, {"search": {"finalists": 2}, "confirmation": 5}, {1: 2}])
def test_what_is_no_group_is_left_to_the_validation(tree):
    assert migrated(tree)[1] == []
    with pytest.raises(ValueError, match="validation error"):
        Config.model_validate(migrated(tree)[0])


def test_a_run_under_the_preset_paper_is_read_as_sdsa_paper_and_not_continued(run):
    """The preset changed the SDSA of baselines, too."""
    directory = run(old(allocation__preset="paper"))
    assert directory.settings()[0].allocation.name == "sdsa-paper"
    with pytest.raises(UsageError, match="the allocation sdsa-paper has its constants"):
        directory.check_continuable()
    setting = Setting("sdsa", "block", parameters(SDSA(compress=False)))
    units = [{"size": 10, "skewness": each} for each in (0.5, 1.0, 6.0)]
    assert made("sdsa-paper").densities(units, 0.6) == made(setting).densities(units, 0.6)
