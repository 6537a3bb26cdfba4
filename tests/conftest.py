"""Fixtures for all rooms: a tiny random model on disk, the built-in model, a cache of the test's own, a PostgreSQL
server."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.postgres_server import PostgresServer, binaries, postgres_server
from tests.steady_text import steady_text

if TYPE_CHECKING:
    from autoprune.evaluation.bench import Bench
    from autoprune.models.target import Target
    from tests.bos_models import BosModels

# Workers with a thread per core each would only fight; torch reads this when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples every time, however slow the machine is.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.load_profile("steady")

pytest_plugins = (
    "tests.remembered",
    "tests.warm_zygotes",
    "tests.small_search",
    "tests.tiny_workbench",
    "tests.programs",
)
"""Imported after the lines above: they import torch."""

VOCABULARY = 384
DATA = {"seqlen": 48, "calibration_samples": 4, "search_windows": 4, "report_windows": 3}


def save_tokenizer(into: Path, texts: list[str] | None = None) -> None:
    """A byte-level BPE tokenizer of VOCABULARY tokens; trained, unless told otherwise, on text that ships inside
    CPython."""
    from pydoc_data.topics import topics

    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    texts = texts or [topics[name] for name in sorted(topics)[:20]]
    trained.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=["<eos>"], show_progress=False)
    PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, eos_token="<eos>").save_pretrained(into)


def pytest_configure() -> None:
    """A shell that runs the tests in the background ignores Ctrl+C, and what the tests start would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def save_tiny_model(into: Path, blocks: int = 3) -> None:
    """A random Llama of a few decoder blocks, hidden size 32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=56,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        # Wide enough that pruning changes what the model says.
        initializer_range=0.25,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(into)


def train(model: Path, text: str, steps: int = 120, windows: int = 16, seqlen: int = 48) -> None:
    """Teach a saved model a little of a text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    learner = AutoModelForCausalLM.from_pretrained(model)
    tokens = torch.tensor(AutoTokenizer.from_pretrained(model)(text, verbose=False)["input_ids"])
    tokens = tokens[: len(tokens) // seqlen * seqlen].view(-1, seqlen)
    chance = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(learner.parameters(), lr=3e-3)
    for _ in range(steps):
        batch = tokens[torch.randint(len(tokens), (windows,), generator=chance)]
        learner(batch, labels=batch).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    learner.save_pretrained(model)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the random model, with a tokenizer."""
    into = tmp_path_factory.mktemp("tiny") / "llama"
    save_tiny_model(into)
    save_tokenizer(into)
    return into


@pytest.fixture(scope="session")
def steady(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings by which a test finds the same under every Python: the tiny model, with a tokenizer and texts that are
    no part of Python, and trained for some seconds, so that pruning its large weights is far worse than its small
    ones."""
    home = tmp_path_factory.mktemp("steady")
    text = home / "text.txt"
    text.write_text(steady_text(), encoding="utf-8")
    save_tiny_model(home / "llama")
    save_tokenizer(home / "llama", [steady_text()])
    train(home / "llama", steady_text())
    return {"model": str(home / "llama"), "data": {"source": str(text), "calibration": str(text)}}


@pytest.fixture(scope="session")
def bos_models(tmp_path_factory: pytest.TempPathFactory) -> "BosModels":
    """Models that need a BOS token in front of a text, and models that do not."""
    from tests.bos_models import save_bos_models

    return save_bos_models(tmp_path_factory.mktemp("bos"))


@pytest.fixture
def tiny_target(tiny_model: Path) -> "Target":
    """The tiny model, loaded in float32 on the CPU."""
    from autoprune.models.target import load_target

    return load_target(str(tiny_model), device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def built_in_model() -> Path:
    """The directory of the built-in model, from the user's cache or downloaded into it."""
    from autoprune.models.gguf_target import gguf_target

    return gguf_target("smollm2-135m")


@pytest.fixture(scope="session", autouse=True)
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the tests confirm is no part of the user's own data."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("data")
        patch.setenv("AUTOPRUNE_DATA", str(place))
        yield place


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory, for this process and those that it starts."""
    monkeypatch.setenv("AUTOPRUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines that the package logs during the test."""
    from autoprune.log import log_to

    lines: list[str] = []
    with log_to(lines.append):
        yield lines


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the tests' own. Skipped on a machine without its binaries, but not in CI, which must have
    them."""
    if binaries() is None:
        missing = "needs a PostgreSQL server's binaries (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with postgres_server() as server:
        yield server


@pytest.fixture
def open_tiny_bench(tiny_model: Path, cache: Path) -> "Callable[..., Bench]":
    """Opens a bench on the tiny model with other settings; statistics go to a cache of the test's own."""
    from autoprune.config import Config
    from autoprune.evaluation.bench import open_bench

    def opened(**settings: object) -> "Bench":
        tree = {"model": str(tiny_model), "device": "cpu", "dtype": "float32", "data": DATA, **settings}
        return open_bench(Config.model_validate(tree), None)

    return opened


@pytest.fixture
def bench(open_tiny_bench: "Callable[..., Bench]") -> "Bench":
    """A bench on the tiny model, in float32 on the CPU."""
    return open_tiny_bench()


@pytest.fixture
def database(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a database without its password, which this process and those that it starts know from elsewhere."""
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    return postgres.url()
