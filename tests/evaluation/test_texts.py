import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from autoprune.config_sections import DataSettings
from autoprune.errors import UsageError
from autoprune.evaluation.data_sets import read_published
from autoprune.evaluation.texts import SPLITS, load_calibration, load_splits, read_text

SMALL = {"seqlen": 32, "calibration_samples": 4, "search_windows": 3, "report_windows": 5}
PARAGRAPHS = [f"Paragraph {i} tells the story of number {i}, which is {i * i} when squared." for i in range(60)]


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def story(tmp_path: Path) -> Path:
    path = tmp_path / "story.txt"
    path.write_text("\n\n".join(PARAGRAPHS), encoding="utf-8")
    return path


def refusal(tokenizer, **settings: object) -> str:
    with pytest.raises(UsageError) as caught:
        load_splits(DataSettings(**{**SMALL, **settings}), tokenizer)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def paragraphs(text: str) -> set[str]:
    return {" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()}


def test_the_splits_of_the_built_in_text_share_no_paragraph_and_leave_none_out():
    from pydoc_data.topics import topics

    parts = [paragraphs(read_text("builtin", split)) for split in SPLITS]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert set.union(*parts) == set.union(*map(paragraphs, topics.values()))


def test_the_splits_of_the_built_in_text_share_hardly_any_run_of_words():
    def runs(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[at : at + 12]) for at in range(len(words) - 12)}

    parts = [runs(read_text("builtin", split)) for split in SPLITS]
    assert all(len(one & other) < 0.005 * len(one) for one in parts for other in parts if one is not other)


def test_windows_have_the_asked_shape_and_a_fingerprint_that_is_the_same_every_time(tokenizer):
    splits = load_splits(DataSettings(**SMALL), tokenizer)
    assert {split: tuple(windows.tokens.shape) for split, windows in splits.items()} == {
        "calibration": (4, 32),
        "search": (3, 32),
        "report": (5, 32),
    }
    again = load_splits(DataSettings(**SMALL), tokenizer)
    assert {split: windows.fingerprint for split, windows in splits.items()} == {
        split: windows.fingerprint for split, windows in again.items()
    }
    assert len({windows.fingerprint for windows in splits.values()}) == 3


def test_windows_are_the_text_tokenised_once_and_cut_in_order(tokenizer, story):
    splits = load_splits(DataSettings(**SMALL, source=str(story)), tokenizer)
    text = read_text(str(story), "report")
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert splits["report"].tokens.flatten().tolist() == tokens[: 5 * 32]


def test_the_paragraphs_of_a_file_are_dealt_out_disjoint_and_complete(story):
    parts = [read_text(str(story), split).split("\n\n") for split in SPLITS]
    assert sorted(parts[0] + parts[1] + parts[2]) == sorted(PARAGRAPHS)


def test_what_a_file_repeats_is_in_one_split_only(tmp_path):
    (tmp_path / "twice.txt").write_text("\n\n".join(PARAGRAPHS + PARAGRAPHS[:10]))
    parts = [paragraphs(read_text(str(tmp_path / "twice.txt"), split)) for split in SPLITS]
    assert sum(map(len, parts)) == len(PARAGRAPHS)


def test_a_text_without_paragraphs_is_cut_into_thirds(tmp_path):
    (tmp_path / "line.txt").write_text("".join(f"{i:04d}" for i in range(600)))
    parts = [read_text(str(tmp_path / "line.txt"), split) for split in SPLITS]
    assert "".join(parts) == (tmp_path / "line.txt").read_text()
    assert {len(part) for part in parts} == {800}


def test_calibration_seeds_draw_other_windows_of_the_same_text_reproducibly(tokenizer):
    settings = DataSettings(**SMALL)
    drawn = [load_calibration(settings, tokenizer, seed) for seed in (0, 1, 2, 1)]
    assert drawn[0].fingerprint == load_splits(settings, tokenizer)["calibration"].fingerprint
    assert len({windows.fingerprint for windows in drawn}) == 3
    assert drawn[1].fingerprint == drawn[3].fingerprint
    assert all(windows.tokens.shape == (4, 32) for windows in drawn)
    text = tokenizer(read_text("builtin", "calibration"), add_special_tokens=False)["input_ids"]
    joined = " ".join(map(str, text))
    assert all(" ".join(map(str, window.tolist())) in joined for window in drawn[1].tokens)


def test_a_text_that_holds_just_enough_serves_every_seed(tokenizer, tmp_path):
    words = " ".join(PARAGRAPHS[:30])
    (tmp_path / "short.txt").write_text(words)
    tokens = len(tokenizer(words[: len(words) // 3], add_special_tokens=False)["input_ids"])
    settings = DataSettings(
        **{**SMALL, "calibration": str(tmp_path / "short.txt"), "calibration_samples": tokens // 32}
    )
    for seed in range(3):
        assert load_calibration(settings, tokenizer, seed).tokens.shape == (tokens // 32, 32)


@pytest.mark.parametrize("kind", ["path", "link", "copy", "rows"])
def test_what_is_measured_is_no_calibration_text_whatever_it_is_called(tokenizer, story, tmp_path, kind):
    other = {
        "path": story.parent / "." / "nowhere" / ".." / story.name,
        "link": tmp_path / "link.txt",
        "copy": tmp_path / "copy.txt",
        "rows": tmp_path / "rows.jsonl",
    }[kind]
    (tmp_path / "nowhere").mkdir()
    if kind == "link":
        other.symlink_to(story)
    elif kind == "copy":
        other.write_text("\n\n".join(PARAGRAPHS[:30] + PARAGRAPHS[31:]))
    elif kind == "rows":
        other.write_text("\n".join(json.dumps({"text": " ".join(PARAGRAPHS[at : at + 7])}) for at in range(0, 60, 7)))
    sizes = {"seqlen": 128, "calibration_samples": 1, "search_windows": 1, "report_windows": 1}
    settings = DataSettings(**sizes, source=str(story), calibration=str(other))
    measured = {split: read_text(str(story), split) for split in ("search", "report")}
    for seed in (None, 0, 1):
        drawn = load_calibration(settings, tokenizer, seed) if seed else load_splits(settings, tokenizer)["calibration"]
        said = [sentence for sentence in PARAGRAPHS if sentence in tokenizer.decode(drawn.tokens.flatten())]
        assert said
        assert not any(sentence in text for sentence in said for text in measured.values())


def test_a_calibration_text_that_is_measured_as_a_whole_is_refused(tokenizer, story, tmp_path):
    (tmp_path / "backwards.txt").write_text("\n\n".join(PARAGRAPHS[::-1]))
    message = refusal(tokenizer, source=str(story), calibration=str(tmp_path / "backwards.txt"))
    assert "all of the calibration text of" in message
    assert "give another data.calibration" in message


def test_the_published_report_split_stays_as_it_is_and_the_others_give_way(monkeypatch, tmp_path):
    rows = {"train": PARAGRAPHS, "validation": PARAGRAPHS[20:40], "test": [*PARAGRAPHS[30:35], *PARAGRAPHS[30:35]]}
    place = tmp_path / "Salesforce" / "wikitext"
    place.mkdir(parents=True)
    for split, texts in rows.items():
        (place / f"{split}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    files = "".join(f"  - {{split: {split}, path: {split}.jsonl}}\n" for split in rows)
    (place / "README.md").write_text(f"---\nconfigs:\n- config_name: wikitext-2-raw-v1\n  data_files:\n{files}---\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    read_published.cache_clear()
    try:
        assert read_text("wikitext2", "report") == "\n\n".join(rows["test"])
        assert paragraphs(read_text("wikitext2", "search")) == {*PARAGRAPHS[20:30], *PARAGRAPHS[35:40]}
        assert paragraphs(read_text("wikitext2", "calibration")) == {*PARAGRAPHS[:20], *PARAGRAPHS[40:]}
    finally:
        read_published.cache_clear()


def test_a_missing_file_is_named(tokenizer, tmp_path):
    assert str(tmp_path / "none.txt") in refusal(tokenizer, source=str(tmp_path / "none.txt"))


def test_a_directory_is_named(tokenizer, tmp_path):
    assert "Is a directory" in refusal(tokenizer, source=str(tmp_path))


@pytest.mark.parametrize("content", ["", "\n\n  \n\n"])
def test_an_empty_file_is_named(tokenizer, tmp_path, content):
    (tmp_path / "empty.txt").write_text(content)
    assert "is empty" in refusal(tokenizer, calibration=str(tmp_path / "empty.txt"))


def test_a_text_shorter_than_a_window_says_how_long_it_is_and_what_to_do(tokenizer, tmp_path):
    (tmp_path / "short.txt").write_text("Too short for anything.")
    message = refusal(tokenizer, source=str(tmp_path / "short.txt"))
    assert "3 windows of 32 need 96" in message
    assert "longer text" in message


def test_a_file_that_is_not_text_is_named(tokenizer, tmp_path):
    (tmp_path / "latin.txt").write_bytes("Übergrößenträger\n\n".encode("latin-1") * 100)
    assert "is not UTF-8 text (byte 0)" in refusal(tokenizer, source=str(tmp_path / "latin.txt"))


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_a_hub_that_does_not_answer_is_one_line_within_seconds(environment, tmp_path):
    sources = ["wikitext2", "c4", "hf:nobody/nothing"]
    # In a process of its own, since the hub's library reads its environment when it is imported: which takes seconds.
    script = (
        "import json, sys, time\n"
        "from autoprune.errors import UsageError\n"
        "from autoprune.evaluation.texts import read_text\n"
        "for source in sys.argv[1:]:\n"
        "    begun = time.monotonic()\n"
        "    try:\n"
        "        read_text(source, 'report')\n"
        "    except UsageError as error:\n"
        "        print(json.dumps([source, time.monotonic() - begun, str(error)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *sources],
        env={**os.environ, "HF_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [source for source, _, _ in told] == sources
    for source, seconds, message in told:
        assert "\n" not in message
        assert f"the text {source} cannot be loaded from the hub, which cannot be reached" in message
        assert seconds < 20
