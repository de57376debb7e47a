"""Identity on a database of either kind, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from kilostack.core.secret import Secret
from kilostack.core.vault import Vault
from kilostack.core.world import RealWorld
from kilostack.identity.app.bootstrap import ServicePlace
from kilostack.identity.app.ground import IdentityParts
from kilostack.identity.service import IdentityService
from kilostack.identity.store.tables import META
from kilostack.store.database import Database
from tests.conftest import MakeDatabase

PLACES = (ServicePlace("identity", "keystone", "/identity"), ServicePlace("compute", "nova", "/compute/v2.1"))


class Site(msgspec.Struct):
    db: Database
    world: RealWorld

    def service(self, master_key: bytes = b"m" * 32) -> IdentityService:
        """One process of identity; several may share the database."""
        return IdentityService(IdentityParts(db=self.db, world=self.world, vault=Vault(master_key)))

    async def seed(self, service: IdentityService, password: str = "secret") -> None:
        await service.bootstrap(Secret(password), Secret("demo"), PLACES)


@pytest.fixture
async def site(make_database: MakeDatabase, world: RealWorld) -> AsyncIterator[Site]:
    yield Site(await make_database(META), world)
