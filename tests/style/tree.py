"""The files that the project keeps."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> tuple[Path, ...]:
    """Every file under version control or about to be, without what only machines write."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(path for name in sorted(set(listed.split("\0"))) if name and (path := ROOT / name).is_file())


def python_files() -> list[Path]:
    """Those in Python, programs without a suffix included."""
    return [path for path in files() if path.suffix == ".py" or (not path.suffix and _is_script(path))]


def texts() -> list[tuple[str, str]]:
    """Name and text of those that are text."""
    found = []
    for path in files():
        try:
            found.append((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline().startswith(b"#!/usr/bin/env python")
