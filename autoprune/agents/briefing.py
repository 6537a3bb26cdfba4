"""The parts of a strong model's prompts: the contract, the target, the limits, and everything that was measured.

They depend neither on the clock nor on the order in which siblings end, so that a resumed run asks the same questions
and finds the answers in its journal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoprune.agents.baseline_table import baseline_rows, baseline_table, densities, effects_as_text
from autoprune.agents.beliefs import design_effects, effects_of_designs, hypotheses
from autoprune.agents.lessons import lessons
from autoprune.agents.niche import niche_of
from autoprune.agents.overview import Overview
from autoprune.agents.population import ELITE, Algorithm, is_seed
from autoprune.agents.prompts.load import kit_section, league_parts, render
from autoprune.agents.proposer import Request
from autoprune.candidates.contract import imports_in_words
from autoprune.candidates.library import FoundFunction
from autoprune.config_sections import SandboxSettings
from autoprune.cores import sandbox_threads
from autoprune.evaluation.bos import shown
from autoprune.gcot.graph import GCoT
from autoprune.llm.recorded_settings import target_name
from autoprune.measuring.parameter_tuning import WINDOWS
from autoprune.measuring.workbench import Workbench
from autoprune.runs.archive import Archive
from autoprune.runs.measurement import Measurement
from autoprune.sandbox.local import PROCESSES
from autoprune.tools.inspect import measured_effects

BEST = 3
"""Best candidates whose source is shown, in addition to the best one of another niche and the parents."""
PLANNED = 0.5
"""The share of the time limit that a candidate should plan for."""
SPEED = "obs.speed"
"""The observation that holds the speed of the machine (`machine_speed`)."""


@dataclass(frozen=True)
class Briefing:
    """Renders the parts of the prompts that depend on the target and on the run.

    `critic`, `operators`, `task_frame`: the prompt files of a review, of operators' tasks, and of a proposal's task.
    """

    critic = "strong/critic"
    operators = "strong/operators"
    task_frame = "strong/proposer_task"

    workbench: Workbench
    archive: Archive
    found: Mapping[str, FoundFunction] = field(default_factory=dict)
    """The found functions that candidates may use."""

    def system(self, drafts: str) -> str:
        """The proposer's system prompt. `drafts`: a sentence on trying drafts, or nothing."""
        kept = league_parts(self.workbench.config.search.league)["kept"]
        return render("strong/proposer_system", contract=self.contract(), kept=kept, drafts=drafts)

    def contract(self) -> str:
        """The candidate's contract, the target and the limits, in full."""
        return render("strong/contract", **self._facts())

    def _facts(self) -> dict[str, str]:
        kit = self.workbench.config.agents.kit != "off"
        return {
            "imports": imports_in_words(kit),
            "kit": f"\n{kit_section(self.found)}\n" if kit else "",
            "target": self._target(),
            "judged": self._judged(),
            "allocation": self._allocation(),
            "tuning": self._tuning(),
            "edits": league_parts(self.workbench.config.search.league)["edits"],
        }

    def overview(self, before: int) -> Overview:
        """All candidates of the generations before `before`."""
        return Overview(
            [outcome for outcome in self.archive.outcomes() if outcome.generation < before],
            [proposal for proposal in self.archive.proposals() if proposal.generation < before],
            lambda name: self.workbench.recorded(name, "search"),
            self.workbench.bench.layers,
            self.workbench.config.sandbox.seconds,
        )

    def table(self, before: int) -> str:
        """The overview as text."""
        overview = self.overview(before)
        lines = overview.lines()
        return "\n".join([self._about_table(), *lines]) if lines else "(none yet)"

    def _about_table(self) -> str:
        """What the table shows."""
        weighted = (
            " Weighted reconstruction error: sum of s p H p^T over the rows of a few decoder blocks, s the mean "
            "squared gradient of the loss by the row's output, as a multiple of that of Wanda with as many zeros in "
            "each layer. Candidates are stopped early by this error. It compares masks at equal densities and does "
            "not rate the allocation."
        )
        is_measured = self.workbench.config.advanced.layer_error is not None
        return (
            f"Perplexity on the search split, the best first (dense {self.dense:.2f}).{weighted * is_measured} Errors: "
            "mean share of the output's mean square that the pruned weights held, inputs taken as independent, so that "
            "a mask refined by the full Hessian may have a higher one. After ±: the standard error of a change, from "
            "the differences between windows."
        )

    @property
    def dense(self) -> float:
        """The dense model's perplexity on the search split."""
        return self.workbench.dense("search").perplexity

    def lessons_before(self, before: int) -> str:
        """The lessons of the generations before `before`."""
        nodes = [node for node in self.archive.nodes() if node.kind == "lesson" and node.generation < before]
        return lessons([(node.id, node.text) for node in nodes])

    def graph(self, before: int) -> GCoT:
        """The reasoning graph of the generations before `before`."""
        return GCoT(
            [node for node in self.archive.nodes() if node.generation < before],
            [edge for edge in self.archive.edges() if edge.generation < before],
        )

    def hypotheses(self, before: int) -> str:
        """What the tests say of the hypotheses and of single design choices, as far as `agents.gcot` allows."""
        if self.workbench.config.agents.gcot in ("flat", "none"):
            return "(not shown)"
        return render("strong/hypotheses", hypotheses=hypotheses(self.graph(before)), designs=self.designs(before))

    def designs(self, before: int) -> str:
        """The effects of single design choices, one line each."""
        overview = self.overview(before)
        last = {proposal.slot: proposal for proposal in overview.proposals}
        sources = {slot: self.workbench.run.source(each.candidate) for slot, each in last.items() if each.candidate}
        return effects_of_designs(design_effects(overview.outcomes, last, sources))

    def task(self, request: Request, siblings: Sequence[str], task: str) -> str:
        """The prompt that asks for a candidate."""
        before = request.plan["generation"]
        return render(
            self.task_frame,
            baselines=self._baseline_table(self.baselines()),
            candidates=self.table(before),
            effects=self._effects(),
            sources=self._sources(request),
            hypotheses=self.hypotheses(before),
            lessons=lessons([(step.node, step.text) for step in request.chain if step.kind == "lesson"]),
            siblings="\n".join(siblings) or "(nothing yet)",
            left=_left(request),
            parents=_parents(request),
            task=task,
        )

    def _baseline_table(self, rows: Sequence[Measurement]) -> str:
        return baseline_table(rows, self.workbench.bench.layers, self.dense)

    def baselines(self) -> list[Measurement]:
        """The baselines on the search split, best first."""
        return baseline_rows(self.workbench)

    def _effects(self) -> str:
        effects, of = measured_effects(self.archive)
        return effects_as_text(effects, of) if effects else "(not measured on this target)"

    def _sources(self, request: Request) -> str:
        ranked = [algorithm for algorithm in request.known if not is_seed(algorithm.name)]
        shown = ranked[:BEST]
        kinds = {niche_of(algorithm.source) for algorithm in shown}
        shown += [algorithm for algorithm in ranked[BEST:] if niche_of(algorithm.source) not in kinds][:1]
        names = {algorithm.name for algorithm in shown}
        shown += [parent for parent in request.parents if parent.name not in names]
        hashes = {outcome.slot: outcome.candidate for outcome in self.archive.outcomes()}
        sources = [self._source(algorithm, hashes.get(algorithm.name)) for algorithm in shown]
        return "\n\n".join(sources) or "(nothing yet)"

    def _source(self, algorithm: Algorithm, candidate: str | None) -> str:
        row = self.workbench.recorded(candidate, "search") if candidate else None
        density = f"\n{densities(row, self.workbench.bench.layers)}" if row else ""
        return f"[{algorithm.name}] {_result(algorithm)}{density}\n```python\n{algorithm.source.strip()}\n```"

    def _target(self) -> str:
        bench, config = self.workbench.bench, self.workbench.config
        shapes: dict[tuple[str, tuple[int, int]], int] = {}
        for layer in bench.layers:
            shapes[layer.role, layer.shape] = shapes.get((layer.role, layer.shape), 0) + 1
        kinds = "; ".join(f"{count} x {role} [{out}, {ins}]" for (role, (out, ins)), count in shapes.items())
        blocks = len({layer.block for layer in bench.layers})
        calibration, search = bench.windows("calibration"), bench.windows("search")
        tokens = calibration.tokens.numel()
        begun = f", each starting with {shown(calibration.bos)}" if calibration.bos else ""
        return (
            f"{target_name(bench.target.name)}: {blocks} decoder blocks with {len(bench.layers)} matrices of "
            f"{bench.target.weights:,} weights ([out, in]: {kinds}). Sparsity {config.sparsity:g}: so large a share of "
            f"all these weights becomes zero. Dense perplexity {self.dense:.2f} on the search split of "
            f"{len(search.tokens)} windows of {config.data.seqlen} tokens. Statistics come from {tokens:,} calibration "
            f"tokens of the dense model, in {len(calibration.tokens)} windows of {calibration.seqlen}{begun}; the "
            "Hessian is not centred.\n\n"
            f"{limits(config.sandbox, self.workbench.measurer.sandbox.name)}{self._speed()}"
        )

    def _speed(self) -> str:
        return next((f" {node.text}" for node in self.archive.nodes() if node.id == SPEED), "")

    def _allocation(self) -> str:
        """The allocation of candidates that do not define one."""
        settings = self.workbench.config.allocation
        return f"the allocation {settings.name}, by {settings.unit}"

    def _tuning(self) -> str:
        """What happens to the free parameters of a candidate."""
        trials = self.workbench.config.advanced.parameter_trials
        if not trials:
            return "The middle of each range is taken."
        return (
            f"Before the candidate is measured, up to two stages of {trials} trials each choose the values; a stage "
            "ends early after the time that a candidate may take. Parameters of scores, `refine` and `update` are "
            "tuned by the weighted reconstruction error of a few blocks at fixed densities, those that change the "
            f"densities by the loss on {WINDOWS} search windows, where `refine` and `update` are not applied (with "
            "masks of Wanda and a few swaps where yours would take too long in every trial). The values replace the "
            "ranges in the source. The first trial uses the middle of each range, so centre the ranges on your best "
            "guess."
        )

    def _judged(self) -> str:
        config = self.workbench.config
        settings = config.advanced
        elite = max(ELITE, config.confirmation.finalists)
        error = (
            f" A candidate is stopped when its weighted reconstruction error on a few blocks, as a multiple of that of "
            f"Wanda with as many zeros in each layer, is more than {settings.layer_error:g} times the largest of the "
            f"{elite} best so far. The allocation has no influence on it."
            if settings.layer_error is not None
            else ""
        )
        others = " and with other calibration samples" if config.confirmation.seeds > 1 else ""
        race = (
            " A candidate is stopped after a few windows where paired tests show it to be worse than the worst of the "
            f"{elite} best so far."
            if settings.racing
            else ""
        )
        return (
            f"Trusted code makes the masks and measures perplexity on search text that no candidate sees.{error}{race} "
            f"At the end the best {config.confirmation.finalists} are measured on other text{others}, so what is "
            "fitted to the search text alone is lost."
        )


def limits(settings: SandboxSettings, sandbox: str) -> str:
    """The time and memory limits of one candidate, as text."""
    threads = sandbox_threads()
    processes = min(PROCESSES, threads) if sandbox == "local" else 1
    parallel = f", scored by {processes} processes in parallel" if processes > 1 else ""
    return (
        f"Limits: {settings.seconds:g} seconds of wall clock for all matrices together{parallel}, on {threads} CPU "
        f"threads in all; {settings.memory_mb:,} MiB of memory for each process. Other machines are slower: plan for "
        f"{PLANNED * settings.seconds:g} of these seconds."
    )


def _parents(request: Request) -> str:
    if not request.parents:
        return "There is no parent: you begin anew."
    parents = " and ".join(f"[{parent.name}] ({_result(parent)})" for parent in request.parents)
    return f"Parent{'s' * (len(request.parents) > 1)}: {parents}; the source is above."


def _result(algorithm: Algorithm) -> str:
    return algorithm.failure or f"perplexity {algorithm.perplexity:.2f}"


def _left(request: Request) -> str:
    left = request.plan.get("left")
    if left is None:
        return ""
    minutes = f", about {left['minutes']:.0f} minutes" if left.get("minutes") is not None else ""
    return f"Left, those of this generation included: {left['candidates']} candidates{minutes}."
