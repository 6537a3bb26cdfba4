"""Errors about settings say where the value stands, by which option it was given, and what may have been meant."""

import hypothesis.strategies as some
import pytest
import yaml
from hypothesis import given

from autoprune.config import load_config, setting_keys
from autoprune.config_errors import meant_key
from autoprune.errors import UsageError
from autoprune.yaml_text import line_of


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("sparsty=0.5", "did you mean sparsity?"),
        ("max_candidates=3", "did you mean search.max_candidates?"),
        ("max_candidats=3", "did you mean search.max_candidates?"),
        ("data.seqlem=5", "did you mean data.seqlen?"),
        ("serch=5", "did you mean search?"),
        ("search.seqlen=5", "did you mean data.seqlen?"),
        ("llm.provider=opanai", "did you mean openai?"),
        ("baselines.scores=[wandda]", "did you mean wanda?"),
        ("allocation.name=sdsaa", "did you mean sdsa?"),
        ("sparsity=60", "did you mean 0.6?"),
        ("confirmation.sparsities=[0.5,70]", "did you mean 0.7?"),
    ],
)
def test_what_may_have_been_meant_is_asked(word, meant):
    with pytest.raises(UsageError) as raised:
        load_config(None, [word])
    assert str(raised.value).endswith(f"; {meant}")


@pytest.mark.parametrize(
    "word", ["search.speed=1", "sparsity=1", "sparsity=2", "sparsity=100", "sparsity=-60", "seed=-6"]
)
def test_nothing_is_asked_where_nothing_is_near(word):
    with pytest.raises(UsageError) as raised:
        load_config(None, [word])
    assert "did you mean" not in str(raised.value)


@given(some.sampled_from(setting_keys()), some.integers(0, 99))
def test_a_setting_with_one_letter_missing_is_found(key, place):
    group, dot, name = key.rpartition(".")
    if len(name) < 6:
        return
    cut = place % len(name)
    damaged = f"{group}{dot}{name[:cut]}{name[cut + 1 :]}"
    assert meant_key(damaged, setting_keys()) == f"; did you mean {key}?"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seed: 1\nsearch:\n  max_candidates: 0\n", "search.max_candidates = 0 (in {}, line 3): "),
        ("seed: 1\nsearch:\n  max_candidats: 1\n", "unknown setting 'search.max_candidats' (in {}, line 3); "),
        ("confirmation:\n  sparsities:\n  - 0.5\n  - 2\n", "confirmation.sparsities.1 = 2 (in {}, line 4): "),
        ("seed: 1\nsearch: 3\n", "search = 3 (in {}, line 2): it is a group of settings"),
        ("seed: 1\nseed: 2\n", "{} is not YAML: line 2, column 1: the key 'seed' is given twice"),
        ("seed: 1\n\tx: 2\n", "{} is not YAML: line 2, column 1: "),
        ("a: [", "{} is not YAML: line 1, column 5: "),
    ],
)
def test_a_file_is_refused_with_the_line(tmp_path, text, problem):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        load_config(file)
    assert str(raised.value).startswith(problem.format(file))
    assert "\n" not in str(raised.value)


def test_a_word_beside_a_file_is_told_from_it(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("seed: 1\nsparsity: 0.5\n")
    with pytest.raises(UsageError, match=r"sparsity = 60 \(on the command line\): "):
        load_config(file, ["sparsity=60"])


LEAVES = some.dictionaries(some.text("abc", min_size=1, max_size=3), some.integers(), min_size=1, max_size=4)


@given(some.dictionaries(some.text("abc", min_size=1, max_size=3), LEAVES, min_size=1, max_size=4))
def test_the_line_of_a_key_is_the_one_it_stands_in(tree):
    text = yaml.safe_dump(tree, sort_keys=False)
    for group, leaves in tree.items():
        for key, value in leaves.items():
            line = line_of(text, [group, key])
            assert line is not None
            assert yaml.safe_load(text.splitlines()[line - 1]) == {key: value}
    assert line_of(text, ["none"]) is None


@pytest.mark.parametrize("beside", ["", ", kappa: 0.0", ", tune: true", ", name: owl"])
def test_the_preset_paper_is_refused_and_names_the_allocation(tmp_path, beside):
    file = tmp_path / "mine.yaml"
    file.write_text(f"allocation: {{preset: paper{beside}}}")
    with pytest.raises(UsageError, match=r"allocation\.preset=paper is no setting any more; the allocation sdsa-paper"):
        load_config(file)
