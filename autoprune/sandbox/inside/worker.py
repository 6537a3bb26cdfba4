"""The process that runs one candidate, for `local` and `docker`: warm up, wait, enter the jail, load, score, edit.

Until it enters the jail, only trusted code runs here. Afterwards the candidate controls everything in this process, so
the trusted side validates all messages.

`local` forks it from a warm process (zygote.py); a container runs `python -m autoprune.sandbox.inside.worker SOCKET`.
"""

import faulthandler
import mmap
import os
import random
import socket
import sys
import time
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

import torch

from autoprune.models.bundle import Bundle
from autoprune.pruning.layers import LayerView
from autoprune.pruning.structure_view import StructureSet, structure_view
from autoprune.pruning.threads import one_thread
from autoprune.sandbox import protocol
from autoprune.sandbox.inside import jail
from autoprune.sandbox.inside.candidate import Candidate, Refused, failure
from autoprune.sandbox.memory import forget_peak
from autoprune.sandbox.paths import readable_paths
from autoprune.sandbox.score_buffer import BYTES_PER_WEIGHT, PLACES


class BoundedText(TextIOWrapper):
    """Standard output, which silently drops everything after `limit` bytes, so that verbose candidates do not fail."""

    def __init__(self, descriptor: int, limit: int) -> None:
        super().__init__(
            os.fdopen(descriptor, "wb", buffering=0, closefd=False), "utf-8", "replace", write_through=True
        )
        self._left = limit

    def write(self, text: str) -> int:
        kept = text[: max(self._left, 0)]
        self._left -= len(kept.encode("utf-8", "replace"))
        super().write(kept)
        return len(text)


def serve(channel: socket.socket, readable: Iterable[str]) -> None:
    """Wait for a candidate, then answer questions on it until the other side closes the channel."""

    def answer(question: dict[str, Any], **content: Any) -> None:
        data = protocol.encode({"id": question["id"], **content})
        while data:
            data = data[os.write(channel.fileno(), data) :]

    def read(length: int) -> bytes:
        return os.read(channel.fileno(), length)

    answer({"id": 0}, ready=True)
    opening, descriptors = receive_with_descriptors(channel)
    handed = time.process_time()
    slot, output, folder = descriptors
    stdout = _redirect_output(output, opening["output_bytes"])
    bundle = Bundle(Path(f"/proc/self/fd/{folder}"))
    os.close(folder)
    places, new_weights, masks = _buffers(mmap.mmap(slot, 0))
    os.close(slot)
    device = "cuda" if opening["gpu"] else "cpu"
    if device == "cpu" and bundle.dtype == torch.bfloat16 and _has_tiles():
        # The weights have no more digits than bfloat16, in which products take a third of the time.
        torch.set_float32_matmul_precision("medium")
    torch.zeros(1, device=device)  # opens the driver's files and starts its threads before the jail
    limits = jail.Limits(opening["memory_bytes"], opening["output_bytes"], opening["processor_seconds"])
    jail.shut(limits, readable, need_landlock=opening["need_landlock"], gpu=opening["gpu"])

    padding = _scattered(opening["scatter"])  # noqa: F841  keeps the memory layout
    source = opening["source"]
    question: dict[str, Any] = opening
    stage, where = "load", ""
    candidate: Candidate | None = None
    while True:
        try:
            if candidate is None:
                candidate = Candidate(source)
                answer(question, group=candidate.group, unit=candidate.unit, allocate=candidate.has_allocate)
            elif question["do"] == "score":
                stage = "score"
                with one_thread():  # for copies, waking other threads costs more than it gains
                    view = _on(device, bundle.view(question["layer"], question["sparsity"], question["pattern"]))
                where = f"layer {question['layer']}, weight {list(view.weight.shape)}"
                clock = _Clock(handed)
                scores = candidate.score(view)
                claims = clock.claims()
                with one_thread():
                    places[question["place"]][: scores.numel()].view(scores.shape).copy_(scores)
                answer(question, shape=list(scores.shape), **claims)
            elif question["do"] == "edit":
                stage, place = "refine", question["place"]
                with one_thread():
                    view = _on(device, bundle.view(question["layer"], question["sparsity"], question["pattern"]))
                    count, shape = view.weight.numel(), view.weight.shape
                    given = masks[place][:count].view(shape)
                    mask = given.bool().to(device)
                where = f"layer {question['layer']}, weight {list(shape)}"
                clock = _Clock(handed)
                mask = candidate.refine(view, mask)
                with one_thread():  # in the buffer before `update`, which may change the tensor
                    given.copy_(mask)
                stage, refined = "update", clock.seconds()
                if "update" in candidate.edits:
                    weight = candidate.update(view, mask)
                    with one_thread():
                        new_weights[place][:count].view(shape).copy_(weight)
                claims = clock.claims()
                answer(question, **claims, updating=max(claims["own"] - refined, 0.0))
            elif question["do"] in ("structures", "consumer"):
                stage = "score" if question["do"] == "structures" else "update"
                asked = StructureSet.asked(question["structures"])
                where = f"{asked.count} structures of kind {asked.kind}, block {asked.block}"
                with one_thread():
                    view = structure_view(asked, bundle.layers, lambda name: _on(device, bundle.view(name, 0.0)))
                clock = _Clock(handed)
                if stage == "score":
                    result, places_of, shape = candidate.importances(view), places, {"shape": [asked.count]}
                else:
                    kept = torch.tensor(question["kept"], device=device)
                    result, places_of, shape = candidate.consumer(view, kept), new_weights, {}
                claims = clock.claims()
                if stage == "update":
                    claims["updating"] = claims["own"]
                with one_thread():
                    places_of[question["place"]][: result.numel()].view(result.shape).copy_(result)
                answer(question, **shape, **claims)
            elif question["do"] == "allocate":
                stage, where = "allocate", ""
                answer(question, densities=candidate.allocate(question["units"], question["sparsity"]))
            else:
                raise Refused(stage, "protocol", f"unknown question {question['do']!r}")
        except BaseException as error:  # noqa: BLE001  candidate code may raise anything, SystemExit too
            answer(question, failure=failure(stage, error, source, where))
        stdout.flush()
        try:
            question = protocol.read_message(read, protocol.MAX_QUESTION)
        except EOFError:
            return


class _Clock:
    """Wall clock and processor time since it was made. `handed`: processor time when the candidate was received."""

    def __init__(self, handed: float) -> None:
        self._handed = handed
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self._wall

    def claims(self) -> dict[str, float]:
        """The seconds that an answer reports (timings.ReportedTimings)."""
        now = time.process_time()
        return {"own": self.seconds(), "own_processor": now - self._processor, "processor": now - self._handed}


def _buffers(shared: mmap.mmap) -> tuple[tuple[torch.Tensor, ...], ...]:
    """The places of scores, of new weights (float32) and of masks (uint8) in the shared buffer (score_buffer.py)."""
    weights = len(shared) // BYTES_PER_WEIGHT
    floats = torch.frombuffer(shared, dtype=torch.float32, count=2 * PLACES * weights).chunk(2 * PLACES)
    masks = torch.frombuffer(shared, dtype=torch.uint8, offset=8 * PLACES * weights).chunk(PLACES)
    return floats[:PLACES], floats[PLACES:], masks


def receive_with_descriptors(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A message and the descriptors that were sent with it. Raises EOFError at the end of the stream."""
    first, descriptors, _, _ = socket.recv_fds(channel, protocol.HEADER.size, 8)
    pieces = [first]

    def read(length: int) -> bytes:
        return pieces.pop() if pieces else os.read(channel.fileno(), length)

    return protocol.read_message(read, protocol.MAX_QUESTION), descriptors


def _scattered(seed: int) -> list[bytes | bytearray]:
    """Objects that randomise the memory layout. Otherwise all forks of one process would have the same layout, and
    scores that depend on addresses would seem repeatable."""
    chance = random.Random(seed)
    small = [bytes(size) for size in range(2, 480, 16) for _ in range(chance.randrange(128))]
    return [*small, bytearray(chance.randrange(1 << 20))]


def _has_tiles() -> bool:
    """Whether the processor has bfloat16 matrix products in hardware (AMX); otherwise bfloat16 is slower."""
    return b" amx_bf16" in Path("/proc/cpuinfo").read_bytes()


def _on(device: str, view: LayerView) -> LayerView:
    if device == "cpu":
        return view
    moved = {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in vars(view).items()}
    return LayerView(**moved)


def _redirect_output(descriptor: int, limit: int) -> TextIO:
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    os.set_blocking(1, True)
    sys.stdout = sys.stderr = BoundedText(1, limit)
    faulthandler.enable(file=2)
    return sys.stdout


if __name__ == "__main__":
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    forget_peak()  # excludes the memory of importing torch
    serve(connection, readable_paths())
