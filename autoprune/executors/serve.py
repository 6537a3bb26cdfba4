"""A worker process on the coordinator's machine, which ends with the coordinator.

It receives pickles of (method, arguments) and answers with pickled results:

    python -m autoprune.executors.serve CHANNEL_DESCRIPTOR PARENT_PID
"""

import pickle
import sys
from multiprocessing.connection import Connection

from autoprune.sandbox.inside import jail


def serve(channel: Connection) -> None:
    """Answer until the coordinator closes the channel."""
    # Imported here: the search may be killed during the slow import of torch, after `die_with_parent` was called.
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
