"""A worker as a process on the coordinator's machine, with which it ends.

It is asked by pickles of (method, arguments) and answers by pickles:

    python -m autoprune.executors.serve CHANNEL_DESCRIPTOR PARENT_PID
"""

import pickle
import sys
from multiprocessing.connection import Connection

from autoprune.sandbox.inside import jail


def serve(channel: Connection) -> None:
    """Answer until the coordinator hangs up."""
    # Not at the top: a search may be killed while torch is imported, and this process must know by then.
    from autoprune.executors.worker import Worker

    worker = Worker()
    while True:
        try:
            method, arguments = pickle.loads(channel.recv_bytes())
        except EOFError:
            return
        channel.send_bytes(pickle.dumps(getattr(worker, method)(*arguments)))


if __name__ == "__main__":
    jail.die_with_parent(int(sys.argv[2]))
    serve(Connection(int(sys.argv[1])))
