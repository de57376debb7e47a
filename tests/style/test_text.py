"""Words that must not be in the tree, and words that must."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

import pytest

from tests.style.tree import modules, texts

#: This file spells out what it looks for.
SELF = "tests/style/test_text.py"

FORBIDDEN = {
    "a path of one machine": r"(?<![A-Za-z0-9_.-])/(work|farm|tmp/plan|tmp/bg)/",
    "the host of a package registry": r"pypi\.org|pythonhosted|docker\.io|ghcr\.io|quay\.io|npmjs|crates\.io",
    "work that is left for later": r"(?<!\")\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError",
    "a patch of our own code": r"@mock\.patch|mock\.patch\(|monkeypatch\.setattr\(",
    "a conflict that was not resolved": r"^(<{7}|>{7})( |$)",
}

#: Modules are named after what is in them.
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc", "base", "domain", "entities"}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_has(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what], re.MULTILINE)
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name, text in texts().items()
        if name != SELF
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name for name, tree in modules().items() if not ast.get_docstring(tree)] == []


def test_the_first_line_of_a_module_is_one_sentence() -> None:
    firsts = {name: (ast.get_docstring(tree) or "").split("\n\n")[0].rstrip() for name, tree in modules().items()}
    assert {name: first for name, first in firsts.items() if not first.endswith((".", ":", "?"))} == {}


def test_annotations_are_never_evaluated_early() -> None:
    late = "from __future__ import annotations"
    without = [
        name
        for name, tree in modules().items()
        if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))
        and late not in ast.unparse(tree)
    ]
    assert without == []


def test_modules_are_named_after_what_is_in_them() -> None:
    assert [name for name in modules() if {PurePath(name).stem, PurePath(name).parent.name} & EMPTY_NAMES] == []


def test_files_end_with_one_line_end_and_have_no_blanks_at_line_ends() -> None:
    wrong = [
        name
        for name, text in texts().items()
        if name.endswith((".py", ".md", ".toml", ".yaml", ".txt")) and text
        if not text.endswith("\n") or text.endswith("\n\n") or re.search(r"[ \t]+$", text, re.MULTILINE)
    ]
    assert wrong == []


def test_every_skip_in_a_test_has_a_reason() -> None:
    for name, tree in modules().items():
        if not name.startswith("tests/"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.skip", "pytest.mark.skipif"):
                assert node.args or node.keywords, f"{name}:{node.lineno}"
