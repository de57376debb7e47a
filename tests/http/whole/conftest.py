"""One simulated cloud that all tests here share, and people in several projects of it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.http.whole.simulated import Login, SimulatedCloud

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def cloud() -> Iterator[SimulatedCloud]:
    """A running cloud of two hosts; it is gone after the session, whatever became of it."""
    with tempfile.TemporaryDirectory(prefix="ks-whole-") as home:
        made = SimulatedCloud(Path(home), "whole", "--hosts", "2")
        made.up()
        yield made
        made.down("--wipe")


@pytest.fixture(scope="session")
def admin(cloud: SimulatedCloud) -> Login:
    return cloud.log_in("admin")


@pytest.fixture(scope="session")
def demo(cloud: SimulatedCloud) -> Login:
    return cloud.log_in("demo")


@pytest.fixture
def new_project(cloud: SimulatedCloud) -> Callable[..., Login]:
    """`new_project()` is a member of a fresh project; `new_project("reader")` has other roles there."""

    def make(*roles: str) -> Login:
        return cloud.new_project(f"project-{next(_NUMBERS)}", *(roles or ("member",)))

    return make
