"""A GGUF file is taken at its word only after its header has been walked: what is cut off or absurd is one line."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFEndian, GGUFReader, GGUFWriter
from gguf.quants import quantize

from autoprune.errors import UsageError
from autoprune.models.gguf_header import check_gguf
from tests.gguf_models import empty_gguf


def text(word: str) -> bytes:
    return struct.pack("<Q", len(word)) + word.encode()


def field(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def array(kind: int, count: int, content: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + content


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def file(*parts: bytes, version: int = 3, tensors: int = 0, fields: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + b"".join(parts)


def written(path: Path, endianess: GGUFEndian = GGUFEndian.LITTLE) -> Path:
    """A file by the format's own library, with values of every kind."""
    writer = GGUFWriter(path, "llama", endianess=endianess)
    writer.add_name("tiny")
    writer.add_token_list([f"token {number}" for number in range(1000)])
    writer.add_token_scores([0.5] * 1000)
    writer.add_custom_alignment(64)
    writer.add_rope_freq_base(10000.0)
    writer.add_add_bos_token(True)
    writer.add_tensor("a", np.ones((64, 32), np.float32))
    writer.add_tensor(
        "b", quantize(np.ones((4, 64), np.float32), GGMLQuantizationType.Q8_0), raw_dtype=GGMLQuantizationType.Q8_0
    )
    writer.add_tensor("c", np.ones(3, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("endianess", [GGUFEndian.LITTLE, GGUFEndian.BIG])
def test_a_file_of_the_formats_own_library_is_read(tmp_path, endianess):
    path = written(tmp_path / "a.gguf", endianess)
    assert check_gguf(path, "it") == 3 == len(GGUFReader(path).tensors)


def test_a_file_that_was_cut_off_anywhere_is_one_line(tmp_path):
    whole = written(tmp_path / "a.gguf").read_bytes()
    data = GGUFReader(tmp_path / "a.gguf").data_offset
    cuts = [*range(4, 200, 7), *range(200, len(whole) - 64, 499), data - 100, data + 1, len(whole) - 64]
    for cut in cuts:
        (tmp_path / "a.gguf").write_bytes(whole[:cut])
        with pytest.raises(UsageError, match=r"^it is a damaged GGUF file: .*cut off") as raised:
            check_gguf(tmp_path / "a.gguf", "it")
        assert "\n" not in str(raised.value)


HUGE = 2**63
ABSURD = {
    "a version of the future": file(version=99),
    "a version of zero": file(version=0),
    "more tensors than bytes": file(tensors=HUGE),
    "more fields than bytes": file(fields=HUGE),
    "a name that is longer than the file": file(struct.pack("<Q", HUGE) + b"x", bytes(100), fields=1),
    "a name without end": file(struct.pack("<Q", 100_000), bytes(200_000), fields=1),
    "a string that is longer than the file": file(field("a", 8, struct.pack("<Q", HUGE)), bytes(100), fields=1),
    "an array that is longer than the file": file(field("a", 9, array(4, HUGE)), bytes(100), fields=1),
    "an array of more strings than bytes": file(field("a", 9, array(8, 2**40)), bytes(100), fields=1),
    "arrays in an array": file(field("a", 9, array(9, 1, array(9, 1, array(4, 0)))), bytes(100), fields=1),
    "an unknown type of value": file(field("a", 77, bytes(8)), bytes(100), fields=1),
    "an alignment of zero": file(field("general.alignment", 4, bytes(4)), bytes(100), fields=1),
    "an odd alignment": file(field("general.alignment", 4, struct.pack("<I", 3)), bytes(100), fields=1),
    "an alignment in words": file(field("general.alignment", 8, text("eight")), bytes(100), fields=1),
    "many dimensions": file(tensor("t", (1,) * 9), bytes(200), tensors=1),
    "a shape that overflows": file(tensor("t", (2**62, 2**62)), bytes(200), tensors=1),
    "an unknown type of tensor": file(tensor("t", (1,), kind=999), bytes(200), tensors=1),
    "data outside of the file": file(tensor("t", (4,), offset=2**62), bytes(200), tensors=1),
    "tensors that share their data": file(*(tensor(f"t{n}", (32,)) for n in range(20)), bytes(160), tensors=20),
}


@pytest.mark.parametrize("what", ABSURD)
def test_a_header_with_absurd_numbers_is_one_line_at_once(tmp_path, what):
    (tmp_path / "a.gguf").write_bytes(ABSURD[what])
    with pytest.raises(UsageError, match=r"^it is a damaged GGUF file: ") as raised:
        check_gguf(tmp_path / "a.gguf", "it")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\3\4" + bytes(100), b"FUGG" + bytes(100)])
def test_what_does_not_begin_as_one_is_no_gguf_file(tmp_path, content):
    (tmp_path / "a.gguf").write_bytes(content)
    with pytest.raises(UsageError, match=r"^it is no GGUF file$"):
        check_gguf(tmp_path / "a.gguf", "it")


def test_a_pipe_a_directory_and_nothing_are_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe.gguf")
    for path, reason in [
        (tmp_path / "pipe.gguf", "pipe"),
        (tmp_path, "a directory"),
        (tmp_path / "no", "cannot be read"),
    ]:
        with pytest.raises(UsageError, match=f"^it .*{reason}"):
            check_gguf(path, "it")


def test_a_header_without_anything_else_is_read(tmp_path):
    assert check_gguf(empty_gguf(tmp_path / "a.gguf"), "it") == 0
