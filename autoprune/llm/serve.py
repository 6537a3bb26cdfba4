"""The process of the local chat server, `python -m autoprune.llm.serve`, started by `local.LocalServer`.

Reads one line of JSON from standard input (`ServeOptions`), writes one line of JSON to standard output ({"url": ...}
once the model is loaded, or {"error": ...}), and ends with its standard input or its parent.
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
    """model: a GGUF file. context: tokens. key: the API key. parent: process id of the starter."""

    model: str
    threads: int
    context: int
    key: str
    parent: int


def main() -> None:
    options: ServeOptions = json.loads(sys.stdin.readline())
    _die_with(options["parent"])
    # The engine may print to standard output: keep the original one for the answer.
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
    # Not destroyed: that would wait for open requests, whose clients are gone.
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
    # Progress through a prompt is reported once per batch, and the default batch takes minutes on a slow machine.
    params.n_batch = 512
    params.cpuparams.n_threads = options["threads"]
    params.cpuparams_batch.n_threads = options["threads"]
    # One question at a time, since two would halve the speed. Prefixes of earlier prompts are cached (in MiB).
    params.n_parallel = 1
    params.cache_prompt = True
    params.cache_ram_mib = 1024
    params.n_threads_http = 4
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1
    return xllamacpp.Server(params)


def _die_with(parent: int) -> None:
    """Ask the kernel (Linux) to kill this process when the parent ends; other systems rely on the end of stdin."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    main()
