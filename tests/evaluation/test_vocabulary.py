"""A token without an embedding is one line with both sizes, before anything is collected or measured."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import open_bench
from autoprune.evaluation.compare import compare
from autoprune.evaluation.evaluate import evaluate
from autoprune.evaluation.evaluator import dense
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.texts import Windows, check_tokens, tokenise
from autoprune.models.target import Target
from tests.models.checkpoints import llama, load, saved

DATA = {"seqlen": 48, "calibration_samples": 2, "search_windows": 2, "report_windows": 2}


def settings(folder, **data) -> Config:
    tree = {"model": str(folder), "device": "cpu", "dtype": "float32", "data": {**DATA, **data}}
    return Config.model_validate(tree)


def refused(work) -> str:
    with pytest.raises(UsageError) as caught:
        work()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def small(tmp_path, cache):
    """A model of 300 tokens with a tokenizer of 384."""
    return saved(llama(vocab_size=300), tmp_path / "small")


@pytest.mark.parametrize("source", ["builtin", "file"])
def test_both_sizes_are_named_before_any_work(small, cache, tmp_path, source):
    if source == "file":
        source = str(tmp_path / "text.txt")
        (tmp_path / "text.txt").write_text("\n\n".join(f"Statement {n} of the other function." * 40 for n in range(30)))
    works = [
        lambda: evaluate(str(small), source, 48, 2, [], "cpu", "float32"),
        lambda: open_bench(settings(small, source=source, calibration=source), None),
        lambda: list(compare(settings(small, source=source), [Published.named("wanda")], [_recipe()], 1)),
    ]
    for work in works:
        line = refused(work)
        assert "384 tokens" in line
        assert "embeddings of 300" in line
    assert not (cache / "statistics").exists()


def _recipe() -> Recipe:
    return Recipe(sparsity=0.5)


def test_only_tokens_that_occur_count(tmp_path, cache):
    folder = saved(llama(), tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<never-{n}>" for n in range(20)])
    tokenizer.save_pretrained(folder)
    assert len(AutoTokenizer.from_pretrained(folder)) == 404
    assert dense(open_bench(settings(folder), None), "search").perplexity > 1
    assert evaluate(str(folder), "builtin", 48, 2, [], "cpu", "float32").perplexity > 1


def test_an_embedding_larger_than_the_tokenizer_is_fine(tmp_path, cache):
    folder = saved(llama(vocab_size=512), tmp_path / "m")
    assert dense(open_bench(settings(folder), None), "search").perplexity > 1


def test_a_search_looks_at_the_samples_of_later_seeds_as_well(tmp_path, cache):
    folder = saved(llama(), tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<late>"])
    tokenizer.save_pretrained(folder)
    text = tmp_path / "text.txt"
    text.write_text("the words of a text that goes on " * 30 + "<late> " * 3000)
    config = settings(folder, calibration=str(text))
    config = config.model_copy(update={"confirmation": config.confirmation.model_copy(update={"seeds": 3})})
    assert open_bench(config, None).layers
    assert "embeddings of 384" in refused(lambda: open_bench(config, tmp_path / "run"))
    rows = compare(config, [Published.named("magnitude")], [_recipe()], 2)
    assert "embeddings of 384" in refused(lambda: list(rows))


def test_negative_tokens_are_named(tiny_target):
    windows = Windows("search", "mine", torch.tensor([[1, -1, 2]]), "print")
    assert "has token -1" in refused(lambda: check_tokens(tiny_target, [windows]))


def test_a_tokenizer_without_an_unknown_token_is_one_line():
    known = Tokenizer(models.WordLevel({"a": 0, "b": 1}))
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=known)
    assert tokenise("a b a", tokenizer).tolist() == [0, 1, 0]

    class Silent:
        """Slow tokenizers of old give None for what they do not know."""

        def __call__(self, text, **options):
            return {"input_ids": [0, None]}

        def __len__(self):
            return 2

    assert "no token for a part of the text" in refused(lambda: tokenise("a c", Silent()))


@pytest.mark.parametrize("offload", ["none", "disk"])
def test_tokens_from_elsewhere_are_stopped_at_the_embedding(tmp_path, offload):
    target: Target = load(saved(llama(), tmp_path / "m"), offload)
    for token in (384, 10**6, -1):
        line = refused(lambda token=token: target.model(torch.tensor([[0, token]]), use_cache=False))
        assert f"token {token} is no row" in line
        assert "384 tokens" in line
