import pytest
import yaml

from autoprune.config import Config, load_config
from autoprune.errors import UsageError
from autoprune.runs.directory import RunDirectory


def written(config, folder):
    """A run's directory that holds no more than its settings."""
    run = RunDirectory(folder)
    run.write_settings(config, {})
    return run


def test_words_win_over_the_file_and_the_file_over_defaults(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("sparsity: 0.5\nsearch: {max_candidates: 7}\n")
    config = load_config(file, ["search.max_candidates=9", "llm.model=m"])
    assert (config.sparsity, config.search.max_candidates, config.llm.model) == (0.5, 9, "m")
    assert config.data.seqlen == Config().data.seqlen


def test_the_tree_that_a_run_keeps_loads_to_the_same_settings(tmp_path):
    config = Config(sparsity=0.3)
    run = written(config, tmp_path)
    assert run.settings() == (config, {})
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(run.settings_file.read_text())["config"]))
    assert load_config(file) == config


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("sparsity=1.2", "sparsity = 1.2"),
        ("sparsity=nan", "sparsity"),
        ("sparsity=true", "sparsity"),
        ("search.max_candidates=0", "search.max_candidates = 0"),
        ("sparsty=0.5", "unknown setting 'sparsty'"),
        ("search.speed=1", "unknown setting 'search.speed'"),
        ("llm.provider=oracle", "llm.provider = 'oracle'"),
        ("llm.roles.judge.model=m", r"llm\.roles\.judge = 'judge'.*'proposer', 'critic' or 'analyst'"),
        ("llm.roles.critic.speed=1", r"unknown setting 'llm\.roles\.critic\.speed'"),
        ("llm.roles.critic.temperature=9", r"llm\.roles\.critic\.temperature = 9"),
        ("sparsity", "not of the form key=value"),
        ("sparsity.deep=1", "sparsity"),
    ],
)
def test_bad_words_name_themselves(word, complaint):
    with pytest.raises(UsageError, match=complaint):
        load_config(None, [word])


def test_a_word_may_not_go_below_a_value():
    with pytest.raises(UsageError, match="seed is a value"):
        load_config(None, ["seed=1", "seed.deep=1"])


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", "sparsity: 2"])
def test_bad_files_name_themselves(tmp_path, content):
    file = tmp_path / "c.yaml"
    file.write_text(content)
    with pytest.raises(UsageError, match=r"c\.yaml"):
        load_config(file)


def test_a_missing_file_names_itself(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("word", ["auto", "on", "off"])
def test_tools_are_switched_by_words_that_yaml_takes_for_truth_values(word):
    assert load_config(None, [f"agents.tools={word}"]).agents.tools == word


def test_all_baselines_are_one_word_and_a_name_given_twice_counts_once():
    config = load_config(None, ["baselines.scores=all", "baselines.allocations=[owl,dlp,owl]"])
    assert config.baselines.scores == ["magnitude", "wanda", "ria", "gblm", "pruner-zero"]
    assert config.baselines.allocations == ["owl", "dlp"]


def test_masks_of_baselines_are_refined_unless_the_settings_say_otherwise():
    assert load_config().baselines.refinements == ["none", "swaps"]
    assert load_config(None, ["baselines.refinements=[none]"]).baselines.refinements == ["none"]
    assert load_config(None, ["baselines.refinements=all"]).baselines.refinements == ["none", "dsnot", "swaps"]


def test_patterns_are_read_with_and_without_quotes_and_survive_the_settings_file(tmp_path):
    config = load_config(None, ["confirmation.patterns=[2:4,'4:8', '02:4']"])
    assert config.confirmation.patterns == ["2:4", "4:8"]
    assert written(config, tmp_path).settings()[0] == config


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("confirmation.patterns=[4:2]", "for example 2:4"),
        ("confirmation.patterns=['2']", "for example 2:4"),
        ("baselines.scores=[]", "at least 1"),
        ("baselines.scores=[luck]", "magnitude"),
        ("baselines.refinements=[]", "at least 1"),
        ("baselines.refinements=[luck]", "swaps"),
    ],
)
def test_what_cannot_be_a_baseline_or_a_pattern_is_refused(word, complaint):
    with pytest.raises(UsageError, match=complaint):
        load_config(None, [word])


@pytest.mark.parametrize(
    ("url", "kept", "password"),
    [
        ("postgresql://ann:s%40x@h:5432/db?sslmode=require", "postgresql://ann@h:5432/db?sslmode=require", "s@x"),
        ("postgres://one,two:5433/db", "postgres://one,two:5433/db", None),
        ("postgresql:///db?host=/var/run/postgresql", "postgresql:///db?host=/var/run/postgresql", None),
        ("postgresql://ann:s@[::1]:5432/db", "postgresql://ann@[::1]:5432/db", "s"),
    ],
)
def test_a_database_is_kept_without_its_password(url, kept, password, tmp_path):
    config = load_config(None, [f"database={url}"])
    assert (config.database.url, config.database.password) == (kept, password)
    text = written(config, tmp_path).settings_file.read_text()
    assert f"database: {kept}\n" in text
    assert "s@x" not in text
    assert "s@x" not in repr(config)
    assert Config.model_validate(config.model_dump(mode="json")) == config


def test_an_agent_may_have_a_model_of_its_own():
    llm = load_config(None, ["llm.model=m", "llm.roles.critic.model=judge", "llm.roles.analyst={temperature: 0.1}"]).llm
    assert [llm.for_role(role).model for role in ("proposer", "critic", "analyst")] == ["m", "judge", "m"]
    assert llm.for_role("analyst").temperature == 0.1
    assert load_config(None, ["llm.roles.critic.model=null"]) == Config()
