"""Which stacks of decoder blocks can be passed one at a time, on small models whose code does one odd thing each."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig

from autoprune.errors import UsageError
from autoprune.evaluation.perplexity import window_losses
from autoprune.models.statistics import collect_inputs
from autoprune.models.target import Target
from autoprune.models.walk import passed_through, walk
from tests.architectures.families import tiny

WIDTH, VOCABULARY = 8, 32
WINDOWS = torch.randint(VOCABULARY, (4, 10), generator=torch.Generator().manual_seed(2))
ELSEWHERE = torch.device("cpu", 0)
"""Another name for the same place: blocks come and go."""


class Block(nn.Module):
    """A causal block: running means of what a linear layer makes of its inputs, plus what else it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.up_proj = nn.Linear(WIDTH, 2 * WIDTH)
        self.down_proj = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, hidden: Tensor, extra: Tensor | None = None, scale: tuple[Tensor, ...] = ()) -> Any:
        means = hidden.cumsum(-2) / torch.arange(1, hidden.shape[-2] + 1)[:, None]
        given = means if extra is None else means + extra
        for each in scale:
            given = given * each
        return hidden + self.down_proj(torch.relu(self.up_proj(given)))


class Stack(nn.Module):
    """A causal language model of three blocks; the test's models differ in `run`."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config = LlamaConfig(hidden_size=WIDTH, num_attention_heads=1, num_hidden_layers=3)
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(self.block() for _ in range(3))
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def block(self) -> nn.Module:
        return Block()

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden

    def forward(self, tokens: Tensor, use_cache: bool = False) -> Any:
        return SimpleNamespace(logits=self.head(self.run(self.embedding(tokens), tokens)))


class TokensBesideThem(Stack):
    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        extra = self.embedding(tokens) * 2
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden, extra=extra * index, scale=(torch.full((WIDTH,), 0.5), extra.abs().clamp(max=1)))
        return hidden


class FourDimensions(Stack):
    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        streams = torch.stack([hidden, hidden * 2])
        for layer in self.layers:
            streams = layer(streams)
        return streams.mean(0)


class InAList(Stack):
    class Listing(Block):
        def forward(self, hidden: Tensor, extra: Tensor | None = None, scale: tuple[Tensor, ...] = ()) -> Any:
            return [super().forward(hidden, extra, scale), None]

    def block(self) -> nn.Module:
        return self.Listing()

    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        for layer in self.layers:
            hidden, nothing = layer(hidden=hidden)
            assert nothing is None
        return hidden


class HandingOn(Stack):
    """As GLM's sparse attention hands the chosen positions to the next block."""

    class Hander(Block):
        def forward(self, hidden: Tensor, extra: Tensor | None = None, scale: tuple[Tensor, ...] = ()) -> Any:
            return super().forward(hidden, extra, scale), hidden.cumsum(-2).sign()

    def block(self) -> nn.Module:
        return self.Hander()

    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        handed = None
        for layer in self.layers:
            hidden, handed = layer(hidden, handed)
        return hidden


class ChangedBetween(HandingOn):
    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        handed = None
        for layer in self.layers:
            hidden, handed = layer(hidden, None if handed is None else handed * 2)
        return hidden


class RescaledBetween(Stack):
    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        for layer in self.layers:
            hidden = layer(hidden) / 2
        return hidden


class InputsFromHiddenStates(Stack):
    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        for layer in self.layers:
            hidden = layer(hidden, extra=hidden.cumsum(-2))
        return hidden


class Remembering(Stack):
    class Keeper(Block):
        last: Tensor | None = None

        def forward(self, hidden: Tensor, extra: Tensor | None = None, scale: tuple[Tensor, ...] = ()) -> Any:
            last, self.last = self.last, hidden
            return super().forward(hidden, last if last is not None and last.shape == hidden.shape else None)

    def block(self) -> nn.Module:
        return self.Keeper()


class OutOfOrder(Stack):
    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        for index in (1, 0, 2):
            hidden = self.layers[index](hidden)
        return hidden


class Looping(Stack):
    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        return super().run(super().run(hidden, tokens), tokens)


class OneBlockTwice(Stack):
    def __init__(self) -> None:
        super().__init__()
        self.layers[2] = self.layers[0]


class Skipping(Stack):
    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        return self.layers[2](self.layers[0](hidden))


class LayerFromOutside(Stack):
    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        return super().run(hidden + self.layers[1].down_proj(self.layers[1].up_proj(hidden)), tokens)


class Returning(Stack):
    class Named(Block):
        def forward(self, hidden: Tensor, extra: Tensor | None = None, scale: tuple[Tensor, ...] = ()) -> Any:
            return {"hidden": super().forward(hidden, extra, scale)}

    def block(self) -> nn.Module:
        return self.Named()

    def run(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        for layer in self.layers:
            hidden = layer(hidden)["hidden"]
        return hidden


def norms(model: nn.Module) -> dict[str, Tensor]:
    """The norm of each linear layer's inputs over whole passes."""
    squares: dict[str, Tensor] = {}
    watched = [(name, each) for name, each in model.named_modules() if isinstance(each, nn.Linear) and "layers" in name]

    def note(name: str, inputs: Tensor) -> None:
        squares[name] = squares.get(name, torch.zeros(())) + inputs.reshape(-1, inputs.shape[-1]).square().sum(0)

    handles = [
        each.register_forward_pre_hook(lambda module, args, name=name: note(name, args[0])) for name, each in watched
    ]
    with torch.inference_mode():
        for window in WINDOWS:
            model(window[None])
    for handle in handles:
        handle.remove()
    return {name: total.sqrt() for name, total in squares.items()}


@pytest.mark.parametrize("kind", [Stack, TokensBesideThem, FourDimensions, InAList, HandingOn])
def test_blocks_of_other_forms_are_passed_one_at_a_time(kind):
    expected, losses = norms(kind()), window_losses(Target(kind(), None, "whole"), WINDOWS)
    for device in (None, ELSEWHERE):
        target = Target(kind(), None, "model", device)
        assert target.offloaded == (device is ELSEWHERE)
        statistics = collect_inputs(target, WINDOWS)
        for name, norm in expected.items():
            torch.testing.assert_close(statistics[name]["input_norm"], norm)
        assert window_losses(target, WINDOWS) == losses
        for sequential in (False, True):
            seen: dict[str, Tensor] = {}
            for _ in walk(
                target, WINDOWS, lambda info, x, seen=seen: seen.setdefault(info.name, x.clone()), sequential
            ):
                pass
            assert seen.keys() == expected.keys()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (ChangedBetween, "what a decoder block takes from an earlier one is computed between them"),
        (RescaledBetween, "the logits differ from those of a whole pass"),
        (InputsFromHiddenStates, "the logits differ from those of a whole pass"),
        (Remembering, "the logits differ from those of a whole pass"),
        (OutOfOrder, "layers are called in the order 1, 0, 2"),
        (Looping, "layers.0 is called 2 times"),
        (OneBlockTwice, "layers.0 is called 2 times"),
        (Skipping, "layers.1 is not called"),
        (LayerFromOutside, "layers.1.up_proj is called from outside of its decoder block"),
        (Returning, "a decoder block returns a dict"),
    ],
)
def test_a_stack_that_cannot_be_passed_block_by_block_is_refused_in_one_line(kind, why):
    line = (
        f"model is a {kind.__name__}, whose decoder blocks cannot be passed one at a time ({why}); "
        "it can be evaluated with offload=none, but not pruned"
    )
    target = Target(kind(), None, "model")
    with pytest.raises(UsageError) as caught:
        collect_inputs(target, WINDOWS)
    assert str(caught.value) == line
    with pytest.raises(UsageError) as caught:
        next(walk(target, WINDOWS, lambda info, inputs: None, sequential=True))
    assert str(caught.value) == line
    with pytest.raises(UsageError) as caught:
        next(passed_through(target, WINDOWS, 2))
    assert str(caught.value) == line
    assert all(loss > 0 for loss in window_losses(target, WINDOWS))


def test_a_model_that_halves_its_states_every_few_blocks_is_refused():
    model: Any = tiny("rwkv")
    model.config.rescale_every = 1
    with pytest.raises(UsageError, match="the logits differ from those of a whole pass"):
        collect_inputs(Target(model, None, "rwkv"), WINDOWS)


def test_the_check_is_made_once_and_whatever_the_weights_are_by_then():
    target = Target(Stack(), None, "model", ELSEWHERE)
    passes: list[int] = []
    target.model.register_forward_hook(lambda *ignored: passes.append(1))
    with target.edited() as edits:
        edits.weight("layers.1.up_proj", torch.zeros(2 * WIDTH, WIDTH))
        first = window_losses(target, WINDOWS)
        count = len(passes)
        assert window_losses(target, WINDOWS) == first
        assert len(passes) - count < count
        count = len(passes) - count
    assert window_losses(target, WINDOWS) != first
    passes.clear()
    collect_inputs(target, WINDOWS)
    assert passes == []


def test_arguments_that_are_the_same_for_every_window_are_kept_once():
    from autoprune.models.passages import passages

    target = Target(TokensBesideThem(), None, "model")
    entered = passages(target, WINDOWS.split(1))
    constants = {id(passage._calls[index][1]["scale"][0]) for passage in entered for index in range(3)}
    extras = {id(passage._calls[index][1]["extra"]) for passage in entered for index in (1, 2)}
    assert (len(constants), len(extras)) == (3, 2 * len(WINDOWS))
