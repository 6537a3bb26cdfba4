"""What the reasoning graph is worth: the same budget of candidates with and without its parts, over several seeds.

    python benchmarks/gcot_ablation.py --llm local [--model M] [--candidates N] [--seeds K]
                                       [--only VARIANT] [--rows DIR] [--table]

Variants: the chain of thought in the prompt full, flat (the parents and their measurements alone), none, or no-credit
(the path is not chosen by credit); and parents drawn by rank or at random.

With `--llm symbolic` only the choice of parents is compared: the symbolic engine writes expressions and reads no
prompt, so that `agents.gcot` changes nothing of what it proposes. The output says so too.

Each row is a search of its own, by the command `autoprune search`, in a run directory under --rows. One that was
stopped is resumed, one that has ended is not run again. With the local LLM a row of 24 candidates takes about as long
as two of the README's searches.
"""

from searches import compare, parser

VARIANTS = {
    "full": (),
    "flat": ("agents.gcot=flat",),
    "none": ("agents.gcot=none",),
    "no-credit": ("agents.gcot=no-credit",),
    "random parents": ("agents.parents=random",),
}
BY_SYMBOLIC = ("full", "random parents")


def main() -> None:
    arguments_of = parser(__doc__, "runs/gcot-ablation")
    arguments_of.add_argument("--llm", choices=("symbolic", "local", "openai"), default="symbolic")
    arguments = arguments_of.parse_intermixed_args()
    common, notes = ["--llm", arguments.llm], ""
    if arguments.llm == "symbolic":
        notes = "The symbolic engine reads no prompt: `agents.gcot` changes nothing of what it proposes."
    else:
        common.append("agents.symbolic_share=0")
    names = BY_SYMBOLIC if arguments.llm == "symbolic" else tuple(VARIANTS)
    compare(arguments, {name: (*common, *VARIANTS[name]) for name in names}, f"LLM: {arguments.llm}", notes)


if __name__ == "__main__":
    main()
