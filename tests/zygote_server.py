"""The process that tests/warm_zygotes.py starts: it imports what a sandbox's warm process imports, then forks such
processes.

    python tests/zygote_server.py ADDRESS PARENT_PID
"""

import gc
import os
import signal
import socket
import sys

from autoprune.sandbox.inside import jail, zygote


def serve(address: str) -> None:
    """Fork a warm process for each control socket that is sent to this address, and answer with its process id."""
    import autoprune.sandbox.inside.worker  # noqa: F401 - torch, when `die_with_parent` has been called

    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nothing is left of those that have ended
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{address}")
        listener.listen(64)
        print("ready", flush=True)  # noqa: T201
        while True:
            _answer(listener)


def _answer(listener: socket.socket) -> None:
    asking, _ = listener.accept()
    with asking:
        _, descriptors, _, _ = socket.recv_fds(asking, 1, 1)
        for control in descriptors:
            child = os.fork()
            if child == 0:
                _become(control, listener, asking)
            os.close(control)
            asking.sendall(str(child).encode())


def _become(control: int, *inherited: socket.socket) -> None:
    """In the fork: a warm process as the package starts it, which ends with its control socket."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for each in inherited:
            each.close()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        zygote.answer_requests(socket.socket(fileno=control))
    finally:
        os._exit(0)


if __name__ == "__main__":
    jail.die_with_parent(int(sys.argv[2]))
    serve(sys.argv[1])
