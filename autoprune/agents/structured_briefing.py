"""The parts of a strong model's prompts that differ in a search of structures."""

from collections.abc import Sequence
from dataclasses import dataclass

from autoprune.agents.baseline_table import TO_BEAT
from autoprune.agents.briefing import Briefing, limits
from autoprune.agents.prompts.load import listed_fields, render
from autoprune.candidates.structure_contract import INFLUENCE, PART_FIELDS, STRUCTURE_FIELDS, literal
from autoprune.evaluation.structured import StructureBench
from autoprune.llm.recorded_settings import target_name
from autoprune.pruning.inverse import DAMPING
from autoprune.pruning.structures.spec import BLOCK, CHANNEL, HEAD
from autoprune.pruning.structures.table import spec_of
from autoprune.runs.measurement import Measurement

PLURALS = {CHANNEL: "FFN channels", HEAD: "groups of attention heads", BLOCK: "decoder blocks"}
ON_DEMAND = ("gradient", "hessian", "output_sensitivity")
UNCHANGED = "What is left stays as it is."
NO_UPDATE = "- There is no `update`: this search only chooses structures."
UPDATE = (
    "- `update(structures, kept) -> Tensor` (optional): the new weight of the consumer for the kept structures, whose "
    "indices `kept` are int64, ascending: [len(kept), size, out], floating point, finite also in the model's dtype; "
    "`structures.consumer.weight[kept]` is the weight as it is. It replaces the compensation of trusted code, $way."
)
WAYS = {
    "least-squares": "which solves for the kept columns, so that the consumer's output on the calibration text is as "
    f"close as possible to the dense one (damping {DAMPING:g} of the mean diagonal of H)",
    "bias": "which adds what was removed as its mean, in a bias of the consumer",
}


@dataclass(frozen=True)
class StructuredBriefing(Briefing):
    """Renders prompts about structures."""

    critic = "strong/structured_critic"
    operators = "strong/structured_operators"
    task_frame = "strong/structured_task"

    def system(self, drafts: str) -> str:
        settings = self.workbench.config.search
        way = WAYS.get(settings.compensate)
        kept = f"What is left is compensated by trusted code, {way}, or by an `update` of yours." if way else UNCHANGED
        what = " and ".join(PLURALS[kind] for kind in settings.kinds)
        return render("strong/structured_system", what=what, kept=kept, contract=self.contract())

    def contract(self) -> str:
        settings = self.workbench.config.search
        way = WAYS.get(settings.compensate)
        return render(
            "strong/structured_contract",
            literal=literal(settings.kinds),
            update=UPDATE.replace("$way", way) if way else NO_UPDATE,
            structure_fields=listed_fields(STRUCTURE_FIELDS, "structures."),
            part_fields=listed_fields(PART_FIELDS, "part."),
            influence=f"`{INFLUENCE}`",
            target=self._target(),
            judged=self._judged(),
        )

    def _about_table(self) -> str:
        return (
            f"Perplexity on the search split, the best first (dense {self.dense:.2f}). After ±: the standard error of "
            "a change, from the differences between windows."
        )

    def _judged(self) -> str:
        config = self.workbench.config
        race = " A candidate that paired tests show to be worse than the best so far is stopped after a few windows."
        return (
            "Trusted code removes the structures with the lowest importances, counts the parameters that are left, and "
            f"measures perplexity on search text that no candidate sees.{race * config.advanced.racing} At the end the "
            f"best {config.confirmation.finalists} are measured on other text, so what is fitted to the search text "
            "alone is lost."
        )

    def _baseline_table(self, rows: Sequence[Measurement]) -> str:
        lines = [
            f"Published methods with the same parameters, perplexity on the search split (dense {self.dense:.2f}); "
            "after +: their compensation."
        ]
        for row in rows:
            best = next(other for other in rows if other.league == row.league)
            title = spec_of(row.name.partition("+")[0]).title
            mark = f" <- {TO_BEAT[row.league]}" * (row is best)
            lines.append(f"- {row.name}: {row.perplexity:.2f} ({title}){mark}")
        return "\n".join(lines)

    def _target(self) -> str:
        bench, config = self.workbench.bench, self.workbench.config
        anatomy = StructureBench.of(bench).anatomy
        dense, share = anatomy.sizes.dense, config.sparsity
        calibration, search = bench.windows("calibration"), bench.windows("search")
        heads = f" and {dense.groups} groups of heads" if dense.groups else ""
        return (
            f"{target_name(bench.target.name)}: {dense.blocks} decoder blocks, each with {dense.channels:,} FFN "
            f"channels{heads}. {share:.1%} of the blocks' parameters are removed. Dense perplexity {self.dense:.2f} on "
            f"the search split of {len(search.tokens)} windows of {config.data.seqlen} tokens. Statistics come from "
            f"{calibration.tokens.numel():,} calibration tokens of the dense model; the Hessian is not centred.\n\n"
            f"{limits(config.sandbox, self.workbench.measurer.sandbox.name)}{self._speed()}"
        )
