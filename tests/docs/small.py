"""How a command in the documentation is made small enough for a test, and which real part plays what it names.

What stands in {braces} is a fixture of tests/docs/conftest.py, or of tests/conftest.py, and only made for a page that
needs it. Each is a real one, only small: a random model of three blocks in place of a pretrained one, the same as a
GGUF file in place of the chat model (it talks nonsense, which a search must survive), a scripted server in place of a
vendor's endpoint, folders in place of the hub's data sets.
"""

from collections.abc import Mapping, Sequence

from tests.small_search import SMALL

MODELS = ("smollm2-135m", "qwen2.5-coder-1.5b", "org/name", "path/to/model", "other/model")
"""Models in the documentation that are the tiny model in its tests."""

INSTEAD = {
    **dict.fromkeys(MODELS, "{tiny_model}"),
    "autoprune": "docs",  # of createdb
    "postgresql://ann@db.example/autoprune": "{database_server}/docs",
    "head:6379": "{ray_head}",
    "http://localhost:4318": "{collector_url}",
    "rootfs.tar": "{rootfs}",
}
"""Words of a command, and what a test has in their place."""

SHORT = ("--seqlen", "64", "--windows", "4", "--device", "cpu", "--dtype", "float32")
ALGORITHMS = (*SHORT, "--calibration-samples", "4", "--sandbox", "local", "--model", "{tiny_model}")
SEARCH = ("--max-candidates", "2", "--sandbox", "local", "--model", "{tiny_model}", "advanced.layer_error=null")
CHAT = ("llm.max_reply_tokens=20", "llm.timeout=600", "advanced.revisions=0")
MADE_SMALL = {
    "autoprune search": (*SEARCH, *SMALL),
    "autoprune prune": ALGORITHMS,
    "autoprune compare": ALGORITHMS,
    "autoprune evaluate": SHORT,
    "autoprune sandbox build": ("--image", "{image}"),
    # In containers tests/sandbox/test_check.py does the same.
    "autoprune sandbox check": ("--sandbox", "local"),
    "python benchmarks/gcot_ablation.py": (
        *("--candidates", "1", "--seeds", "1", "--only", "full", "--model", "{tiny_model}"),
        *SMALL,
    ),
    "pip install": ("--dry-run", "--no-index", "--no-build-isolation", "--disable-pip-version-check"),
    # What `make search` takes for the search is one word of make's.
    "make search": (*SEARCH, *SMALL, "--llm", "local", "llm.model={tiny_gguf}", *CHAT),
}
"""What is appended to commands that begin so; the last of two values of an option counts."""

NAMED = {
    "--llm local": ("llm.model={tiny_gguf}", *CHAT),
    "--llm self": ("--model", "{tiny_gguf}", *CHAT),
    "--llm openai": ("llm.base_url={chat_url}", "llm.profile=small"),
    "--sandbox docker": ("--sandbox", "docker", "sandbox.image={image}"),
    "--from rootfs.tar": ("--image", "{image_of_rootfs}"),
    "--executor processes": ("--workers", "1"),
    "--executor ray": ("--workers", "1"),
    "baselines.tune=true": ("baselines.scores=[wanda]", "baselines.allocations=[uniform,dlp]"),
    "device=cuda": ("device=cuda",),
}
"""What is appended after that to commands with this text in them."""

ONCE = ("autoprune sandbox check",)
"""Commands that take long, and are the same on every page: the first that has them runs them."""

NEEDS = {
    "wikitext2": "hub",
    "--tasks": "hub",
    "createdb": "database_server",
    "docker-engine": "engine",
}
"""Parts that must be there before a command with this text in it, without being named by one of its words."""


def made_small(words: Sequence[str], parts: Mapping[str, object]) -> list[str]:
    """The same command, for a test."""
    program, *rest = words
    command = " ".join(words)
    for text, name in NEEDS.items():
        if text in command:
            assert parts[name] is not None
    small = [word for start, more in MADE_SMALL.items() if f"{command} ".startswith(f"{start} ") for word in more]
    small += [word for text, more in NAMED.items() if text in command for word in more]
    small = [word.format_map(parts) for word in small]
    if program == "make":
        small = [f"ARGS={' '.join(small)}"]
    return [program, *(INSTEAD[word].format_map(parts) if word in INSTEAD else word for word in rest), *small]
