"""The files that the project keeps, read once."""

from __future__ import annotations

import ast
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def texts() -> dict[str, str]:
    """Name -> text, of every text file under version control or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {}
    for name in sorted(set(listed.split("\0")) - {""}):
        # What is no text is of no interest here; what has just been removed is gone.
        with suppress(UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            found[name] = (ROOT / name).read_text(encoding="utf-8")
    return found


@cache
def modules() -> dict[str, ast.Module]:
    """Name -> syntax tree, of every file in Python in which there is something; programs without a suffix included."""
    return {
        name: ast.parse(text)
        for name, text in texts().items()
        if text and (name.endswith(".py") or text.startswith("#!/usr/bin/env python"))
    }
