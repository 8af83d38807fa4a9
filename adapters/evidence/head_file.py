"""
Tree heads in a file outside the database, one a line, never changed and only added to.

A line that a crash or a full disk left unfinished stays as it is: the next head begins a new line,
and readers leave the unfinished one aside.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters.evidence.heads import MAX_LENGTH, BadHead, TreeHead, read_head

TAIL_BYTES = 64 * 1024
MOST_NOTED = 1000


@dataclass(slots=True)
class HeadFile:
    """The heads of a file, and the lines that hold none."""

    heads: list[TreeHead] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)
    """Their numbers, the first is 1."""


def read_heads(path: Path) -> HeadFile:
    """
    Every head of a file, in order.

    Raises:
        OSError
    """
    unreadable: list[int] = []
    return HeadFile(list(heads_in(path, unreadable)), unreadable)


def heads_in(path: Path, unreadable: list[int]) -> Iterator[TreeHead]:
    """
    One head after the other; of lines that hold none the first thousand numbers are noted.

    Raises:
        OSError
    """
    for number, line in enumerate(_lines(path), 1):
        try:
            yield read_head(line)
        except BadHead:
            if line.strip() and len(unreadable) < MOST_NOTED:
                unreadable.append(number)


def only_head(path: Path) -> TreeHead:
    """
    The one head of a file that holds it over several lines, or an answer of `GET /decisions`.

    Raises:
        BadHead: There is none; names the file.
        OSError
    """
    try:
        return read_head(path.read_bytes())
    except BadHead as error:
        raise BadHead(f"{path} holds no tree head: {error}") from None


def last_size(path: Path, log_id: str) -> int:
    """
    The size of the newest head of that log in the file; 0 if it holds none, or is not there.

    Raises:
        OSError
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            tail = file.read()
    except FileNotFoundError:
        return 0
    if (size := _largest(tail.splitlines(), log_id)) or len(tail) < TAIL_BYTES:
        return size
    return _largest(_lines(path), log_id)


def append_heads(path: Path, texts: Sequence[str]) -> None:
    """
    Add some heads; on disk when this returns.

    Raises:
        OSError: A beginning of them may stand there.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        begin = b"" if not size or os.pread(descriptor, 1, size - 1) == b"\n" else b"\n"
        data = begin + b"".join(text.encode() + b"\n" for text in texts)
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if not size:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _largest(lines: Iterator[bytes] | Sequence[bytes], log_id: str) -> int:
    size = 0
    for line in lines:
        try:
            head = read_head(line)
        except BadHead:
            continue
        if head.log_id == log_id:
            size = max(size, head.tree_size)
    return size


def _lines(path: Path) -> Iterator[bytes]:
    """What is too long for a head is cut: it is none either way."""
    with path.open("rb") as file:
        while line := file.readline(MAX_LENGTH):
            yield line
