"""Text files that a user names: algorithms, texts, settings. UTF-8, a byte order mark or none, LF or CR LF."""

import codecs
from pathlib import Path

from autoprune.errors import UsageError

WIDE = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
NUL_SHARE = 0.25
"""UTF-16 without a mark reads as UTF-8, with a NUL beside every ASCII character."""


def read_text_file(path: Path, what: str, hint: str = "", most: int = -1) -> str:
    """The file's text without a byte order mark, CR LF replaced by LF.

    `what` stands before the path in an error ("the algorithm"), `hint` after the reason why it cannot be read; no more
    than `most` bytes are read, if given. Raises UsageError for a file that cannot be read or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most)
    except OSError as error:
        raise UsageError(f"cannot read {what} {path}: {error.strerror}{hint}") from None
    except ValueError as error:  # a NUL in the path
        raise UsageError(f"cannot read {what} {str(path)!r}: {error}{hint}") from None
    return decode_text(data, f"{what} {path}")


def decode_text(data: bytes, what: str) -> str:
    """The same of bytes; `what` names them in an error."""
    try:
        text = None if data.startswith(WIDE) else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} is not UTF-8 text (byte {error.start})") from None
    if text is None or text.count("\0") > NUL_SHARE * len(text):
        raise UsageError(f"{what} is UTF-16 text; save it as UTF-8, or convert it with iconv -f UTF-16 -t UTF-8")
    return with_line_feeds(text)


def with_line_feeds(text: str) -> str:
    """The text with lines that end as on Unix. A CR alone stays: in source code it hides what is after it."""
    return text.replace("\r\n", "\n")
