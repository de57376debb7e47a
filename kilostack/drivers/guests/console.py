"""A guest's console log: its end for readers, its beginning dropped so that it stays bounded."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

#: What is kept at least, and how much more may gather before the beginning is dropped.
KEEP_BYTES: Final = 256 * 1024
LIMIT_BYTES: Final = 1024 * 1024

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)


def tail(path: Path, lines: int | None = None) -> str:
    """The last `lines` of the log, or all that is kept. An absent log is empty."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - KEEP_BYTES))
            content = file.read()
    except FileNotFoundError:
        return ""
    text = content.decode("utf-8", errors="replace")
    if lines is None or lines < 0:
        return text
    return "".join(text.splitlines(keepends=True)[-lines:]) if lines else ""


def bound(path: Path) -> bool:
    """Drop the beginning of a log that has grown too long; true when something was dropped.

    The writer goes on appending meanwhile, so the file is never rewritten: the blocks of its beginning are given back
    and the rest stays where it is, without a moment in which a byte could be lost.
    """
    try:
        with path.open("r+b") as file:
            found = os.fstat(file.fileno())
            if found.st_blocks * 512 <= LIMIT_BYTES:
                return False
            drop = found.st_size - KEEP_BYTES
            if drop <= 0:
                return False
            arguments = (ctypes.c_int64(0), ctypes.c_int64(drop))
            if _libc.fallocate(file.fileno(), _KEEP_SIZE | _PUNCH_HOLE, *arguments) == 0:
                return True
            if ctypes.get_errno() not in (errno.EOPNOTSUPP, errno.ENOSYS):
                return False
            # A file system without holes: the end is lost with the beginning, but the disk does not fill.
            file.truncate(0)
            return True
    except FileNotFoundError:
        return False
