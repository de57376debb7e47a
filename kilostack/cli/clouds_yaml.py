"""Editing the text of a clouds.yaml: entries come and go, everything else stays as its owner wrote it.

The text is changed line by line, because writing a parsed file out again would lose comments and order. What comes out
is parsed and compared with what was wanted; only where that fails (the file is written in flow style, say) is it
written anew from the parsed data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

Entry = dict[str, Any]


class Broken(Exception):
    """The file is not what an OpenStack client could read; the text says where."""


def entries(text: str) -> dict[str, Entry]:
    """The clouds of a file. Raises `Broken`."""
    clouds = _parse(text).get("clouds") or {}
    if not isinstance(clouds, dict):
        raise Broken("`clouds` is not a mapping")
    return clouds


def edit(text: str, wanted: Mapping[str, Entry | None]) -> str:
    """The text with each named entry replaced, added, or, for None, removed. Raises `Broken`."""
    clouds = entries(text)
    if all(clouds.get(name) == entry for name, entry in wanted.items()):
        return text
    goal = _parse(text)
    goal["clouds"] = {name: entry for name, entry in {**clouds, **wanted}.items() if entry is not None}
    lines = text.splitlines(keepends=True)
    for name, entry in wanted.items():
        lines = _edit_one(lines, name, entry)
    edited = "".join(lines)
    try:
        found = _parse(edited)
        found["clouds"] = found.get("clouds") or {}
        if found == goal:
            return edited
    except Broken:
        pass
    return yaml.safe_dump(goal, sort_keys=False, allow_unicode=True)


def is_empty(text: str) -> bool:
    """Whether the file says nothing any more and holds no comment."""
    return not any(line.strip() and line.rstrip() not in ("clouds:", "clouds: {}", "---") for line in text.splitlines())


def render(name: str, entry: Entry, indent: int = 2) -> str:
    """One entry as a block of lines."""
    block = yaml.safe_dump({name: entry}, sort_keys=False, allow_unicode=True)
    return "".join(" " * indent + line for line in block.splitlines(keepends=True))


def _parse(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Broken(" ".join(str(error).split())) from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Broken("it is not a mapping")
    return found


def _edit_one(lines: list[str], name: str, entry: Entry | None) -> list[str]:
    head = next((at for at, line in enumerate(lines) if re.match(r"clouds\s*:", line)), None)
    if head is None:
        if entry is None:
            return lines
        return [*_ended(lines), "clouds:\n", render(name, entry)]
    end = _block_end(lines, head, 0)
    indent = next((_indent(line) for line in lines[head + 1 : end] if _says(line)), 2) or 2
    before, after = lines[:head], lines[end:]
    title = re.sub(r"(clouds\s*:)\s*(\{\s*\}|null|~)\s*$", r"\1\n", lines[head].rstrip() + "\n")
    body = lines[head + 1 : end]
    at = next((at for at, line in enumerate(body) if _is_key(line, name, indent)), None)
    new = [] if entry is None else [render(name, entry, indent)]
    if at is None:
        body = [*_ended(body), *new]
    else:
        body = [*body[:at], *new, *body[_block_end(body, at, indent) :]]
    return [*_ended(before), title, *body, *after]


def _block_end(lines: list[str], head: int, indent: int) -> int:
    """Where the block that begins at `head` ends: comments and blank lines before the next key belong to that key."""
    end = head + 1
    for at in range(head + 1, len(lines)):
        line = lines[at]
        if _says(line):
            if _indent(line) <= indent:
                break
            end = at + 1
        elif line.strip() and _indent(line) > indent:
            end = at + 1
    return end


def _is_key(line: str, name: str, indent: int) -> bool:
    return _says(line) and _indent(line) == indent and bool(re.match(rf"\s*(['\"]?){re.escape(name)}\1\s*:", line))


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _ended(lines: list[str]) -> list[str]:
    """The lines with a line end behind the last one, too."""
    if lines and not lines[-1].endswith("\n"):
        return [*lines[:-1], lines[-1] + "\n"]
    return lines
