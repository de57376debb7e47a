"""Planted bugs must fit the tree, or `make plant` would find nothing for the wrong reason."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLANTS = sorted((ROOT / "tests" / "plants").glob("*.patch"))


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.stem)
def test_a_planted_bug_applies(plant: Path) -> None:
    command = ["git", "apply", "--check", str(plant)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_there_are_plants() -> None:
    assert len(PLANTS) >= 4
