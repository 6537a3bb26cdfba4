"""The trusted side of one candidate in one worker: what it is asked, and the checks of what it answers.

All data comes from a process that the candidate controls: tensors are copied once, and the copies are checked. Any
misbehaviour ends with the worker killed and a CandidateFailure with stage and reason.
"""

import contextlib
import itertools
import math
import os
import secrets
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoprune.candidates.contract import edits_defined
from autoprune.config_sections import SandboxSettings
from autoprune.cores import sandbox_threads
from autoprune.pruning.layers import LayerEdit, MakeMask
from autoprune.sandbox import answers, edit_checks
from autoprune.sandbox.base import Worker
from autoprune.sandbox.channel import WorkerChannel
from autoprune.sandbox.score_buffer import PLACES, ScoreBuffer
from autoprune.sandbox.timings import ReportedTimings, TimeBudget

if TYPE_CHECKING:
    from torch import Tensor

    from autoprune.pruning.structure_view import StructureSet


def lengthened(settings: SandboxSettings, times: float) -> SandboxSettings:
    """The settings with a multiple of the seconds."""
    return settings.model_copy(update={"seconds": settings.seconds * times})


class WorkerSession(WorkerChannel):
    """One candidate in one worker, a member of a ParallelSession. `allowance`: the time that all members share."""

    def __init__(
        self, worker: Worker, source: str, folder: Path, settings: SandboxSettings, allowance: TimeBudget | None = None
    ) -> None:
        from autoprune.models.bundle import Bundle

        super().__init__(worker, allowance or TimeBudget(settings.seconds))
        self._bundle = Bundle(folder)
        self._shapes = {layer.name: layer.shape for layer in self._bundle.layers}
        self._roles = {layer.name: layer.role for layer in self._bundle.layers}
        self.edits_defined = edits_defined(source)
        self.layers = tuple(self._shapes)
        """Names, in the bundle's order."""
        self.claims = ReportedTimings()
        self._slot = ScoreBuffer(max((rows * columns for rows, columns in self._shapes.values()), default=1))
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            answer = self._open(source, folder, settings)
            undo.pop_all()
        self.group = answer.group
        self.unit = answer.unit
        self.has_allocate = answer.allocate

    def allocate(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        stage = "allocate"
        self._catch_up(stage)
        with self.claims.allocating():
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

    def importances(self, sets: Sequence["StructureSet"]) -> Iterator["Tensor"]:
        """The importances [count] of the structures of each set, in order. See layers.Session."""
        self._catch_up("score")
        questions = enumerate(sets)
        for question in itertools.islice(questions, PLACES):
            self._ask_importances(*question)
        for position, structures in enumerate(sets):
            name = structures.parts[-1][0]
            answer = self._answer("score", answers.Scored, name)
            if answer.shape != [structures.count]:
                self._fail(
                    "check", "shape", f"importances of another shape than {structures.count} structures ({name})"
                )
            self.claims.add(answer, structures.kind)
            tensor = self._slot.scores((structures.count,), position % PLACES)
            for question in itertools.islice(questions, 1):
                self._ask_importances(*question)
            self._check(name, tensor)
            if not self._asked:
                self._pause()
            yield tensor

    def consumer(self, structures: "StructureSet", kept: "Tensor") -> "Tensor":
        """The new weight [out, kept inputs] of the consumer, in the model's dtype. See layers.Session."""
        self._catch_up("update")
        name = structures.consumer
        self._ask(
            "update", answers.Edited, do="consumer", structures=structures.question(), kept=kept.tolist(), place=0
        )
        self.claims.add(self._answer("update", answers.Edited, name), structures.kind)
        keep, size, out = structures.kept_shape(self._shapes[name])
        weight = self._slot.weight((keep * size, out), 0)
        weight = weight.to(self._bundle.weight(name).dtype)
        self._check(name, weight.float(), "weights", f"in {weight.dtype}".replace("torch.", ""))
        self._pause()
        return weight.T.contiguous()

    def _ask_importances(self, position: int, structures: "StructureSet") -> None:
        self._ask(
            "score",
            answers.Scored,
            do="structures",
            structures=structures.question(),
            place=position % PLACES,
        )

    def close(self) -> None:
        """End the worker and free the buffers. The output remains readable."""
        super().close()
        self._slot.close()

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

    def _check(self, name: str, tensor: "Tensor", what: str = "scores", where: str = "in float32") -> None:
        # NumPy uses one thread; torch's threads would compete with the worker, which computes the next layer.
        values = tensor.numpy()
        if not (math.isfinite(values.min()) and math.isfinite(values.max())):
            nan, infinite = int(tensor.isnan().sum()), int(tensor.isinf().sum())
            counts = f"{nan} NaN and {infinite} infinite of {tensor.numel()} {what}"
            self._fail("check", "not-finite", f"{counts} in {name}; {what} must be finite {where}")
