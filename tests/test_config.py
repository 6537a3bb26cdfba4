import pytest

from autoprune.config import Config, dump_config, load_config
from autoprune.errors import UsageError


def test_words_win_over_the_file_and_the_file_over_defaults(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("sparsity: 0.5\nsearch: {max_candidates: 7}\n")
    config = load_config(file, ["search.max_candidates=9", "llm.model=m"])
    assert (config.sparsity, config.search.max_candidates, config.llm.model) == (0.5, 9, "m")
    assert config.data.seqlen == Config().data.seqlen


def test_a_dumped_tree_loads_to_the_same_settings(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(dump_config(Config(sparsity=0.3)))
    assert load_config(file) == Config(sparsity=0.3)


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
