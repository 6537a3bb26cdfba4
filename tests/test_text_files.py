"""Text files as the editors of this world save them."""

from pathlib import Path

import pytest

from autoprune.config import load_config
from autoprune.config_sections import DataSettings
from autoprune.errors import UsageError
from autoprune.evaluation.texts import SPLITS, read_text
from autoprune.measuring.algorithms import open_algorithms
from autoprune.text_files import read_text_file

MARK = b"\xef\xbb\xbf"
SOURCE = 'GROUP = "row"\n\n\ndef score(layer):\n    return layer.weight.abs()\n'
SAVED = {
    "a byte order mark": MARK + SOURCE.encode(),
    "Windows' line ends": SOURCE.replace("\n", "\r\n").encode(),
    "both": MARK + SOURCE.replace("\n", "\r\n").encode(),
}
WIDE = {"with a mark": "utf-16", "little-endian": "utf-16-le", "big-endian": "utf-16-be", "of 32 bits": "utf-32"}


def test_an_algorithm_is_the_same_however_it_was_saved(tmp_path):
    files = [tmp_path / f"{number}.py" for number in range(len(SAVED))]
    for file, saved in zip(files, SAVED.values(), strict=True):
        file.write_bytes(saved)
    settings = load_config(None, ["sandbox.engine=local"]).sandbox
    with open_algorithms([str(file) for file in files], settings) as algorithms:
        assert [algorithm.source for algorithm in algorithms] == [SOURCE] * len(SAVED)


@pytest.mark.parametrize("saved", ["marked", "crlf"])
def test_a_text_is_the_same_however_it_was_saved(tmp_path, saved):
    text = "\n\n".join(f"Paragraph {i} is about the number {i}." for i in range(30))
    (tmp_path / "plain.txt").write_text(text)
    data = MARK + text.encode() if saved == "marked" else text.replace("\n", "\r\n").encode()
    (tmp_path / "saved.txt").write_bytes(data)
    for split in SPLITS:
        assert read_text(str(tmp_path / "saved.txt"), split) == read_text(str(tmp_path / "plain.txt"), split)


def test_settings_and_policies_may_begin_with_a_mark(tmp_path):
    (tmp_path / "policy.yaml").write_bytes(MARK + b"otherwise: reject\r\n")
    (tmp_path / "c.yaml").write_bytes(MARK + b"sparsity: 0.3\r\ndata:\r\n  seqlen: 64\r\n")
    config = load_config(tmp_path / "c.yaml", [f"approval_policy={tmp_path / 'policy.yaml'}"])
    assert config.sparsity == 0.3
    assert config.data == DataSettings(seqlen=64)
    assert config.approval_policy.otherwise == "reject"


@pytest.mark.parametrize("encoding", WIDE.values(), ids=WIDE)
@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_text(str(path), "report"),
        lambda path: load_config(path),
        lambda path: read_text_file(path, "the candidate"),
    ],
)
def test_wide_text_is_named_with_what_to_do(tmp_path, encoding, read):
    path = tmp_path / "wide.py"
    path.write_bytes(SOURCE.encode(encoding))
    with pytest.raises(UsageError, match=r"wide\.py is UTF-16 text; save it as UTF-8") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("path", "complaint"), [("none", "No such file"), (".", "Is a directory"), ("a\0b", "null")])
def test_what_cannot_be_read_is_one_line(path, complaint):
    with pytest.raises(UsageError, match=complaint):
        read_text_file(Path(path), "the text")
