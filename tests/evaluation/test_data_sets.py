"""Data sets as texts: which column is read, what is refused, and in which formats."""

import gzip
import json
from pathlib import Path

import datasets
import pyarrow
import pytest
from pyarrow import parquet
from transformers import AutoTokenizer

from autoprune.errors import UsageError
from autoprune.evaluation.data_sets import Source, read_rows
from autoprune.evaluation.texts import SPLITS, read_text
from autoprune.log import log_to

ROWS = [f"Row {i} tells the story of number {i}, which is {i * i} when squared." for i in range(30)]
IDS = [f"{i:07d}" for i in range(30)]
URLS = [f"https://example.org/{i}" for i in range(30)]
TEMPLATE = (
    "{% for m in messages %}{% if m.role not in ('user', 'assistant') %}{{ raise_exception('only two roles') }}"
    "{% endif %}<{{ m.role }}> {{ m.content }}\n\n{% endfor %}"
)


@pytest.fixture
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def talking(tokenizer):
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Lays out data sets as folders, as the hub would have them; returns what a user writes."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def lay_out(name: str, columns: dict, split: str = "train", subset: str | None = None, **options: object) -> str:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        table = pyarrow.table(columns, **options)
        parquet.write_table(table, folder / f"{subset + '-' if subset else ''}{split}.parquet")
        return f"hf:{folder}"

    return lay_out


def rows(source: str, tokenizer: object = None) -> tuple[list[str], list[str]]:
    said: list[str] = []
    with log_to(said.append):
        return read_rows(Source.parse(source), tokenizer).texts, said


def refusal(source: str, tokenizer: object = None) -> str:
    with pytest.raises(UsageError) as caught:
        rows(source, tokenizer)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def chats(texts: list[str]) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": text}, {"role": "assistant", "content": text[::-1]}] for text in texts]


def test_of_several_columns_of_text_the_one_called_text_is_read_and_said(hub):
    found, said = rows(hub("wikipedia", {"id": IDS, "url": URLS, "text": ROWS}))
    assert found == ROWS
    assert ["the column text of the split train, 30 rows of text" in line for line in said] == [True]


CATEGORIES = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())


@pytest.mark.parametrize("kind", [pyarrow.large_string(), pyarrow.string_view(), CATEGORIES])
def test_long_strings_are_text_as_well(hub, kind):
    assert rows(hub("large", {"id": IDS, "text": pyarrow.array(ROWS, kind)}))[0] == ROWS


def test_the_only_column_of_text_is_read_whatever_its_name(hub):
    found, said = rows(hub("body", {"number": list(range(30)), "body": ROWS}))
    assert found == ROWS
    assert "the column body" in said[0]


def test_several_columns_of_text_are_refused_until_one_is_named(hub):
    source = hub("articles", {"id": IDS, "title": URLS, "body": ROWS})
    assert f"has several columns of text (id, title, body): say which is meant, as in {source},column=id" in refusal(
        source
    )
    assert rows(f"{source},column=body")[0] == ROWS
    assert "no column of text 'number'; its columns are id, title, body" in refusal(f"{source},column=number")


def test_a_data_set_without_text_is_refused_with_its_columns(hub):
    message = refusal(hub("numbers", {"label": list(range(30)), "vector": [[1.0]] * 30}))
    assert "has no column that holds text alone; its columns are label, vector" in message


def test_empty_rows_are_left_out(hub):
    found, said = rows(hub("holes", {"text": [None, "", " \n", *ROWS]}))
    assert found == ROWS
    assert "30 rows" in said[0]
    assert "holds no text" in refusal(hub("nothing", {"text": pyarrow.array([None, ""], pyarrow.string())}))


def test_a_data_set_without_the_usual_split_names_those_that_it_has(hub):
    hub("parts", {"text": ROWS}, split="validation")
    source = hub("parts", {"text": ROWS[:9]}, split="test")
    message = refusal(source)
    assert "has no split train; it has validation, test" in message
    assert rows(f"{source},split=test")[0] == ROWS[:9]


def test_a_data_set_of_several_subsets_names_them(hub, tmp_path):
    for subset, texts in (("en", ROWS), ("de", ROWS[:3])):
        source = hub("tongues", {"text": texts}, subset=subset)
    configs = "".join(f"- config_name: {name}\n  data_files: {name}-train.parquet\n" for name in ("en", "de"))
    (tmp_path / "tongues" / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    assert f"has several subsets (en, de): say which is meant, as in {source},subset=en" in refusal(source)
    assert rows(f"{source},subset=de")[0] == ROWS[:3]


@pytest.mark.parametrize("keys", [("role", "content"), ("from", "value")])
def test_chats_are_written_by_the_tokenizers_template(hub, talking, keys):
    names = {"user": "human", "assistant": "gpt"} if keys[0] == "from" else {}
    talks = [
        [dict(zip(keys, (names.get(m["role"], m["role"]), m["content"]), strict=True)) for m in chat]
        for chat in chats(ROWS)
    ]
    found, said = rows(hub("talks", {"prompt": IDS, "conversations": talks}), talking)
    assert found[0].strip() == f"<user> {ROWS[0]}\n\n<assistant> {ROWS[0][::-1]}"
    assert "the column conversations" in said[-1]
    assert "30 chats" in said[-1]


def test_chats_without_a_template_or_that_it_does_not_fit_are_one_line(hub, tokenizer, tmp_path):
    source = hub("chat", {"messages": chats(ROWS)})
    assert "holds chats, and the tokenizer has no chat template" in refusal(source, tokenizer)
    tokenizer.chat_template = TEMPLATE
    strange = [[{"role": "critic", "content": text}] for text in ROWS]
    assert "fits none of the chats" in refusal(hub("strange", {"messages": strange}), tokenizer)
    found, said = rows(hub("mixed", {"messages": strange[:2] + chats(ROWS[2:])}), tokenizer)
    assert len(found) == 28
    assert "2 chats that the tokenizer's chat template does not fit" in said[0]


def test_a_row_without_messages_is_left_out(tmp_path, talking):
    chats = [[{"role": "user", "content": row}] for row in ROWS]
    lines = [json.dumps({"messages": each}) for chat in chats for each in (chat, [], None)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert len(rows(str(tmp_path / "a.jsonl"), talking)[0]) == len(ROWS)


def test_two_columns_of_chats_are_refused(hub, talking):
    message = refusal(hub("pairs", {"chosen": chats(ROWS), "rejected": chats(ROWS)}), talking)
    assert "several columns of text (chosen, rejected)" in message


def test_what_a_chat_repeats_of_another_one_is_in_one_split_only(tmp_path, talking):
    system = {"role": "system", "content": "You are a helpful assistant that answers in full."}
    talking.chat_template = TEMPLATE.replace("('user',", "('system', 'user',")
    talks = [{"messages": [system, *chat]} for chat in chats(ROWS + ROWS[5:20])]
    (tmp_path / "talks.jsonl").write_text("\n".join(map(json.dumps, talks)))
    parts = [read_text(str(tmp_path / "talks.jsonl"), split, talking) for split in SPLITS]
    assert [sum(row in part for part in parts) for row in ROWS] == [1] * len(ROWS)


def write(path: Path, texts: list[str]) -> str:
    """The same rows, with ids, in the format that the file's name says."""
    objects = [{"id": i, "meta": {"at": i} if i % 2 else "none", "text": text} for i, text in enumerate(texts)]
    if ".jsonl" in path.name:
        data = "\n".join(map(json.dumps, objects)).encode()
    elif ".json" in path.name:
        data = json.dumps({"version": 1, "data": objects} if "nested" in path.name else objects, indent=1).encode()
    elif path.suffix == ".parquet":
        parquet.write_table(pyarrow.table({"id": list(range(len(texts))), "text": texts}), path)
        return str(path)
    else:
        tab = "\t" if ".tsv" in path.name else ","
        data = "\n".join([f"id{tab}text", *(f'{i}{tab}"{text}"' for i, text in enumerate(texts))]).encode()
    if "marked" in path.name:
        data = b"\xef\xbb\xbf" + data
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


FILES = [
    "a.jsonl",
    "a.JSONL",
    "marked.jsonl",
    "a.jsonl.gz",
    "a.json",
    "nested.json",
    "a.parquet",
    "a.csv",
    "marked.csv",
]


@pytest.mark.parametrize("name", [*FILES, "a.tsv", "a.csv.gz"])
def test_a_file_of_rows_is_read_as_data(tmp_path, name):
    path = tmp_path / name if name != "a.JSONL" else tmp_path / "a.jsonl"
    source = write(path, ROWS)
    if name == "a.JSONL":
        source = str(path.rename(tmp_path / name))
    found, said = rows(source)
    assert found == ROWS
    assert "the column text, 30 rows" in said[0]


def test_rows_of_a_file_may_be_strings_and_hold_what_no_line_break_is(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row + "\u2028", ensure_ascii=False) for row in ROWS))
    assert rows(str(tmp_path / "a.jsonl"))[0] == [row + "\u2028" for row in ROWS]


def test_half_a_character_in_json_does_not_reach_the_tokenizer(tmp_path, tokenizer):
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": f"{row}\ud83d"}) for row in ROWS))
    text = read_text(str(tmp_path / "a.jsonl"), "report")
    assert tokenizer(text)["input_ids"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": ', "a.jsonl is not JSON: line 2"),
        ("a.jsonl", b'{"text": "x"}\n{"text": 7}\n', "no column that holds text alone; its columns are text"),
        ("a.csv", "text\ncafé\n".encode("latin-1"), "a.csv is not UTF-8 text"),
        ("a.jsonl", b"[1, 2]\n", "holds a list where a row is meant"),
        ("a.jsonl", b"", "has no column that holds text alone; its columns are none"),
        ("a.json", b"[" * 100_000, "a.json is not JSON"),
        ("a.json", b'{"title": "x", "body": "y"}', "several columns of text (title, body)"),
        ("a.parquet", b"PAR1junk", "is no parquet file that can be read"),
        ("a.jsonl.gz", b"\x1f\x8bjunk", "cannot read the rows"),
        ("a.jsonl", '{"text": "x"}'.encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("a.csv,split=train", b"text\nx", "which has no split"),
        ("none.parquet", None, "none.parquet: No such file or directory"),
    ],
)
def test_a_file_of_rows_that_cannot_be_read_is_one_line(tmp_path, name, content, complaint):
    if content is not None:
        (tmp_path / name.partition(",")[0]).write_bytes(content)
    assert complaint in refusal(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("train.jsonl", b'{"text": "x"}\n{"te', "Missing a closing quotation mark"),
        ("train.csv", "text\ncafé\n".encode("latin-1"), "'utf-8' codec can't decode byte 0xe9"),
        ("train.parquet", b"PAR1", "Parquet file size is 4 bytes"),
    ],
)
def test_a_folder_of_rows_that_cannot_be_read_says_why(tmp_path, hub, name, content, complaint):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).write_bytes(content)
    assert complaint in refusal(f"hf:{tmp_path / 'folder'}")


@pytest.mark.parametrize("words", ["hf:", "hf: ", "hf:,column=text"])
def test_a_data_set_without_a_name_is_refused(words):
    assert f"{words} names no data set" in refusal(words)


def test_a_part_of_what_has_no_parts_is_refused(tmp_path):
    (tmp_path / "story.txt").write_text("\n\n".join(ROWS))
    for name in ("builtin", "wikitext2", str(tmp_path / "story.txt")):
        with pytest.raises(UsageError, match="is no data set, and takes no column=text"):
            read_text(f"{name},column=text", "report")


@pytest.mark.parametrize("kind", ["hub", "a.jsonl", "a.parquet"])
def test_rows_that_a_data_set_repeats_are_in_one_split_only(hub, tmp_path, kind):
    repeated = ROWS + ROWS[::2] + [f"{row}\n\nThis is only in row {i} of all rows." for i, row in enumerate(ROWS[:7])]
    source = hub("twice", {"text": repeated}) if kind == "hub" else write(tmp_path / kind, repeated)
    parts = [read_text(source, split) for split in SPLITS]
    assert [sum(part.count(row) for part in parts) for row in ROWS] == [1] * len(ROWS)
