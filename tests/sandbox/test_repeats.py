"""A candidate whose scores do not come back from a fresh process is found out; one whose scores do never is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from autoprune.models.bundle import Bundle
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.local import LocalSandbox
from tests.sandbox.conftest import PATIENT

UNITS = [{"name": str(place), "size": 10, "depth": 0.1 * place, "role": "mixed"} for place in range(5)]
PRELUDE = "import torch\nmodules = torch._utils.traceback.sys.modules\nseen = []\n"
NOT_REPEATABLE = {
    "a counter": "seen.append(1)\n    return w * len(seen)",
    "the order of layers": "seen.append(layer.name)\n    return w + sum(i * ord(c) for i, c in enumerate(seen[0]))",
    "what was seen in the layer before": "seen.append(w.mean())\n    return w + (seen[-2] if len(seen) > 1 else 0)",
    "a clock": "return w + modules['time'].perf_counter_ns() % 1000003",
    "its process' age": "return w * modules['time'].process_time()",
    "its process' number": "return w + modules['os'].getpid() % 10007",
    "the system's chance": "return w + modules['os'].urandom(2)[0] * 256 + modules['os'].urandom(1)[0]",
    "chance with a seed from the clock": "torch.manual_seed(modules['time'].time_ns())\n    return torch.rand_like(w)",
    "chance of another generator": "return w + modules['random'].SystemRandom().random()",
    "addresses of memory": "return w + layer.weight.data_ptr() // 64 % 10007",
    "addresses of objects": "return w + id(score) // 16 % 4099",
    "addresses in names": "return w + sum(map(ord, repr(object())))",
    # Of many sizes, since new pages are all zeros.
    "memory that nobody wrote": "sizes = [1 << k for k in range(4, 16)]\n"
    "    return w + sum(torch.empty(n).nan_to_num(0.5, 0.25, 0.125).abs().clamp(max=9).sum() for n in sizes)",
    "half of its layers": "return w + (modules['os'].urandom(1)[0] if int(layer.depth) == 1 or w.shape[0] < 64 else 0)",
}
REPEATABLE = {
    "a plain score": "return w * layer.input_norm",
    "chance with the seed that is set for it": "return torch.rand_like(w)",
    "products and decompositions": "h = torch.outer(layer.input_norm, layer.input_norm) + torch.eye(w.shape[1])\n"
    "    return (w @ torch.linalg.inv(h)).abs() + torch.linalg.svdvals(w).sum() + torch.linalg.eigh(h)[1][:1]",
    "sorts and quantiles": "return w.sort(dim=-1).values + w.flatten().quantile(0.3) + w.cumsum(1) + w.std()",
    "prints and a cache": "print(layer.name)\n    seen.append(w)\n    return w",
    "sets of words": "return w + list({'a', 'b', layer.role}).index('a')",
    "threads": "torch.set_num_threads(2)\n    return (w @ w.T @ w).abs()",
}


def source(body: str) -> str:
    return f"{PRELUDE}def score(layer):\n    w = layer.weight.abs()\n    {body}\n"


@pytest.fixture(scope="module", params=["one process", "two"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2" if request.param == "two" else "1")
        made = LocalSandbox(PATIENT)
    yield made
    made.close()


def repeats(sandbox: Sandbox, source: str, bundle: Path) -> bool | None:
    with sandbox.open(source, bundle) as session:
        for _ in session.scores(dict.fromkeys([layer.name for layer in Bundle(bundle).layers], 0.5)):
            pass
        return session.repeats()


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in NOT_REPEATABLE.items()])
def test_scores_that_depend_on_more_than_the_layer_do_not_repeat(sandbox: Sandbox, bundle: Path, body: str) -> None:
    # One look in ten or so happens to ask what a candidate answers alike by chance.
    assert any(repeats(sandbox, source(body), bundle) is False for _ in range(10))


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in REPEATABLE.items()])
def test_scores_that_depend_on_the_layer_alone_repeat(sandbox: Sandbox, bundle: Path, body: str) -> None:
    assert repeats(sandbox, source(body), bundle) is True


def test_an_allocation_is_asked_for_again_too(sandbox: Sandbox, bundle: Path) -> None:
    steady = "def allocate(units, sparsity):\n    return [unit.depth for unit in units]\n"
    fickle = steady.replace("unit.depth", "modules['os'].urandom(1)[0]")
    for allocate, comes_back in ((steady, True), (fickle, False)):
        with sandbox.open(source("return w") + allocate, bundle) as session:
            session.allocate(UNITS, 0.5)
            assert session.repeats() is comes_back


def test_one_that_fails_when_it_is_asked_again_does_not_repeat(sandbox: Sandbox, bundle: Path) -> None:
    layers = [layer.name for layer in Bundle(bundle).layers]
    body = f"seen.append(layer.name)\n    assert seen[0] in {layers[:2]}\n    return w"
    assert any(repeats(sandbox, source(body), bundle) is False for _ in range(10))


def test_nothing_is_asked_again_of_one_that_was_asked_nothing(sandbox: Sandbox, bundle: Path) -> None:
    with sandbox.open(source("return w"), bundle) as session:
        assert session.repeats() is None


def test_the_last_sparsity_and_pattern_of_a_layer_count(sandbox: Sandbox, bundle: Path) -> None:
    body = "return w * layer.sparsity + len(layer.pattern)"
    with sandbox.open(source(body), bundle) as session:
        for sparsity, pattern in ((0.5, "none"), (0.75, "none"), (0.5, "2:4")):
            list(session.scores({"layers.0.q": sparsity}, ["layers.0.q"], pattern))
        assert session.repeats() is True


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
@pytest.mark.long
@pytest.mark.parametrize(
    ("body", "comes_back"), [(NOT_REPEATABLE["a counter"], False), (REPEATABLE["a plain score"], True)]
)
def test_docker_asks_a_fresh_container_again(docker: Sandbox, bundle: Path, body: str, comes_back: bool) -> None:
    """Which answers are compared, and how, is the trusted side's, and the same for every engine."""
    assert any(repeats(docker, source(body), bundle) is comes_back for _ in range(1 if comes_back else 3))
