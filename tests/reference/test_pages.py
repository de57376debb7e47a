"""What docs/reference says is what the program does."""

from __future__ import annotations

from pathlib import Path

import pytest

from kilostack.assembly.reference import pages

WHERE = Path(__file__).parents[2] / "docs/reference"


@pytest.mark.parametrize("name", pages())
def test_pages_are_current(name: str) -> None:
    said = (WHERE / name).read_text(encoding="utf-8")
    assert said == pages()[name](), "write it anew: python -m tools.reference"
