"""Reading the user's text files: UTF-8, with or without a byte order mark, LF or CR LF. Cleaning untrusted text."""

import codecs
import os
import stat
from pathlib import Path

from autoprune.errors import UsageError

WIDE = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
NUL_SHARE = 0.25
"""Share of NUL characters that indicates UTF-16 without a mark, which is valid UTF-8."""


def read_text_file(path: Path, what: str, hint: str = "", most: int = -1) -> str:
    """The file's text without a byte order mark, CR LF replaced by LF.

    Error messages begin with `what` ("the algorithm") and end with `hint`. At most `most` bytes are read, if it is
    given. Raises UsageError for a file that is unreadable or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most)
    except OSError as error:
        raise UsageError(f"cannot read {what} {path}: {error.strerror}{hint}") from None
    except ValueError as error:  # a NUL in the path
        raise UsageError(f"cannot read {what} {str(path)!r}: {error}{hint}") from None
    return decode_text(data, f"{what} {path}")


def read_regular_file(path: Path, what: str, most: int) -> str:
    """The text of a file that may come from someone else: a regular one, no link, of at most `most` bytes.

    Raises UsageError, as `read_text_file`.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "it is a symbolic link" if path.is_symlink() else error.strerror
        raise UsageError(f"cannot read {what} {path}: {why}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UsageError(f"cannot read {what} {path}: it is not a regular file")
    with os.fdopen(handle, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise UsageError(f"{what} {path} has more than {most:,} bytes")
    return decode_text(data, f"{what} {path}")


def decode_text(data: bytes, what: str) -> str:
    """Decode bytes like `read_text_file`; `what` names them in an error."""
    try:
        text = None if data.startswith(WIDE) else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} is not UTF-8 text (byte {error.start})") from None
    if text is None or text.count("\0") > NUL_SHARE * len(text):
        raise UsageError(f"{what} is UTF-16 text; save it as UTF-8, or convert it with iconv -f UTF-16 -t UTF-8")
    return with_line_feeds(text)


def with_line_feeds(text: str) -> str:
    """The text with CR LF replaced by LF. A single CR is kept, so that it can be detected in source code."""
    return text.replace("\r\n", "\n")


def clean(text: str) -> str:
    """Text that is safe to store and to show: no control characters, no surrogates."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in text if c in "\n\t" or (c.isprintable() and c != "\x7f"))
