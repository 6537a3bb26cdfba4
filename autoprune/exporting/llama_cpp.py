"""llama.cpp as a runtime that is measured: tokens, losses, completions and speed of a GGUF file.

The engine of the extra `local-llm` offers an HTTP server alone, so that is what is asked.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from autoprune.errors import AutoPruneError, ChatError, first_line
from autoprune.llm.local import LocalServer
from autoprune.llm.provider import engine_problem as engine_problem

FORCED = 1e6
"""Added to a token's logit so that it is the next one; the reported probability is that before the addition."""
SECONDS = 600.0


class LlamaCpp:
    """Context manager of a llama.cpp that serves a GGUF file on loopback.

    `context`: positions. Raises AutoPruneError if the file cannot be loaded or a request fails.
    """

    def __init__(self, file: Path, context: int) -> None:
        self._file = file
        self._server = LocalServer(file, context=context)
        self._stack = ExitStack()
        self._client: httpx.Client | None = None

    def __enter__(self) -> "LlamaCpp":
        try:
            server = self._stack.enter_context(self._server)
        except ChatError as error:
            raise AutoPruneError(f"llama.cpp does not load {self._file.name}: {error}") from None
        self._client = self._stack.enter_context(
            httpx.Client(
                base_url=server.base_url.removesuffix("/v1"),
                headers={"Authorization": f"Bearer {server.api_key}"},
                timeout=SECONDS,
                trust_env=False,  # a proxy has no business on loopback
            )
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, with special tokens recognised and none added."""
        answer = self._ask("/tokenize", {"content": text, "add_special": False, "parse_special": True})
        return [int(token) for token in answer["tokens"]]

    def loss(self, tokens: Sequence[int], first: int = 1, advance: Callable[[int], None] = lambda count: None) -> float:
        """The mean cross-entropy in nats of tokens[first:], each given those before it.

        The server gives no probabilities of a prompt, so every token is forced in turn, behind a prompt that is kept.
        """
        total = 0.0
        for at in range(first, len(tokens)):
            total -= self._log_probability(list(tokens[:at]), int(tokens[at]))
            advance(1)
        return total / (len(tokens) - first)

    def complete(self, prompt: Sequence[int] | str, count: int) -> tuple[str, dict[str, float]]:
        """The text of at most `count` greedily chosen tokens, and the server's timings."""
        answer = self._ask("/completion", {"prompt": prompt, "n_predict": count, **_GREEDY, "cache_prompt": False})
        return str(answer["content"]), dict(answer["timings"])

    def speed(self, prompt: Sequence[int], count: int) -> tuple[float, float]:
        """Tokens per second of prefill, over the prompt, and of decoding, over `count` tokens without an early end."""
        request = {"prompt": list(prompt), "n_predict": count, "ignore_eos": True, **_GREEDY, "cache_prompt": False}
        timings = self._ask("/completion", request)["timings"]
        return float(timings["prompt_per_second"]), float(timings["predicted_per_second"])

    def _log_probability(self, prompt: list[int], token: int) -> float:
        request = {"prompt": prompt, "n_predict": 1, "n_probs": 1, "logit_bias": [[token, FORCED]], **_GREEDY}
        [choice] = self._ask("/completion", request)["completion_probabilities"]
        if choice["id"] != token or choice["logprob"] is None:
            raise AutoPruneError(f"llama.cpp gives no probability for token {token} of {self._file.name}")
        return float(choice["logprob"])

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        assert self._client is not None
        try:
            reply = self._client.post(path, json=body)
            reply.raise_for_status()
            return reply.json()
        except (httpx.HTTPError, ValueError) as error:
            raise AutoPruneError(f"llama.cpp fails with {self._file.name}: {first_line(error)}") from None


_GREEDY = {"temperature": 0.0, "samplers": ["temperature"], "cache_prompt": True, "id_slot": 0}
