"""Which build of the program this is: after an upgrade, `up` replaces processes that run an older one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import kilostack


def build() -> str:
    """The version, and in a checkout the commit."""
    return f"{kilostack.__version__}+{commit}" if (commit := _commit()) else kilostack.__version__


def _commit() -> str:
    git = Path(kilostack.__file__).resolve().parent.parent / ".git"
    with suppress(OSError):
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head[:12]
        ref = head.removeprefix("ref: ")
        with suppress(OSError):
            return (git / ref).read_text().strip()[:12]
        for line in (git / "packed-refs").read_text().splitlines():
            if line.endswith(f" {ref}"):
                return line[:12]
    return ""
