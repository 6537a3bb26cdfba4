"""A run put together by rules, as large and with whatever texts a test wants: nothing in it was measured."""

import math
from pathlib import Path
from random import Random
from typing import Any

from autoprune.config import load_config
from autoprune.runs.archive import Archive, Edge, Node, Outcome, Proposal
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from autoprune.runs.measurement import LayerDiagnostic, Measurement

ROLES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
ROLES += ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
BASELINES = {"wanda+uniform": 65.7, "wanda+sdsa": 67.8, "magnitude+sdsa": 4300.5, "magnitude+uniform": 7443.6}
SOURCE = '''GROUP = "row"


def score(layer):
    """{number}: the weight's size times its input's norm, with an exponent."""
    norm = layer.input_norm.clamp(min=1e-8)  # never zero
    return layer.weight.abs() * norm.pow(0.5 + {number} / 1000)
'''
HOSTILE = (
    "</script><script>alert(1)</script> <img src=x onerror=alert(2)> <b>bold</b> <a href='javascript:alert(3)'>x</a> "
    "<!-- {{ 7*7 }} %{x} &lt;i&gt; \x1b[2J\x1b]0;t\x07 \x00 \u202e \u2028 \ud7ff ]]> \"quoted\" 'too' `${alert(4)}` "
)
PROTOCOL = {"test": "paired bootstrap-t over windows", "alpha": 0.05, "comparisons": 1, "windows": 24, "seqlen": 512}
WHY = "the inputs of early blocks differ in size by orders of magnitude, and a lower exponent keeps more of the rest"


def _with(said: str) -> str:
    """Code that holds a text as a string, and as it is in a comment."""
    comment = said[:2000].translate({ord(character): None for character in "\0\n\r"})
    return f"\nSAID = {said[:20000]!r}\n# {comment}\n"


class MadeUp:
    """Writes a run of `candidates` candidates, four a generation, on a model of `blocks` blocks.

    `said` replaces every text that an LLM or a candidate could have written.
    """

    def __init__(
        self, path: Path, candidates: int, blocks: int = 30, said: str | None = None, ends: bool = True
    ) -> None:
        self.random = Random(0)
        self.said = said
        self.names = [f"model.layers.{block}.{role}" for block in range(blocks) for role in ROLES]
        self.skewness = [1.0 + 0.9 * math.exp(-block / 4) + 0.15 * math.sin(block) for block in range(blocks)]
        self.run = RunDirectory.create(path, load_config(None, ["model=smollm2-135m", "sparsity=0.6"]))
        self.archive = Archive(self.run.archive_file)
        self.events = EventLog(self.run.events_file)
        self.best: tuple[float, str, str] = (66.0, "seed.wanda", "")
        self.finalist: tuple[float, str, str] = (math.inf, "", "")
        self._start(blocks)
        for generation in range(1, math.ceil(candidates / 4) + 1):
            self._generation(generation, min(4, candidates - 4 * (generation - 1)))
        if ends:
            self._end()
        self.events.close()
        self.archive.close()

    def text(self, usual: str) -> str:
        return usual if self.said is None else self.said

    def _start(self, blocks: int) -> None:
        emit = self.events.emit
        emit("run-started", "start", model="smollm2-135m", sparsity=0.6, llm="local", record={"model": "0123abcd"})
        units = [
            {
                "name": f"block.{block}",
                "size": 1000,
                "depth": block / blocks,
                "skewness": skewness,
                "outlier_share": 0.01,
                "layers": self.names[7 * block : 7 * block + 7],
            }
            for block, skewness in enumerate(self.skewness)
        ]
        emit("target", "target", unit="block", weights=1000 * blocks, units=units)
        emit("dense", "dense", perplexity=16.06)
        for name, perplexity in BASELINES.items():
            emit("baseline", f"baseline/{name}", name=name, perplexity=perplexity, sparsity=0.6)
            self._measure(f"baseline:{name}", perplexity, skewed=name.endswith("sdsa"))
        nodes = [Node("obs.skew", "observation", 0, "|weight| is most skewed in block.0 and least in block.29")]
        nodes += [Node("seed.wanda.design", "design", 0, "published score wanda: |W| * X")]
        nodes += [Node("seed.wanda", "algorithm", 0, "wanda: |W| * X")]
        self.archive.add_thoughts(nodes, [Edge("seed.wanda.design", "seed.wanda", "implements", 0)])

    def _measure(self, subject: str, perplexity: float, skewed: bool = True) -> None:
        layers = []
        for index, name in enumerate(self.names):
            sparsity = 0.6 - (0.12 * (self.skewness[index // 7] - 1.3) if skewed else 0)
            error = self.random.uniform(0.02, 0.4)
            layers.append(LayerDiagnostic(name=name, sparsity=sparsity, relative_error=error))
        measured = Measurement(subject=subject, split="search", perplexity=perplexity, sparsity=0.6, layers=layers)
        self.archive.add_measurement("own", measured)

    def _generation(self, generation: int, size: int) -> None:
        spent = {"seconds": 108.0 * (generation - 1), "candidates": 4 * (generation - 1), "tokens": 0, "usd": 0.0}
        self.events.emit("spent", f"spent/{generation}", **spent, agents={})
        plans = [
            {"slot": f"g{generation}.c{number}", "generation": generation, "operator": "constants", "engine": "llm"}
            for number in range(1, size + 1)
        ]
        slots = [{**plan, "parents": [self.best[1]]} for plan in plans]
        self.events.emit("planned", f"planned/{generation}", generation=generation, slots=slots)
        for plan in slots:
            self._candidate(plan)
        lesson = f"g{generation}.lesson"
        said = self.text(f"lower exponents of the norm help in generation {generation}")
        self.archive.add_thoughts([Node(lesson, "lesson", generation, said, {"by": "statistics"})], [])
        evidence = f"{slots[0]['slot']}.evidence"
        self.archive.add_thoughts([], [Edge(evidence, lesson, "motivates", generation)])
        self.events.emit("lesson", lesson, generation=generation, text=said, by="statistics")

    def _candidate(self, plan: dict[str, Any]) -> None:
        slot, generation, parents = plan["slot"], plan["generation"], plan["parents"]
        number = int(slot.split(".c")[1]) + 4 * generation
        code = SOURCE.format(number=number) + (_with(self.said) if self.said else "")
        name = self.run.save_source(code)
        thought = {"idea": self.text(f"|W| * X^{number / 1000:.3f}, within each row"), "why": self.text(WHY)}
        if self.said is not None:
            thought |= {"reasoning": self.said, "formula": self.said}
        chain = [
            {"node": "obs.skew", "kind": "observation", "text": self.text("block 0 is skewed"), "ground": "obs.skew"},
            {"node": parents[0], "kind": "algorithm", "text": self.text("wanda: |W| * X"), "ground": None},
        ]
        self.archive.add_proposal(
            Proposal(slot, 0, generation, "constants", "llm", parents, thought, name, chain, ["path", "lessons"])
        )
        told = {**plan, "revision": 0, "candidate": name, "thought": thought, "problem": ""}
        self.events.emit("proposed", f"proposed/{slot}", **told)
        comments = [self.text("the exponent is plausible")]
        facts = {"verdict": "accept", "comments": comments, "by": "rules", "revision": 0}
        self.events.emit("reviewed", f"reviewed/{slot}", slot=slot, **facts)
        failed = number % 5 == 0
        perplexity = 52.0 + 18 * math.exp(-generation / 12) * self.random.uniform(0.6, 1.6)
        gain = math.log(self.best[0] / perplexity)
        if failed:
            message = self.text("IndexError: too many indices for tensor of dimension 2")
            outcome = Outcome(slot, generation, name, "failed", "score", "exception", message, {"diagnostics": message})
        else:
            data = {"perplexity": perplexity, "gain": gain, "sparsity": 0.6, "worst_layers": self.names[:3]}
            data |= {"seconds": {"score": self.random.uniform(0.5, 4)}, "nearest": "baseline:wanda+sdsa"}
            data |= {"agreement": 0.93, "memory_bytes": self.random.randint(20, 90) << 20, "flags": []}
            data |= {"diagnostics": self.text("")}
            outcome = Outcome(slot, generation, name, "measured", data=data)
            self._measure(name, perplexity)
        self.archive.add_outcome(outcome)
        ended = {"slot": slot, "generation": generation, "candidate": name, "status": outcome.status}
        ended |= {"stage": outcome.stage, "reason": outcome.reason, "message": outcome.message}
        self.events.emit("ended", f"ended/{slot}", **ended, **outcome.data)
        self._think(slot, generation, parents[0], thought, None if failed else gain)
        if not failed:
            self.finalist = min(self.finalist, (perplexity, slot, name))
            self.best = min(self.best, self.finalist)

    def _think(self, slot: str, generation: int, parent: str, thought: dict[str, Any], gain: float | None) -> None:
        finding = self.text("perplexity as measured")
        nodes = [
            Node(f"{slot}.idea", "hypothesis", generation, thought["why"], {"expected": "better"}),
            Node(f"{slot}.design", "design", generation, thought["idea"], {"operator": "constants"}),
            Node(slot, "algorithm", generation, thought["idea"]),
            Node(f"{slot}.evidence", "evidence", generation, finding, {"gain": gain}),
        ]
        pairs = [
            ("obs.skew", f"{slot}.idea", "motivates"),
            (f"{slot}.idea", f"{slot}.design", "motivates"),
            (parent, f"{slot}.design", "refines"),
            (f"{slot}.design", slot, "implements"),
            (slot, f"{slot}.evidence", "tests"),
        ]
        if gain is not None:
            pairs.append((f"{slot}.idea", f"{slot}.evidence", "supports" if gain > 0 else "refutes"))
        self.archive.add_thoughts(nodes, [Edge(*pair, generation) for pair in pairs])

    def _end(self) -> None:
        usage = {"calls": 400, "failed_calls": 3, "tokens_in": 900_000, "tokens_out": 120_000, "seconds": 2400.0}
        agents = {
            "proposer": {**usage, "usd": 0.0, "estimated": False},
            "critic": {**usage, "usd": 0.0, "estimated": True},
        }
        search, slot, name = self.finalist
        rows = [
            {"name": "dense", "kind": "dense", "search": 16.06, "report": 14.98, "sparsity": 0.0},
            {"name": "wanda+uniform", "kind": "baseline", "search": 65.7, "report": 60.1, "sparsity": 0.6},
            {
                "name": f"{slot} {name[:8]}",
                "kind": "candidate",
                "search": search,
                "report": 54.4,
                "sparsity": 0.6,
                "seeds": [0, 1, 2],
                "by_seed": [54.0, 54.4, 54.9],
                "candidate": name,
            },
        ]
        compared = {"model": "smollm2-135m", "sparsity": 0.6, "candidate": rows[2]["name"], "baseline": "wanda+uniform"}
        compared |= {
            "difference": -0.1,
            "low": -0.16,
            "high": -0.06,
            "p": 0.0002,
            "p_holm": 0.0004,
            "verdict": "better",
        }
        compared |= {"windows": 24, "seeds": [0, 1, 2]}
        self.events.emit("confirmed", "confirmed", rows=rows, comparisons=[compared], elsewhere=[], protocol=PROTOCOL)
        if self.said is not None:
            self.events.emit("explained", "explained", slot=slot, candidate=name, text=self.said, by=self.said)
        spent = {"seconds": 5400.0, "candidates": 200, "tokens": 2_040_000, "usd": 0.0, "agents": agents}
        said = self.text(f"{slot} is better than every baseline on the report split, 54.40 against 60.10.")
        self.events.emit("run-ended", "run-ended", stop=self.text("200 candidates tried"), conclusion=said, **spent)
