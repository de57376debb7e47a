"""What the documents list is what there is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import kilostack
from kilostack.cli.checks import TOOLS
from kilostack.cli.main import COMMANDS
from kilostack.core.settings import DEFAULT_PORT
from tests.style.tree import ROOT, texts

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))

#: Commands that a person does not type.
INNER = {"serve", "agent", "supervise"}


def test_readme_lists_every_command() -> None:
    listed = set(re.findall(r"^\| `kilostack (\w+)", README, re.MULTILINE))
    assert listed == set(COMMANDS) - INNER


def test_readme_names_the_port() -> None:
    assert f"port {DEFAULT_PORT}" in README


def test_the_blocks_to_paste_are_shell() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        subprocess.run(["bash", "-n", "-c", block], check=True)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SPEC.md"])
def test_make_targets_that_are_named_are_there(document: str) -> None:
    targets = set(re.findall(r"`make (\w+)", (ROOT / document).read_text()))
    assert targets
    assert targets <= set(re.findall(r"^(\w[\w-]*):", MAKEFILE, re.MULTILINE))


@pytest.mark.parametrize("document", [name for name in texts() if name.endswith(".md")])
def test_links_between_documents_lead_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", texts()[document]):
        assert ((ROOT / document).parent / target).exists(), target


def test_the_index_of_decisions_is_whole() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text()
    assert re.findall(r"\]\((\d{4}-[^)]+\.md)\)", index) == [path.name for path in DECISIONS]


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.name)
def test_a_decision_says_why_what_and_what_follows(decision: Path) -> None:
    text = decision.read_text()
    assert text.startswith(f"# {decision.name[:4]}: ")
    order = [text.find(part) for part in ("**Context.**", "**Decision.**", "**Consequences.**")]
    assert -1 not in order and order == sorted(order)
    assert len(text.splitlines()) <= 40, "half a page"


def test_the_packages_have_every_tool_that_doctor_looks_for() -> None:
    table = (ROOT / "tools/packages").read_text()
    for package in set(TOOLS.values()) - {"util-linux"}:  # always there
        assert re.search(rf"^run +{re.escape(package)} ", table, re.MULTILINE), package


def test_the_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {kilostack.__version__}" in changelog
