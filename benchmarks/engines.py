"""Who finds more with the same budget: chance, the symbolic engine, a language model, or both together?

    python benchmarks/engines.py [--llm local|openai|none] [--candidates N] [--minutes M] [--seeds K]
                                 [--only VARIANT] [--rows DIR]

- random: formulas and allocations drawn anew every time; nothing is learned from what was measured
- symbolic: the symbolic engine with all its operators
- llm: proposals by the language model alone
- mix: half of the proposals by either

Each row is a search of its own, by the command `autoprune search`, in a run directory under --rows. One that was
stopped is resumed, one that has ended is not run again. With --minutes all get the same wall time, else the same
number of candidates; a proposal by the local LLM takes several times as long as one by the symbolic engine. Beyond that
comes what ends a search (`advanced.deepen`, `advanced.polish`): the best candidate with more exchanges, but where the
LLM is alone, and the best one with its allocation improved by trials.
"""

from searches import compare, parser

VARIANTS = {
    "symbolic": ("--llm", "symbolic"),
    "random": ("--llm", "symbolic", "agents.operators=[initialise,explore]"),
}


def main() -> None:
    arguments_of = parser(__doc__, "runs/engines")
    arguments_of.add_argument("--llm", choices=("local", "openai", "none"), default="local")
    arguments = arguments_of.parse_intermixed_args()
    variants = dict(VARIANTS)
    if arguments.llm != "none":
        variants["llm"] = ("--llm", arguments.llm, "agents.symbolic_share=0")
        variants["mix"] = ("--llm", arguments.llm, "agents.symbolic_share=0.5")
    compare(arguments, variants, f"LLM: {arguments.llm}")


if __name__ == "__main__":
    main()
