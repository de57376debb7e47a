"""A cloud that has nothing but identity: the real service, the real verifier, and a clock that the test turns on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kilostack.bus.hints import LocalHints
from kilostack.core.secret import Secret
from kilostack.core.vault import Vault
from kilostack.core.world import Micros, RealWorld
from kilostack.drivers.web.memory import MemoryWeb
from kilostack.drivers.web.port import Web
from kilostack.http.verifier import Verifier
from kilostack.identity.app.bootstrap import ServicePlace
from kilostack.identity.app.ground import IdentityParts
from kilostack.identity.app.passwords import HashCost
from kilostack.identity.app.settings import IdentitySettings
from kilostack.identity.service import IdentityService
from kilostack.identity.store.tables import META
from kilostack.store.database import Database
from kilostack.wire.calls import LocalCalls
from tests.conftest import MakeDatabase
from tests.http.cloud import Answer, Client, client
from tests.waiting import until

ADMIN, DEMO = "admin-password", "demo-password"
#: tests log in all the time, and what a hash costs is tested where passwords are
CHEAP = HashCost(passes=1, memory_kib=8)
PLACES = (
    ServicePlace("identity", "keystone", "/identity"),
    ServicePlace("compute", "nova", "/compute/v2.1"),
    ServicePlace("network", "neutron", "/network"),
)


class ClockWorld(RealWorld):
    """The real world, whose clocks the test turns on by hand."""

    def __init__(self) -> None:
        super().__init__()
        #: of the wall clock
        self.ahead_s = 0.0
        #: of the clock that deadlines are measured by
        self.passed_s = 0.0

    def now(self) -> Micros:
        return Micros(super().now() + int(self.ahead_s * 1e6))

    def monotonic(self) -> float:
        return super().monotonic() + self.passed_s


class IdentityCloud:
    """Speaks to the service as clients do."""

    def __init__(self, service: IdentityService, asking: Client, world: ClockWorld, db: Database) -> None:
        self.service, self.client, self.world, self.db = service, asking, world, db
        self._looking = ""

    async def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> Answer:
        """`path` is below /identity/v3."""
        return await self.client.request(method, "/identity/v3" + path, token=token, **more)

    async def log_in(self, user: str, password: str, scope: Any = None, **query: str) -> Answer:
        """By name, in the default domain; `scope` as in the API."""
        identity = {
            "methods": ["password"],
            "password": {"user": {"name": user, "domain": {"id": "default"}, "password": password}},
        }
        auth = {"identity": identity} if scope is None else {"identity": identity, "scope": scope}
        return await self.ask("POST", "/auth/tokens", json={"auth": auth}, **query)

    async def token(self, user: str, password: str, project: str) -> str:
        """A token for a project of the default domain."""
        answer = await self.log_in(user, password, on_project(project))
        assert answer.status == 201, answer.body
        return answer.headers["x-subject-token"]

    async def admin(self) -> str:
        return await self.token("admin", ADMIN, "admin")

    async def demo(self) -> str:
        return await self.token("demo", DEMO, "demo")

    async def ended(self, token: str) -> None:
        """Wait until every process refuses the token: asked as other services ask, through the verifier alone."""

        async def is_refused() -> bool:
            return (await self.ask("GET", "/auth/projects", token)).status == 401

        await until(is_refused, 5)

    async def id_of(self, plural: str, name: str) -> str:
        """The id of a thing that has this name."""
        path = f"/{plural}?name={name}"
        answer = await self.ask("GET", path, self._looking)
        if answer.status == 401:
            # logging in is slow on purpose: once is enough
            self._looking = await self.admin()
            answer = await self.ask("GET", path, self._looking)
        (found,) = answer.json()[plural]
        return str(found["id"])


async def somebody(cloud: IdentityCloud, name: str, **fields: Any) -> str:
    """A user with role member on project demo; the id."""
    admin = await cloud.admin()
    made = await cloud.ask("POST", "/users", admin, json={"user": {"name": name, "password": "pw", **fields}})
    assert made.status == 201, made.body
    user_id, role = made.json()["user"]["id"], await cloud.id_of("roles", "member")
    path = f"/projects/{await cloud.id_of('projects', 'demo')}/users/{user_id}/roles/{role}"
    assert (await cloud.ask("PUT", path, admin)).status == 204
    return str(user_id)


def on_project(name: str) -> dict[str, Any]:
    return {"project": {"name": name, "domain": {"name": "Default"}}}


@pytest.fixture
async def clock() -> AsyncIterator[ClockWorld]:
    made = ClockWorld()
    yield made
    await made.close()


@pytest.fixture
def settings() -> IdentitySettings:
    return IdentitySettings()


@pytest.fixture
def web() -> Web:
    """Where identity providers publish their keys; nothing is there unless a module says other."""
    return MemoryWeb()


@pytest.fixture
async def cloud(make_sqlite: MakeDatabase, clock: ClockWorld, settings: IdentitySettings, web: Web) -> IdentityCloud:
    """Seeded as a new cloud is."""
    hints, calls = LocalHints(clock), LocalCalls(clock)
    db = await make_sqlite(META, hint=hints.send)
    vault = Vault(b"m" * 32)
    parts = IdentityParts(db=db, world=clock, vault=vault, settings=settings, web=web, hash_cost=CHEAP)
    service = IdentityService(parts)
    await service.bootstrap(Secret(ADMIN), Secret(DEMO), PLACES)
    await service.start()
    calls.serve(service.answers)
    verifier = Verifier(calls, hints, clock)
    await verifier.start()
    return IdentityCloud(service, client([service.api, service.root], clock, verifier), clock, db)
