"""The package as it is given away: sdist and wheel hold everything, and the wheel does the main job by itself."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path
from shutil import copytree

import pytest
import yaml

import autoprune
from tests.small_search import SMALL

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FOR_DEVELOPERS = {"dev", "docs"}

pytestmark = pytest.mark.xdist_group("release")

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_all_names_every_extra_of_a_user():
    extras = PROJECT["optional-dependencies"]
    [everything] = extras["all"]
    named = set(everything.removeprefix("autoprune[").removesuffix("]").split(","))
    assert named == set(extras) - FOR_DEVELOPERS - {"all"}


def test_tests_of_a_group_are_sent_to_one_worker(request):
    """Else both build what a group shares, and two of the heavy ones run at once: in silence."""
    if request.config.getoption("loadgroup", False):
        assert request.node.nodeid.endswith("@release")


def test_changelog_and_citation_are_of_this_version():
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    unreleased, *released = re.findall(r"^## \[(.+?)\]", changes, re.MULTILINE)
    assert unreleased == "Unreleased"
    assert released[:1] in ([], [autoprune.__version__])
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == autoprune.__version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    [paper] = citation["references"]
    assert {"type", "title", "authors", "url"} <= set(paper)
    assert "2511.15390" in paper["url"]


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What is no source: hidden, compiled, or made here by earlier builds and runs."""
    made = ("build", "dist", "runs") if Path(folder) == ROOT else ()
    return {
        name for name in names if name.startswith(".") or name.endswith(("__pycache__", ".egg-info")) or name in made
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with an sdist, and with the wheel that was built from it."""
    home = tmp_path_factory.mktemp("release")
    copytree(ROOT, home / "source", ignore=_left_out)
    words = ["-m", "build", "--no-isolation", "--outdir", home / "dist", home / "source"]
    done = subprocess.run([sys.executable, *words], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [found] = built.glob("*.whl")
    return found


@pytest.mark.release
def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel):
    package = ROOT / "autoprune"
    ours = {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == ours
    assert {path.rpartition(".")[2] for path in held} >= {"py", "md", "yaml", "json", "js", "css", "j2", "typed"}


@pytest.mark.release
def test_the_wheel_says_what_it_needs_and_on_which_pythons(wheel):
    with zipfile.ZipFile(wheel) as files:
        [name] = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        said = Parser().parsestr(files.read(name).decode())
    assert said["Version"] == autoprune.__version__
    assert said["Requires-Python"] == ">=3.11"
    assert set(said.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    assert "# AutoPrune" in str(said.get_payload())


@pytest.mark.release
def test_the_sdist_holds_what_it_takes_to_build_test_and_cite(built):
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as files:
        held = {name.partition("/")[2] for name in files.getnames()}
    wanted = {"pyproject.toml", "constraints.txt", "Makefile", "Containerfile", "LICENSE", "README.md", "CHANGELOG.md"}
    wanted |= {"CITATION.cff", "tests/conftest.py", "tests/runs/v1/archive.sql", "docs/trace.md", "autoprune/py.typed"}
    assert wanted <= held
    assert not [name for name in held if "__pycache__" in name]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs programs of a fresh environment that has the wheel, and reads its dependencies where they are installed."""
    home = tmp_path_factory.mktemp("installed")
    programs = home / "venv" / "bin"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], check=True)
    words = ["-m", "pip", "--python", programs / "python", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([sys.executable, *words], check=True)
    where = {"base": home / "venv", "platbase": home / "venv"}
    (Path(sysconfig.get_path("purelib", vars=where)) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "AUTOPRUNE", "PYTHON"))}
    own = {"AUTOPRUNE_CACHE": str(home / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}

    def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [programs / program, *words], cwd=home, env={**kept, **own}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.mark.long
@pytest.mark.release
def test_what_was_installed_does_the_main_job(installed, tiny_model):
    where = Path(installed("python", "-c", "import autoprune; print(autoprune.__file__)").stdout.strip())
    assert ROOT not in where.parents
    assert "venv" in where.parts
    home = where.parents[5]
    words = ("--llm", "symbolic", "--max-candidates", "4", "--run-dir", "run", "--json")
    searched = json.loads(installed("autoprune", "search", f"model={tiny_model}", *SMALL, *words).stdout)
    assert {row["kind"] for row in searched["rows"]} == {"dense", "baseline", "candidate"}
    assert "generation 1" in installed("autoprune", "trace", "run").stdout
    assert json.loads(installed("autoprune", "report", "run", "--json").stdout)["bytes"] > 1_000_000
    installed("autoprune", "export-algorithm", "run:best", "--out", "best.py")
    given = (
        "--data",
        "builtin",
        "--seqlen",
        "48",
        "--windows",
        "2",
        "--calibration-samples",
        "2",
        "--sandbox",
        "local",
    )
    made = ("--model", str(tiny_model), "--algorithm", "best.py", "--sparsity", "0.5", "--out", "pruned", "--json")
    pruned = json.loads(installed("autoprune", "prune", *made, *given).stdout)
    assert pruned["sparsity"] == pytest.approx(0.5, abs=1e-3)
    assert (home / "pruned" / "config.json").is_file()
    assert "trace" in installed("autoprune", "--help").stdout
