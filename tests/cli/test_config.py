"""`autoprune config`: all settings with their descriptions, as a file that loads to the same settings."""

import json
import subprocess
import sys

import pytest

from autoprune.config import Config, flat_settings, load_config
from autoprune.config_explained import settings_table
from autoprune.config_text import commented_yaml

CHANGED = ("sparsity=0.7", "agents.tools=off", "confirmation.patterns=[2:4]", "llm.roles.critic.model='judge: 1'")


def saved(text, folder):
    (folder / "saved.yaml").write_text(text, encoding="utf-8")
    return folder / "saved.yaml"


def test_what_is_printed_loads_to_the_defaults(here, tmp_path):
    done = here("config")
    assert done.returncode == 0, done.stderr
    assert load_config(saved(done.stdout, tmp_path)) == Config()


def test_a_file_and_words_are_printed_as_they_are_resolved(here, tmp_path):
    (tmp_path / "mine.yaml").write_text("seed: 3\nsparsity: 0.5\n")
    done = here("config", "mine.yaml", *CHANGED)
    assert done.returncode == 0, done.stderr
    assert load_config(saved(done.stdout, tmp_path)) == load_config(tmp_path / "mine.yaml", list(CHANGED))


def test_a_policy_of_approval_is_printed_too(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("rules:\n  - {findings: any, decision: ask}\n  - {imports: [math], decision: reject}\n")
    config = load_config(None, ["approval=file", f"approval_policy={policy}"])
    assert load_config(saved(commented_yaml(config), tmp_path)) == config


def test_every_setting_has_a_description_above_it():
    lines = commented_yaml(Config()).splitlines()
    for key in flat_settings(Config()):
        name = key.rpartition(".")[2]
        places = [place for place, line in enumerate(lines) if line.strip().startswith(f"{name}:")]
        assert places, key
        assert all(lines[place - 1].strip().startswith("# ") for place in places), key


def test_choices_are_named_beside_the_description():
    assert (
        "# approval of candidates: automatic, by a person, or by a policy (auto, human, file)\napproval: auto\n"
        in commented_yaml(Config())
    )


def test_the_same_as_json(here):
    assert json.loads(here("config", "--json", "sparsity=0.7").stdout) == Config(sparsity=0.7).model_dump(mode="json")


@pytest.mark.parametrize("command", ["search", "config", "doctor"])
def test_an_unknown_setting_is_refused_with_the_command_that_lists_them(here, command):
    done = here(command, "sparsty=0.5")
    assert done.returncode == 2
    assert "unknown setting 'sparsty'; `autoprune config` lists them" in " ".join(done.stderr.split())


@pytest.mark.parametrize(("command", "words", "code"), [("config", (), 0), ("search", ("sparsity=7",), 2)])
def test_a_former_key_works_and_says_which_key_it_is_now(here, command, words, code):
    done = here(command, "search.racing=false", *words)
    assert done.returncode == code
    assert "search.racing is advanced.racing now" in " ".join(done.stderr.split())


def test_it_imports_nothing_heavy():
    code = (
        "import sys; from autoprune.cli.config import config; config([]); print(sorted({'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_option_is_named_as_it_was_typed(here):
    for words, problem in (
        (("search", "--sparsity", "60"), "--sparsity = 60.0: input should be less than 1; did you mean 0.6?"),
        (("search", "--max-candidates", "0"), "--max-candidates = 0: "),
        (("prune", "--out", "x", "--calibration-samples", "0"), "--calibration-samples = 0: "),
        (("prune", "--out", "x", "--sparsity", "60"), "--sparsity 60 is not between 0 and 1; did you mean 0.6?"),
        (("compare", "--sparsity", "0.5,70"), "--sparsity 70 is not between 0 and 1; did you mean 0.7?"),
        (
            ("prune", "--out", "x", "--structure", "width", "--params", "20"),
            "--params 20 is not between 0 and 1; did you mean 0.2?",
        ),
        (("compare", "--structure", "width", "--params", "0.1,20"), "--params 20 is not between 0 and 1; did you mean"),
        (("prune", "--out", "x", "--update", "obx"), "update 'obx' is not one of none, "),
    ):
        done = here(*words)
        assert done.returncode == 2
        assert problem in " ".join(done.stderr.split()), done.stderr


def test_the_command_explains_keys_and_groups_under_a_file_and_words(here, tmp_path):
    (tmp_path / "mine.yaml").write_text("sparsity: 0.55\n")
    done = here("config", "mine.yaml", "seed=3", "sparsity", "seed")
    assert done.returncode == 0, done.stderr
    assert "  value:   0.55\n" in done.stdout
    assert "  value:   3\n" in done.stdout
    assert json.loads(here("config", "seed", "--json").stdout)["seed"]["default"] == 0
    assert here("config", "sparsty").returncode == 2
    assert here("config", "--markdown").stdout == settings_table()
