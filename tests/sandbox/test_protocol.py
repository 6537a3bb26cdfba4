"""The message protocol: whatever arrives is a message, the end of the stream, or a ProtocolError."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.sandbox.protocol import HEADER, MAX_MESSAGE, ProtocolError, encode, read_message

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=5), st.integers(1, 7))
def test_messages_survive_being_cut_into_pieces(message: dict[str, Any], size: int) -> None:
    stream = io.BytesIO(encode(message) * 2)
    assert [read_message(lambda n: stream.read(min(n, size))) for _ in range(2)] == [message, message]


@given(st.binary(max_size=200))
def test_garbage_is_never_a_message(garbage: bytes) -> None:
    with pytest.raises((ProtocolError, EOFError)):
        read_message(io.BytesIO(garbage).read)


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"x": NaN}', b'{"x": Infinity}', b"\xff", b"[" * 50_000, b'{"x": ' + b"9" * 5000 + b"}"]
)
def test_bodies_that_are_not_plain_objects_are_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_message(io.BytesIO(HEADER.pack(b"APS", 1, len(body)) + body).read)


def test_an_announced_length_beyond_the_bound_is_refused_before_reading() -> None:
    stream = io.BytesIO(HEADER.pack(b"APS", 1, MAX_MESSAGE + 1) + b"x" * 10)
    with pytest.raises(ProtocolError, match="announced"):
        read_message(stream.read)
    assert stream.tell() == HEADER.size


def test_too_large_and_not_finite_messages_are_not_sent() -> None:
    with pytest.raises(ProtocolError):
        encode({"source": "x" * MAX_MESSAGE})
    with pytest.raises(ValueError, match="JSON"):
        encode({"sparsity": float("nan")})
