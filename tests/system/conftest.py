"""Clouds with real guests for system tests: one per file, wiped after it; and the ways in which a user speaks to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds import BIN, DEBIAN_CLIENT, UserCloud, user_cloud

#: The newest client negotiates the highest microversion that it knows for each request; Debian's ends at 2.92.
CLIENTS = {
    "newest-highest": (str(BIN / "openstack"),),
    "newest-lowest": (str(BIN / "openstack"), "--os-compute-api-version", "2.1"),
    "debian-highest": (DEBIAN_CLIENT, "--os-compute-api-version", "2.92"),
    "debian-lowest": (DEBIAN_CLIENT, "--os-compute-api-version", "2.1"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that is here boots guests."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.root)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[UserCloud]:
    """A fresh cloud, for the tests of one file."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    with user_cloud(tmp_path_factory.mktemp("home"), name) as made:
        yield made


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, cloud: UserCloud) -> UserCloud:
    """The cloud of this file, as spoken to by each client at its lowest and highest microversion of compute."""
    if not Path(CLIENTS[request.param][0]).exists():
        pytest.skip("Debian's own client is not installed (python3-openstackclient)")
    return cloud.by(*CLIENTS[request.param])
