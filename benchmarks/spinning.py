"""What waiting threads cost another process: seconds of the same work alone and beside its twin.

    python benchmarks/spinning.py [--operations 800] [--threads 2]

The work is a chain of small products, as a decoder block makes them, by all threads of a process. Without the setting
of `autoprune.SPIN` torch's threads spin for milliseconds after each; a core that spins is one that the other lacks. Run
it on an otherwise idle machine.
"""

import argparse
import os
import subprocess
import sys

import autoprune

WORK = """
import sys, time, torch
torch.set_num_threads(int(sys.argv[2]))
tokens, weight = torch.randn(512, 576), torch.randn(576, 576)
started = time.perf_counter()
for _ in range(int(sys.argv[1])):
    (tokens @ weight).mul_(0.5).relu_()
print(time.perf_counter() - started)
"""


def seconds(side_by_side: int, spin: str | None, words: list[str]) -> float:
    """The mean over so many processes that work at the same time."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if spin is not None:
        environment["GOMP_SPINCOUNT"] = spin
    command = [sys.executable, "-c", WORK, *words]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(side_by_side)
    ]
    return sum(float(process.communicate()[0]) for process in running) / side_by_side


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=800)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    words = [str(given.operations), str(given.threads)]
    print("| | alone, s | beside its twin, s |\n| --- | ---: | ---: |")
    for name, spin in (("torch's default", None), (f"GOMP_SPINCOUNT={autoprune.SPIN}", autoprune.SPIN)):
        print(f"| {name} | {seconds(1, spin, words):.2f} | {seconds(2, spin, words):.2f} |")


if __name__ == "__main__":
    main()
