"""The warm process of the sandbox `local`, which imports torch once and is forked for every candidate.

It has one thread and never runs a candidate's code. Requests on its control socket:

    {"do": "fork", "id"} with one descriptor, the worker's channel  ->  {"id", "pid"}
    {"do": "reap", "id", "pid"} of a process that has ended         ->  {"id", "status"}

    python -m autoprune.sandbox.inside.zygote CONTROL_DESCRIPTOR PARENT_PID
"""

import functools
import gc
import os
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

from autoprune.sandbox import protocol
from autoprune.sandbox.inside import jail
from autoprune.sandbox.paths import readable_paths


def answer_requests(control: socket.socket) -> None:
    """Fork and reap until the other side closes the socket."""
    # Imports torch, so only after `die_with_parent`: the search may be killed meanwhile.
    from autoprune.sandbox.inside.worker import receive_with_descriptors, serve

    serve_candidate = functools.partial(serve, readable=readable_paths())
    gc.collect()
    gc.freeze()  # keeps existing objects shared between all forks
    control.sendall(protocol.encode({"id": 0, "ready": True}))
    while True:
        try:
            request, descriptors = receive_with_descriptors(control)
        except EOFError:
            return
        content: dict[str, Any] = {"id": request["id"]}
        if request["do"] == "fork":
            content["pid"] = _fork(control, descriptors[0], serve_candidate)
        else:
            content["status"] = os.waitstatus_to_exitcode(os.waitpid(request["pid"], 0)[1])
        control.sendall(protocol.encode(content))


def _fork(control: socket.socket, channel: int, serve_candidate: Callable[[socket.socket], None]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(channel)
        return pid
    code = 1
    try:
        control.close()
        jail.die_with_parent(parent)
        os.setsid()
        serve_candidate(socket.socket(fileno=channel))
        code = 0
    finally:  # the fork must never return into the loop above
        if code:
            traceback.print_exc()
        os._exit(code)


if __name__ == "__main__":
    jail.die_with_parent(int(sys.argv[2]))
    answer_requests(socket.socket(fileno=int(sys.argv[1])))
