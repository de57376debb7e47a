"""The table of operations is whole: each route has a line, and each line a rule that there is."""

from __future__ import annotations

import pytest

from kilostack.core.vault import Vault
from kilostack.core.world import RealWorld
from kilostack.http.operations import key_of
from kilostack.identity.api.operations import OPERATIONS
from kilostack.identity.app.ground import IdentityParts
from kilostack.identity.app.policies import RULES
from kilostack.identity.service import IdentityService
from kilostack.identity.store.tables import META
from tests.conftest import MakeDatabase


@pytest.fixture
async def service(make_sqlite: MakeDatabase, world: RealWorld) -> IdentityService:
    return IdentityService(IdentityParts(db=await make_sqlite(META), world=world, vault=Vault(b"k" * 32)))


async def test_every_route_is_told(service: IdentityService) -> None:
    assert [key_of(route) for route in service.api.routes if key_of(route) not in OPERATIONS] == []
    assert all(route.statuses for route in service.api.routes)


def test_every_rule_of_the_table_is_there_and_every_rule_is_in_the_table() -> None:
    told = {rule for operation in OPERATIONS.values() for rule in operation.rules}
    known = {rule.name for rule in RULES if ":" in rule.name}
    assert told == known
