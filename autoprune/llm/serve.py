"""The local chat server's own process: `python -m autoprune.llm.serve`, started by `local.LocalServer` only.

Reads one line of JSON from standard input (`ServeOptions`), answers with one line of JSON on standard output
({"url": ...} once the model answers, or {"error": ...}), and lives until standard input ends or its parent dies.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, TypedDict

_PR_SET_PDEATHSIG = 1
HOST = "127.0.0.1"


class ServeOptions(TypedDict):
    """model: a GGUF file. context: tokens. key: what callers must send. parent: our starter."""

    model: str
    threads: int
    context: int
    key: str
    parent: int


def main() -> None:
    options: ServeOptions = json.loads(sys.stdin.readline())
    _die_with(options["parent"])
    # The engine may print to our standard output: keep the real one for the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        server = _start(options)
    except RuntimeError as error:
        problem = f"the engine cannot load {options['model']} ({error}); is it a whole GGUF file, is memory left?"
        print(json.dumps({"error": problem}), file=answer, flush=True)
        return
    print(json.dumps({"url": server.listening_address + "/v1"}), file=answer, flush=True)
    sys.stdin.read()
    # Destroying the server waits for open requests; nobody is left who wants their answers.
    os._exit(0)


def _start(options: ServeOptions) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options["model"]
    params.model_alias = {Path(options["model"]).stem}
    params.hostnames = [HOST]
    params.port = 0  # any free one
    params.api_keys = [options["key"]]
    params.n_ctx = options["context"]
    # Progress through a prompt is reported once a batch: on a slow machine the default one takes minutes.
    params.n_batch = 512
    params.cpuparams.n_threads = options["threads"]
    params.cpuparams_batch.n_threads = options["threads"]
    # One question at a time: two would halve each other. Prefixes of earlier prompts are kept (in MiB).
    params.n_parallel = 1
    params.cache_prompt = True
    params.cache_ram_mib = 1024
    params.n_threads_http = 4
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1
    return xllamacpp.Server(params)


def _die_with(parent: int) -> None:
    """Ask the kernel (Linux) to kill us when the parent goes, however it goes; elsewhere the end of stdin must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    main()
