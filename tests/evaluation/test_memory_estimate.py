"""Memory as it is predicted, against the anonymous memory that a process then takes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autoprune.config import Config
from autoprune.evaluation.memory_estimate import MemoryEstimate
from autoprune.models.footprint import Footprint
from autoprune.models.loading import empty_model

BLOCKS, HIDDEN, SAMPLES, SEQLEN = 24, 384, 8, 64
DATA = {"seqlen": SEQLEN, "calibration_samples": SAMPLES, "search_windows": SAMPLES, "report_windows": SAMPLES}

WORK = """
import json, os, sys, tempfile, threading
from pathlib import Path
import torch
from autoprune.config import Config
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import measure as evaluate
from autoprune.evaluation.perplexity import window_losses
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.statistics_cache import StatisticsCache
from autoprune.evaluation.texts import SPLITS, Windows
from autoprune.models.statistics import collect_inputs
from autoprune.models.target import load_target
from autoprune.sandbox.memory import figures

small, large, offload, data = *sys.argv[1:4], json.loads(sys.argv[4])
tokens = torch.randint(3, 300, (data["search_windows"], data["seqlen"]))

def anonymous():
    return figures(os.getpid())["RssAnon"]

def load(folder):
    return load_target(folder, "cpu", "float32", offload=offload)

def walk(target):
    collect_inputs(target, tokens)
    window_losses(target, tokens)

def measure(target):
    windows = {split: Windows(split, "random", tokens, split) for split in SPLITS}
    with tempfile.TemporaryDirectory() as folder:
        cache = StatisticsCache(target, windows["calibration"], Path(folder, "bundles"))
        bench = Bench(target, windows, Config.model_validate({"model": "random", "data": data}), cache)
        evaluate(bench, Published.named("wanda"), Recipe(0.5), "search")

def peak(work):
    most, over = [], threading.Event()
    def look():
        while not over.wait(0.001):
            most.append(anonymous())
    watch = threading.Thread(target=look)
    watch.start()
    try:
        made = work()
    finally:
        over.set()
        watch.join()
    return max(most), made

woken = load(small)  # libraries and thread pools wake up
walk(woken)
measure(woken)
before = anonymous()
loaded, target = peak(lambda: load(large))
walked, _ = peak(lambda: walk(target))
measured, _ = peak(lambda: measure(target))
print(json.dumps([each - before for each in (loaded, walked, measured)]))
"""


@pytest.fixture(scope="module")
def large(tiny_model, tmp_path_factory) -> Path:
    """A model whose blocks are much larger than anything else of it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=384,
        hidden_size=HIDDEN,
        intermediate_size=4 * HIDDEN,
        num_hidden_layers=BLOCKS,
        num_attention_heads=4,
        num_key_value_heads=4,
    )
    into = tmp_path_factory.mktemp("large")
    LlamaForCausalLM(config).save_pretrained(into)
    for file in tiny_model.glob("*token*"):
        shutil.copy(file, into)
    return into


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("offload", ["none", "disk"])
def test_memory_is_what_was_predicted_and_on_disk_that_of_one_block(tiny_model, large, cache, offload):
    words = [str(tiny_model), str(large), offload, json.dumps(DATA)]
    done = subprocess.run([sys.executable, "-c", WORK, *words], capture_output=True, text=True, check=True)
    loaded, walked, measured = json.loads(done.stdout)
    size = Footprint(empty_model(str(large)))
    needs = MemoryEstimate(size, Config.model_validate({"data": DATA}), torch.float32, offload, gpu=False)
    assert measured / 4 < needs.measuring(SAMPLES).host < 4 * measured
    blocks = 4 * sum(size.blocks)
    if offload == "none":
        assert loaded < 2 * needs.load().host  # less where the weights are mapped from files of their dtype
        assert measured > 2 * blocks  # with the pristine copies
    else:
        assert max(loaded, walked) < blocks / 3  # a block of 24, hidden states, and what the allocator holds back
        assert measured < blocks
