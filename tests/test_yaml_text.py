"""Settings are read as data: what is deep, huge, ambiguous or stands for billions of values is one line."""

from itertools import pairwise

import pytest

from autoprune.config import Config, load_config
from autoprune.errors import UsageError
from autoprune.runs.directory import RunDirectory
from autoprune.yaml_text import read_yaml

LETTERS = "abcdefghij"
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{letter}: &{letter} [{', '.join([f'*{before}'] * 9)}]\n" for before, letter in pairwise(LETTERS)
)
REFUSED = {
    "aliases that stand for billions": LAUGHS,
    "aliases of mappings": LAUGHS.replace("[x, x, x, x, x, x, x, x, x]", "{k: v, l: v, m: v}"),
    "itself": "model: &a [*a]",
    "itself, further up": "model: &a {b: {c: *a}}",
    "deep lists": "model: " + "[" * 5000 + "]" * 5000,
    "deep lists without end": "model: " + "[" * 5000,
    "deep mappings": "{a: " * 3000,
    "deep keys": "? " * 3000 + "x",
    "a tag that calls": "model: !!python/object/apply:os.system [id]",
    "a tag that imports": "model: !!python/name:os.system",
    "a tag of one's own": "model: !mine x",
    "a number for a key": "1: 2",
    "nothing for a key": "null: 2",
    "a truth value for a key": "data: {true: 1}",
    "a list for a key": "? [1]\n: 2",
    "a key that is given twice": "seed: 1\nseed: 2",
    "a key that is given twice, in quotes": "llm: {threads: 1, 'threads': 2}",
    "a date": "seed: 2024-01-01",
    "a date that is none": "seed: 2024-13-45",
    "a time that is none": "seed: 2024-01-01 99:99:99",
    "a date by its tag": "seed: !!timestamp tomorrow",
    "an integer of 5,000 digits": "seed: " + "9" * 5000,
    "an integer of 400 digits": "seed: " + "9" * 400,
    "an integer of 70 bits": f"seed: {2**70}",
    "a seed of 63 bits": f"seed: {2**63}",
    "an integer in hex": "seed: 0x" + "f" * 9000,
    "an integer to the base 60": "seed: " + ":".join(["59"] * 3000),
    "a number beyond float": "sparsity: !!float 1e999",
    "no number": "sparsity: .nan",
    "a list for a mapping": "data: [1]",
    "two documents": "---\nseed: 1\n---\nseed: 2",
    "a future version": "%YAML 9.9\n---\nseed: 1",
    "a control character": "model: \0",
    "a list": "- seed",
    "a word": "seed",
    "too much": "# " + "x" * 2_000_000,
    "no UTF-8": "model: \udcff",
}


@pytest.mark.parametrize("what", REFUSED)
def test_settings_that_nobody_writes_are_one_line(tmp_path, what):
    file = tmp_path / "settings.yaml"
    file.write_text(REFUSED[what], encoding="utf-8", errors="surrogateescape")
    with pytest.raises(UsageError) as raised:
        load_config(file)
    assert "\n" not in str(raised.value)
    assert str(file) in str(raised.value)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("what", REFUSED)
def test_a_run_whose_settings_are_like_that_is_one_line(tmp_path, what):
    run = RunDirectory.create(tmp_path / "run", Config())
    text = REFUSED[what].replace("\n", "\n  ")
    run.settings_file.write_text(
        f"format: 2\nrecord: {{}}\nconfig:\n  {text}\n", encoding="utf-8", errors="surrogateescape"
    )
    with pytest.raises(UsageError, match=r"config\.yaml cannot be read as a run's settings: ") as raised:
        RunDirectory.open(run.path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("word", ["seed=" + "[" * 9999, "seed=2024-13-45", "seed=" + "9" * 5000, "seed=&a [*a]"])
def test_a_word_like_that_is_one_line(word):
    with pytest.raises(UsageError) as raised:
        load_config(None, [word])
    assert "\n" not in str(raised.value)


def test_a_run_does_not_name_a_file_to_be_read_as_its_policy(tmp_path):
    run = RunDirectory.create(tmp_path / "run", Config())
    (tmp_path / "policy.yaml").write_text("otherwise: approve")
    settings = run.settings_file.read_text()
    policy = f"approval_policy: {tmp_path / 'policy.yaml'}"
    run.settings_file.write_text(settings.replace("approval_policy: null", policy))
    with pytest.raises(UsageError, match="approval_policy names a file"):
        RunDirectory.open(run.path)


def test_ordinary_yaml_is_read_as_ever(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(
        "\ufeffseed: &seed 0x10\ndata: &short {seqlen: 64}\nllm: {<<: {retries: 1, timeout: 2}, retries: 3}\n"
        "sandbox: {memory_mb: *seed}\nconfirmation: {patterns: [2:4]}\n",
        encoding="utf-8",
    )
    config = load_config(file, ["sparsity=0.7"])
    assert (config.seed, config.sandbox.memory_mb, config.data.seqlen) == (16, 16, 64)
    assert (config.llm.retries, config.llm.timeout, config.confirmation.patterns) == (3, 2, ["2:4"])
    assert read_yaml("") is None
