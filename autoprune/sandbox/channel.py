"""The trusted side of a worker's channel: send questions, enforce the time limit, read answers, end the worker.

All data comes from a process that the candidate controls. Any misbehaviour ends with the worker killed and a
CandidateFailure with stage and reason.
"""

import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from autoprune.errors import CandidateFailure
from autoprune.sandbox import answers, protocol
from autoprune.sandbox.base import Worker
from autoprune.sandbox.protocol import readable
from autoprune.sandbox.score_buffer import Output
from autoprune.sandbox.timings import TimeBudget
from autoprune.text_files import clean

_TICK = 0.05  # seconds between checks of the worker from outside
_MAX_MESSAGE = 2000
PRINTED = 64 * 1024
"""Bytes of a candidate's output that are kept."""
DEATHS: dict[int, tuple[str, str]] = {
    signal.SIGSEGV: ("crashed", "the process died of a segmentation fault"),
    signal.SIGABRT: ("crashed", "the process was aborted"),
    signal.SIGBUS: ("crashed", "the process died of a bus error"),
    signal.SIGXCPU: ("timeout", "the process used up its processor time"),
}
"""(reason, message) by the signal that ended a worker."""

A = TypeVar("A", bound=answers.Answer)


class WorkerChannel:
    """The questions to one worker and its answers, in order. `allowance`: the time that all workers share."""

    def __init__(self, worker: Worker, allowance: TimeBudget) -> None:
        self._worker = worker
        self._allowance = allowance
        self._next_id = 1
        self._asked: deque[tuple[int, type[answers.Answer]]] = deque()
        """Ids of the questions whose answers have not been read, oldest first, with the type of the answer."""
        self._paused = False
        self._output = Output(PRINTED)

    @property
    def diagnostics(self) -> str:
        return self._output.text()

    @property
    def memory(self) -> int | None:
        return self._worker.memory()

    def close(self) -> None:
        """End the worker and free the output, which remains readable."""
        self._worker.close()
        self._output.close()

    def _catch_up(self, stage: str) -> None:
        """Read the answers that remain of a generator of scores or edits that was not exhausted."""
        while self._asked:
            self._answer(stage, self._asked[0][1])

    def _ask(self, stage: str, kind: type[answers.Answer], descriptors: tuple[int, ...] = (), **question: Any) -> None:
        number, self._next_id = self._next_id, self._next_id + 1
        if self._paused:
            self._worker.resume()
            self._paused = False
        channel = self._worker.channel
        channel.settimeout(max(self._allowance.left, 0.001))
        try:
            with self._allowance.waiting():
                if not self._asked and readable(channel, 0) and channel.recv(1, socket.MSG_PEEK):
                    self._fail(stage, "protocol", "the worker spoke before it was asked")
                data = protocol.encode({"id": number, **question}, protocol.MAX_QUESTION)
                if descriptors:
                    sent = socket.send_fds(channel, [data[: protocol.HEADER.size]], descriptors)
                    data = data[sent:]
                channel.sendall(data)
        except TimeoutError:
            self._fail(stage, "timeout", f"the worker did not take a question for {self._allowance.seconds:g} s")
        except ConnectionError:
            if not self._asked:  # otherwise reading the next answer reports the layer
                self._fail(stage, *self._worker.ended())
        self._asked.append((number, kind))

    def _answer(self, stage: str, kind: type[A], layer: str = "") -> A:
        where = f" (layer {layer})" if layer else ""
        try:
            with self._allowance.waiting() as deadline:
                answer = answers.read(protocol.read_message(self._reader(stage, deadline, where)), kind)
        except protocol.ProtocolError as error:
            self._fail(stage, "protocol", f"{error}{where}")
        except (EOFError, ConnectionError):
            reason, message = self._worker.ended()
            self._fail(stage, reason, f"{message}{where}")
        if answer.id != self._asked.popleft()[0]:
            self._fail(stage, "protocol", f"the worker answered another question{where}")
        if isinstance(answer, answers.Failed):
            failure = answer.failure
            self._fail(failure.stage, failure.reason, clean(" ".join(failure.message[:_MAX_MESSAGE].split())))
        return answer

    def _reader(self, stage: str, deadline: float, where: str) -> Callable[[int], bytes]:
        def read(length: int) -> bytes:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    self._fail(stage, "timeout", f"no answer within {self._allowance.seconds:g} s{where}")
                if readable(self._worker.channel, min(left, _TICK)):
                    return self._worker.channel.recv(length)
                if over := self._worker.overuse():
                    self._fail(stage, over[0], over[1] + where)

        return read

    def _fail(self, stage: str, reason: str, message: str) -> NoReturn:
        diagnostics = self.diagnostics
        self._worker.close()
        raise CandidateFailure(stage, reason, message, diagnostics)

    def _pause(self) -> None:
        """Suspend the worker, so that remaining threads of the candidate do not run while trusted code measures."""
        self._worker.pause()
        self._paused = True
