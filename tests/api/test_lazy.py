"""`import autoprune` is fast, and its public names are there."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import autoprune

ROOT = Path(autoprune.__file__).parent.parent
HEAVY = ("torch", "transformers", "pandas", "langgraph", "pydantic", "typer", "rich")


def in_fresh_interpreter(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_import_loads_nothing_heavy():
    loaded = in_fresh_interpreter("import autoprune, sys; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


def test_the_import_takes_less_than_a_fifth_of_a_second():
    """Of processor time, which a busy machine does not change."""
    code = "import time; start = time.process_time(); import autoprune; print(time.process_time() - start)"
    assert min(float(in_fresh_interpreter(code)) for _ in range(3)) < 0.2


def test_the_help_of_the_program_takes_less_than_half_a_second():
    code = (
        "import sys, time, atexit; start = time.process_time(); sys.argv = ['autoprune', '--help']; "
        "atexit.register(lambda: print('seconds', time.process_time() - start)); "
        "from autoprune.cli import main; main()"
    )
    assert min(float(in_fresh_interpreter(code).split()[-1]) for _ in range(3)) < 0.5


def test_every_public_name_is_there_and_documented():
    for name in autoprune.__all__:
        value = getattr(autoprune, name)
        assert name in dir(autoprune)
        if name != "__version__":
            assert inspect.getdoc(value)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'prone'"):
        _ = autoprune.prone  # type: ignore[attr-defined]


def test_search_is_a_function_and_a_subpackage_in_either_order_of_import():
    from autoprune.api.searching import search

    assert inspect.signature(autoprune.search) == inspect.signature(search)
    for first in ("import autoprune.search.session", "import autoprune"):
        more = "import autoprune; print(callable(autoprune.search)); import autoprune.search.budget as b; b.Budget"
        code = f"{first}; {more}"
        assert in_fresh_interpreter(code) == "True"


@pytest.mark.long
def test_types_are_known_to_a_type_checker(tmp_path: Path):
    """With the project's settings and cache: torch alone takes a minute without one."""
    source = tmp_path / "user.py"
    source.write_text(
        "import autoprune\n"
        "reveal_type(autoprune.prune)\nreveal_type(autoprune.search)\nreveal_type(autoprune.open_run('x').best)\n"
        "autoprune.prune('m', sparsity='half')\n"
    )
    words = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(source)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert "PrunedModel" in done.stdout, done.stdout + done.stderr
    assert 'has incompatible type "str"; expected "float | None"' in done.stdout
    assert "-> autoprune.api.run.Run" in done.stdout
    assert "BestCandidate | None" in done.stdout
