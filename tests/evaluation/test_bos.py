"""BOS in front of windows: where a model needs it, and nowhere else."""

import math

import pytest
import torch

from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.evaluation.bench import open_bench
from autoprune.evaluation.evaluate import evaluate
from autoprune.evaluation.evaluator import dense
from autoprune.evaluation.texts import SPLITS, cut, load_splits, read_text
from autoprune.executors.worker import Worker, WorkerSpec
from autoprune.log import log_to
from autoprune.models.target import load_target
from tests.bos_models import BOS, SEQLEN

DATA = {"seqlen": SEQLEN, "calibration_samples": 3, "search_windows": 4, "report_windows": 3}


@pytest.fixture
def bench_on(bos_models, cache):
    """Opens a bench on one of the models; returns it with what was said."""

    def opened(name, bos="auto", **settings):
        text = str(bos_models.text)
        data = {**DATA, "source": text, "calibration": text, "bos": bos, **settings.pop("data", {})}
        tree = {"model": str(getattr(bos_models, name)), "device": "cpu", "dtype": "float32", "data": data, **settings}
        said = []
        with log_to(said.append):
            bench = open_bench(Config.model_validate(tree), None)
        return bench, [line for line in said if "BOS" in line or "bos" in line]

    return opened


@pytest.fixture
def measured(bos_models):
    """Evaluates one of the models as `autoprune evaluate` does; returns what was measured and what was said of BOS."""

    def measure(name, bos="auto", seqlen=SEQLEN, offload="none"):
        said = []
        model, text = str(getattr(bos_models, name)), str(bos_models.text)
        with log_to(said.append):
            found = evaluate(model, text, seqlen, 3, (), "cpu", "float32", offload=offload, bos=bos)
        return found, [line for line in said if "bos" in line]

    return measure


def by_transformers(model, text, with_bos):
    """Perplexity of the report split's windows: of their tokens but the first of each, after a BOS or not."""
    target = load_target(str(model), "cpu", "float32")
    tokens = cut(read_text(str(text), "report"), "t", "report", target.tokenizer, SEQLEN, 3).tokens
    losses = []
    for window in tokens:
        labels = torch.cat([torch.tensor([-100]), window[1:]])  # the first token counts in neither case
        if with_bos:
            window = torch.cat([torch.tensor([target.tokenizer.bos_token_id]), window])
            labels = torch.cat([torch.tensor([-100]), labels])
        with torch.inference_mode():
            losses.append(float(target.model(window[None], labels=labels[None]).loss))
    return math.exp(sum(losses) / len(losses))


def test_a_model_that_needs_it_is_measured_with_it_on_the_same_tokens(measured, bos_models):
    found, said = measured("needs")
    assert found.bos == BOS
    assert found.seqlen == SEQLEN
    assert found.perplexity == pytest.approx(by_transformers(bos_models.needs, bos_models.text, True), rel=1e-5)
    assert len(said) == 1
    assert f"data.bos=auto: {BOS} in front of windows" in said[0]
    assert measured("needs", "always")[0].perplexity == found.perplexity
    without, said = measured("needs", "never")
    assert (without.bos, said) == (None, [])
    assert without.perplexity == pytest.approx(by_transformers(bos_models.needs, bos_models.text, False), rel=1e-5)
    assert without.perplexity > 2 * found.perplexity


def test_a_model_that_does_not_need_it_keeps_the_protocol_of_the_literature(measured, bos_models):
    found, said = measured("adds")
    assert found.bos is None
    assert f"data.bos=auto: no {BOS} in front of windows" in said[0]
    assert found.perplexity == pytest.approx(by_transformers(bos_models.adds, bos_models.text, False), rel=1e-5)
    assert measured("adds", "always")[0].perplexity == pytest.approx(
        by_transformers(bos_models.adds, bos_models.text, True), rel=1e-5
    )


@pytest.mark.parametrize("name", ["knows", "lacks"])
def test_nothing_is_prepended_where_the_tokenizer_does_not(measured, name):
    found, said = measured(name)
    assert (found.bos, said) == (None, [])
    assert found.perplexity == measured("needs", "never")[0].perplexity


def test_always_prepends_what_the_tokenizer_has_and_is_refused_where_it_has_none(measured):
    assert measured("knows", "always")[0].perplexity == measured("needs")[0].perplexity
    with pytest.raises(UsageError, match=r"data\.bos=always: the tokenizer of .*lacks has no BOS token") as caught:
        measured("lacks", "always")
    assert "\n" not in str(caught.value)


def test_blocks_that_come_and_go_give_the_same(measured):
    found, said = measured("needs", offload="disk")
    whole, of_whole = measured("needs")
    assert said == of_whole
    assert found.perplexity == pytest.approx(whole.perplexity, rel=1e-6)


def test_every_window_of_every_split_is_preceded_by_it(bench_on, bos_models):
    bench, said = bench_on("needs")
    plain, of_plain = bench_on("needs", "never")
    assert len(said) == 1
    assert of_plain == []
    for split in SPLITS:
        windows, text = bench.windows(split), plain.windows(split)
        assert windows.tokens[:, 0].unique().tolist() == [windows.bos.id]
        assert torch.equal(windows.tokens[:, 1:], text.tokens)
        assert (windows.seqlen, text.seqlen) == (SEQLEN, SEQLEN)
    drawn = bench.calibrated(2).windows("calibration")
    assert torch.equal(drawn.tokens[:, 1:], plain.calibrated(2).windows("calibration").tokens)
    assert drawn.tokens[:, 0].unique().tolist() == [drawn.bos.id]


def test_the_choice_is_in_every_key_and_where_there_is_none_keys_are_as_before(bench_on, bos_models):
    bench, plain, adds = bench_on("needs")[0], bench_on("needs", "never")[0], bench_on("adds")[0]
    assert bench.fingerprints()["texts"]["search"]["bos"] == BOS
    assert bench.fingerprints()["texts"]["search"]["tokens"] != plain.fingerprints()["texts"]["search"]["tokens"]
    assert bench.bundle() != plain.bundle()
    text = str(bos_models.text)
    splits = load_splits(
        Config.model_validate({"data": {**DATA, "source": text, "calibration": text}}).data, adds.target.tokenizer
    )
    assert adds.fingerprints()["texts"] == {
        split: {"source": text, "tokens": windows.fingerprint} for split, windows in splits.items()
    }
    assert dense(bench, "search").bos == BOS
    assert dense(plain, "search").bos is dense(adds, "search").bos is None
    assert dense(bench, "report").seqlen == dense(plain, "report").seqlen == SEQLEN
    assert dense(bench, "search").perplexity < dense(plain, "search").perplexity


def test_windows_that_fill_the_context_leave_no_room_for_it(measured, bos_models, tmp_path):
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(bos_models.needs)
    full = config.max_position_embeddings
    config.max_position_embeddings = SEQLEN
    try:
        config.save_pretrained(bos_models.needs)
        for bos in ("auto", "always"):
            with pytest.raises(
                UsageError, match=f"knows {SEQLEN} positions, so windows of {SEQLEN} tokens preceded by {BOS}"
            ):
                measured("needs", bos)
        assert measured("needs", "never")[0].bos is None
        assert measured("needs", seqlen=SEQLEN - 1)[0].bos == BOS
    finally:
        config.max_position_embeddings = full
        config.save_pretrained(bos_models.needs)


def test_one_window_of_search_text_is_enough_to_choose(bench_on):
    assert bench_on("needs", data={"search_windows": 1})[0].windows("report").bos.text == BOS


def test_a_worker_measures_with_what_its_coordinator_chose(bench_on, cache):
    bench, _ = bench_on("needs")
    config = Config.model_validate({"model": bench.target.name, "device": "cpu", "dtype": "float32", "data": DATA})
    worker = Worker()
    assert worker.open(WorkerSpec.of(config, bench, "local", torch.get_num_threads())) is None
    assert dense(worker._opened.bench, "search").window_losses == dense(bench, "search").window_losses
