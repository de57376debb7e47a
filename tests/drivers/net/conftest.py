"""Fixtures of the network drivers' tests: a machine with two hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers.net.lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab(2)
    yield made
    made.close()


@pytest.fixture
def host(lab: Lab) -> str:
    return lab.hosts[0]
