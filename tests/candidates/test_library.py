"""The library of found functions: those of the package, the user's own, and files that are refused."""

import os

import pytest

from autoprune.candidates.functions import NotPure
from autoprune.candidates.library import (
    MOST_BYTES,
    FoundFunction,
    Lineage,
    add_function,
    check_function,
    free_name,
    library,
    names,
    notes_of,
    own_functions,
    published_names,
    read_function,
    read_lineage,
    remove_function,
)
from autoprune.errors import UsageError

SOURCE = 'import torch\n\n\ndef halved(weight):\n    """Half of it."""\n    return torch.div(weight, 2)\n'
LINEAGE = Lineage(
    found_by="a model",
    run="first",
    candidate="0123456789abcdef",
    functions=["halved"],
    model="llama",
    sparsity=0.5,
    date="2026-11-28",
)
HALVED = FoundFunction("halved", SOURCE, "a model", LINEAGE, notes_of(LINEAGE, "# halved"), own=True)


@pytest.fixture
def own(monkeypatch, tmp_path):
    monkeypatch.setenv("AUTOPRUNE_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "kit"


def refused(name="halved"):
    """The one line that a file of the user's is left out with."""
    with pytest.raises(UsageError) as problem:
        read_function(own_functions(), name, own=True)
    assert "\n" not in str(problem.value)
    assert name not in library()
    return str(problem.value)


def test_the_functions_of_the_package_say_who_found_them_and_how_good_the_candidate_was(own):
    functions = library()
    assert list(functions) == ["weighted_descent"]
    lineage = functions["weighted_descent"].lineage
    assert "strong general-purpose chat model, replies recorded" in lineage.found_by
    assert (lineage.model, lineage.sparsity, lineage.report_perplexity) == ("smollm2-135m", 0.6, 24.79)
    assert not functions["weighted_descent"].own


def test_a_function_of_the_users_is_added_read_and_removed(own):
    add_function(HALVED)
    assert library()["halved"] == HALVED
    assert names() == ["weighted_descent", "halved"]
    assert read_lineage(HALVED.notes) == LINEAGE
    with pytest.raises(UsageError, match=r"kit\.found\.halved exists already"):
        free_name("halved")
    assert remove_function("halved") == own / "halved.py"
    assert list(own.iterdir()) == []


def test_published_names_are_taken_and_those_of_the_package_stay(own):
    from autoprune import kit

    assert sorted(published_names()) == kit.__all__
    with pytest.raises(UsageError, match=r"kit\.swaps is a published function"):
        free_name("swaps")
    with pytest.raises(UsageError, match="is a function of the package, which stays"):
        remove_function("weighted_descent")
    with pytest.raises(UsageError, match="does not exist; your own are: none"):
        remove_function("../../etc/passwd")


HOSTILE = {
    "import os\n\n\ndef halved(weight):\n    '''Doc.'''\n    return weight\n": "it imports os",
    "def halved(weight):\n    '''Doc.'''\n    import os\n    return weight\n": "halved imports within its body",
    "from autoprune.kit.found import x\n\n\ndef halved(w):\n    '''D.'''\n    return x(w)\n": "it imports autoprune",
    "def halved(weight):\n    '''Doc.'''\n    return open('/etc/passwd')\n": "uses open, which is not a builtin",
    "def halved(weight):\n    '''Doc.'''\n    return weight.__class__\n": "double underscores",
    "def halved(weight):\n    '''Doc.'''\n    return weight.data_ptr()\n": "data_ptr has no place",
    "print('hello')\n\n\ndef halved(weight):\n    '''Doc.'''\n    return weight\n": "line 1 is neither",
    "X = print('hello')\n\n\ndef halved(weight):\n    '''Doc.'''\n    return weight\n": "X is not a constant",
    "def score(x):\n    return x\n\n\ndef halved(w):\n    '''D.'''\n    return w\n": "score has a mean",
    "def other(weight):\n    '''Doc.'''\n    return weight\n": "there is no function halved",
    "def halved(weight):\n    return weight\n": "needs a docstring",
    f"def halved(weight):\n    '''{'x' * MOST_BYTES}'''\n": "has more than 16,384 bytes",
    "def halved(weight:\n": "SyntaxError",
    "def halved(weight):\n    '''Doc.'''\n    return weight \u202e\n": "U+202E",
    "def halved(weight):\n    '''Doc.'''\n    return " + "-" * 150 + "weight\n": "nested",
}


@pytest.mark.parametrize(("source", "complaint"), HOSTILE.items(), ids=HOSTILE.values())
def test_a_hostile_file_is_left_out_with_one_line_and_the_others_stay(own, source, complaint, caplog):
    add_function(HALVED)
    (own / "halved.py").write_text(source, encoding="utf-8")
    assert complaint in refused()
    assert list(library()) == ["weighted_descent"]
    assert "left out of the kit" in caplog.text


@pytest.mark.parametrize(
    ("notes", "complaint"),
    [
        ("# halved\n", "do not begin with a lineage"),
        ("---\n- 1\n---\n", "its lineage"),
        ("---\n&a [*a, *a]\n---\n", "holds itself"),
        ("---\nfound_by: a model\n---\n", "its lineage: run: Field required"),
        (HALVED.notes.replace("0123456789abcdef", "../run"), "its lineage: candidate"),
        (HALVED.notes.replace("\ndate:", "\nmore: 1\ndate:"), "its lineage: more"),
    ],
)
def test_a_lineage_that_is_none_is_left_out(own, notes, complaint):
    add_function(HALVED)
    (own / "halved.md").write_text(notes, encoding="utf-8")
    assert complaint in refused()


@pytest.mark.parametrize("suffix", [".py", ".md"])
def test_links_pipes_and_folders_are_left_out(own, tmp_path, suffix):
    add_function(HALVED)
    file = own / f"halved{suffix}"
    secret = tmp_path / "secret"
    file.rename(secret)
    file.symlink_to(secret)
    assert "it is a symbolic link" in refused()
    file.unlink()
    os.mkfifo(file)
    assert "not a regular file" in refused()
    file.unlink()
    file.mkdir()
    assert "not a regular file" in refused()


def test_a_function_with_the_name_of_one_of_the_package_is_left_out(own, caplog):
    add_function(HALVED)
    for suffix in (".py", ".md"):
        (own / f"halved{suffix}").rename(own / f"weighted_descent{suffix}")
    assert not library()["weighted_descent"].own
    assert "weighted_descent is a function of the package, too" in caplog.text


@pytest.mark.parametrize("name", ["_hidden", "class", "größe", "a b", "x" * 41, "1st", ""])
def test_a_name_is_an_identifier_of_ascii(name):
    with pytest.raises(NotPure, match="is not a name"):
        check_function(SOURCE, name)
