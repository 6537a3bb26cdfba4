"""The trusted side of a worker's channel: send questions, enforce the time limit, copy tensors once, check the copies.

All data comes from a process that the candidate controls. Any misbehaviour ends with the worker killed and a
CandidateFailure with stage and reason.
"""

import contextlib
import itertools
import math
import os
import secrets
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from autoprune.candidates.contract import edits_defined
from autoprune.config_sections import SandboxSettings
from autoprune.cores import sandbox_threads
from autoprune.errors import CandidateFailure
from autoprune.pruning.layers import LayerEdit, MakeMask
from autoprune.sandbox import answers, edit_checks, protocol
from autoprune.sandbox.base import Worker
from autoprune.sandbox.protocol import readable
from autoprune.sandbox.score_buffer import PLACES, Output, ScoreBuffer
from autoprune.sandbox.timings import ReportedTimings, TimeBudget
from autoprune.text_files import clean

if TYPE_CHECKING:
    from torch import Tensor

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


def lengthened(settings: SandboxSettings, times: float) -> SandboxSettings:
    """The settings with a multiple of the seconds."""
    return settings.model_copy(update={"seconds": settings.seconds * times})


class WorkerSession:
    """One candidate in one worker, a member of a ParallelSession. `allowance`: the time that all members share."""

    def __init__(
        self, worker: Worker, source: str, folder: Path, settings: SandboxSettings, allowance: TimeBudget | None = None
    ) -> None:
        from autoprune.models.bundle import Bundle

        self._worker = worker
        self._allowance = allowance or TimeBudget(settings.seconds)
        self._bundle = Bundle(folder)
        self._shapes = {layer.name: layer.shape for layer in self._bundle.layers}
        self._roles = {layer.name: layer.role for layer in self._bundle.layers}
        self.edits_defined = edits_defined(source)
        self.layers = tuple(self._shapes)
        """Names, in the bundle's order."""
        self._next_id = 1
        self._asked: deque[tuple[int, type[answers.Answer]]] = deque()
        """Ids of the questions whose answers have not been read, oldest first, with the type of the answer."""
        self._paused = False
        self._output = Output(PRINTED)
        self.claims = ReportedTimings()
        self._slot = ScoreBuffer(max((rows * columns for rows, columns in self._shapes.values()), default=1))
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            answer = self._open(source, folder, settings)
            undo.pop_all()
        self.group = answer.group
        self.unit = answer.unit
        self.has_allocate = answer.allocate

    @property
    def diagnostics(self) -> str:
        return self._output.text()

    @property
    def memory(self) -> int | None:
        return self._worker.memory()

    def allocate(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        stage = "allocate"
        self._catch_up(stage)
        self._ask(stage, answers.Allocated, do="allocate", units=[dict(unit) for unit in units], sparsity=sparsity)
        densities = self._answer(stage, answers.Allocated).densities
        self._pause()
        if len(densities) != len(units):
            self._fail(stage, "shape", f"allocate returned {len(densities)} numbers for {len(units)} units")
        return densities

    def scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
    ) -> Iterator[tuple[str, "Tensor"]]:
        return self._scores(sparsity, layers, pattern, PLACES)

    def edits(
        self,
        sparsity: Mapping[str, float],
        make_mask: MakeMask,
        layers: Sequence[str] | None = None,
        pattern: str = "none",
    ) -> Iterator[LayerEdit]:
        given: deque[tuple[str, Tensor]] = deque()
        # The worker scores one layer ahead, so that its answers alternate between scores and edits.
        for position, (name, score) in enumerate(self._scores(sparsity, layers, pattern, 1)):
            mask = make_mask(name, score)
            self._ask_edit(name, sparsity[name], pattern, mask, position % PLACES)
            given.append((name, mask))
            if position:
                yield self._edited(*given.popleft(), pattern, (position - 1) % PLACES)
        while given:
            yield self._edited(*given.popleft(), pattern, position % PLACES)

    def edit(self, name: str, sparsity: float, mask: "Tensor", pattern: str = "none") -> LayerEdit:
        """Refine the mask [out, in] of one layer and update its weight."""
        self._catch_up("refine")
        self._ask_edit(name, sparsity, pattern, mask, 0)
        return self._edited(name, mask, pattern, 0)

    def _scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None, pattern: str, ahead: int
    ) -> Iterator[tuple[str, "Tensor"]]:
        """Scores, asking for up to `ahead` layers before the first answer is read."""
        names = list(self.layers) if layers is None else list(layers)
        if not names:
            return
        self._catch_up("score")
        questions = enumerate(names)
        for question in itertools.islice(questions, ahead):
            self._ask_score(sparsity, pattern, *question)
        for position, name in enumerate(names):
            answer = self._answer("score", answers.Scored, name)
            if answer.shape != list(self._shapes[name]):
                self._fail("check", "shape", f"scores of another shape than {name}, a {self._shapes[name]} weight")
            self.claims.add(answer, self._roles[name])
            tensor = self._slot.scores(self._shapes[name], position % PLACES)
            # The worker already scores the next layer; this place is free for the one after that.
            for question in itertools.islice(questions, 1):
                self._ask_score(sparsity, pattern, *question)
            self._check(name, tensor)
            if not self._asked:
                self._pause()
            yield name, tensor

    def _ask_edit(self, name: str, sparsity: float, pattern: str, mask: "Tensor", place: int) -> None:
        self._slot.put_mask(mask, place)
        where: dict[str, Any] = {"layer": name, "sparsity": sparsity, "pattern": pattern, "place": place}
        self._ask("refine", answers.Edited, do="edit", **where)

    def _edited(self, name: str, given: "Tensor", pattern: str, place: int) -> LayerEdit:
        """The answer to the oldest question about an edit, checked. The mask that was given is our own, never that in
        the buffer."""
        stage = "refine" if "refine" in self.edits_defined else "update"
        self.claims.add(self._answer(stage, answers.Edited, name), self._roles[name])
        shape, mask, weight = self._shapes[name], given, None
        try:
            if "refine" in self.edits_defined:
                mask = edit_checks.refined_mask(self._slot.mask(shape, place), given, self.group, pattern)
            if "update" in self.edits_defined:
                dtype = self._bundle.weight(name).dtype
                weight = edit_checks.updated_weight(self._slot.weight(shape, place), mask, dtype)
        except edit_checks.Broken as broken:
            self._fail("check", broken.reason, f"{broken} (layer {name})")
        if not self._asked:
            self._pause()
        return LayerEdit(name, mask, weight)

    def close(self) -> None:
        """End the worker and free the buffers. The output remains readable."""
        self._worker.close()
        for buffer in (self._slot, self._output):
            buffer.close()

    def _open(self, source: str, folder: Path, settings: SandboxSettings) -> answers.Loaded:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._ask(
                "start",
                answers.Loaded,
                (self._slot.descriptor, self._output.descriptor, descriptor),
                do="open",
                source=source,
                output_bytes=self._output.limit,
                memory_bytes=settings.memory_mb * 1024 * 1024,
                processor_seconds=math.ceil(settings.seconds * sandbox_threads()) + 5,
                need_landlock=self._worker.need_landlock,
                gpu=settings.gpu,
                scatter=secrets.randbits(32),
            )
        finally:
            os.close(descriptor)
        answer = self._answer("load", answers.Loaded)
        self._pause()
        return answer

    def _ask_score(self, sparsity: Mapping[str, float], pattern: str, position: int, name: str) -> None:
        place = position % PLACES
        where: dict[str, Any] = {"layer": name, "sparsity": sparsity[name], "pattern": pattern, "place": place}
        self._ask("score", answers.Scored, do="score", **where)

    def _check(self, name: str, tensor: "Tensor") -> None:
        # NumPy uses one thread; torch's threads would compete with the worker, which computes the next layer.
        values = tensor.numpy()
        if not (math.isfinite(values.min()) and math.isfinite(values.max())):
            nan, infinite = int(tensor.isnan().sum()), int(tensor.isinf().sum())
            counts = f"{nan} NaN and {infinite} infinite of {tensor.numel()} scores"
            self._fail("check", "not-finite", f"{counts} in {name}; scores must be finite in float32")

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
