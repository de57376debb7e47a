"""Fixtures of all HTTP tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kilostack.core.world import RealWorld


@pytest.fixture
async def world() -> AsyncIterator[RealWorld]:
    """The real clocks and threads; whatever was spawned ends with the test."""
    made = RealWorld()
    yield made
    await made.close()
