"""What a new cloud knows: one domain, three projects, two users, the persona roles, one region and the services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from kilostack.core.errors import Duplicate
from kilostack.core.secret import Secret
from kilostack.identity.app.ground import Ground
from kilostack.identity.model.assignments import SYSTEM, Assignment, ScopeKind
from kilostack.identity.model.catalog import INTERFACES, Endpoint, Region, Service
from kilostack.identity.model.projects import DEFAULT_DOMAIN, Domain, Project
from kilostack.identity.model.roles import Implication, Role
from kilostack.identity.model.users import User
from kilostack.identity.store.catalog import ENDPOINTS, REGIONS, SERVICES
from kilostack.identity.store.projects import DOMAINS, PROJECTS
from kilostack.identity.store.roles import ASSIGNMENTS, IMPLICATIONS, ROLES
from kilostack.identity.store.tables.meta import FEED
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx

PERSONAS = ("admin", "manager", "member", "reader", "service")
_IMPLIES = (("admin", "manager"), ("manager", "member"), ("member", "reader"))
_PROJECTS = (
    ("admin", "Bootstrap project for initializing the cloud."),
    ("demo", ""),
    ("service", "Owner of what the services themselves need."),
)


class ServicePlace(msgspec.Struct, frozen=True):
    """A service of this cloud: its type, the name that clients know it by, and its path below the cloud's root."""

    type: str
    name: str
    path: str


class Bootstrap:
    """Seeds a new cloud once, and adds services that an older one lacks. May be run at each start."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def directory(self, admin_password: Secret, demo_password: Secret) -> None:
        """People and roles, unless the default domain is there: later changes are the operator's and stay."""
        if await self._ground.db.read(lambda tx: DOMAINS.find(tx, id=DEFAULT_DOMAIN)) is not None:
            return
        admin_hash = await self._ground.passwords.hashed(admin_password)
        demo_hash = await self._ground.passwords.hashed(demo_password)
        seed = _Seed(self._ids(), admin_hash, demo_hash)

        async def unit(tx: Tx) -> None:
            if await DOMAINS.find(tx, id=DEFAULT_DOMAIN) is None:
                await seed.write(tx)

        try:
            await self._ground.db.write(unit)
        except Duplicate:
            # another process was faster, and has written all of it
            return

    async def services(self, region_id: str, places: Iterable[ServicePlace]) -> None:
        """A region, and a service with its three endpoints for each place whose type is not in the catalog."""
        ids = self._ids()
        planned = [
            (Service(id=next(ids), type=place.type, name=place.name), [(next(ids), face) for face in INTERFACES], place)
            for place in places
        ]

        async def unit(tx: Tx) -> None:
            known = {service.type for service in await SERVICES.where(tx)}
            missing = [plan for plan in planned if plan[0].type not in known]
            if await REGIONS.find(tx, id=region_id) is None:
                await REGIONS.insert(tx, Region(id=region_id))
            for service, faces, place in missing:
                await SERVICES.insert(tx, service)
                for endpoint_id, face in faces:
                    endpoint = Endpoint(
                        id=endpoint_id, service_id=service.id, interface=face, url=place.path, region_id=region_id
                    )
                    await ENDPOINTS.insert(tx, endpoint)
            if missing:
                await FEED.append(tx, ["catalog"])

        await self._ground.db.write(unit)

    def _ids(self) -> Iterator[str]:
        while True:
            yield self._ground.new_id()


class _Seed:
    """The records of a new cloud, with ids drawn before the unit that writes them."""

    def __init__(self, ids: Iterator[str], admin_hash: str, demo_hash: str) -> None:
        self._domain = Domain(id=DEFAULT_DOMAIN, name="Default", description="The default domain")
        self._roles = {name: Role(id=next(ids), name=name, immutable=True) for name in PERSONAS}
        self._projects = {
            name: Project(
                id=next(ids), name=name, domain_id=DEFAULT_DOMAIN, parent_id=DEFAULT_DOMAIN, description=description
            )
            for name, description in _PROJECTS
        }
        self._users = {
            name: User(id=next(ids), name=name, domain_id=DEFAULT_DOMAIN, password_hash=password_hash)
            for name, password_hash in (("admin", admin_hash), ("demo", demo_hash))
        }

    async def write(self, tx: Tx) -> None:
        await DOMAINS.insert(tx, self._domain)
        for role in self._roles.values():
            await ROLES.insert(tx, role)
        for prior, implied in _IMPLIES:
            pair = Implication(prior_id=self._roles[prior].id, implied_id=self._roles[implied].id)
            await IMPLICATIONS.insert(tx, pair)
        for project in self._projects.values():
            await PROJECTS.insert(tx, project)
        for user in self._users.values():
            await USERS.insert(tx, user)
        for assignment in self._assignments():
            await ASSIGNMENTS.insert(tx, assignment)

    def _assignments(self) -> Iterator[Assignment]:
        admin, demo = self._users["admin"].id, self._users["demo"].id
        project_of_admin, project_of_demo = self._projects["admin"].id, self._projects["demo"].id
        role = {name: found.id for name, found in self._roles.items()}
        given: tuple[tuple[str, ScopeKind, str, str], ...] = (
            (admin, "project", project_of_admin, "admin"),
            (admin, "system", SYSTEM, "admin"),
            (demo, "project", project_of_demo, "member"),
            (demo, "project", project_of_demo, "reader"),
        )
        for actor_id, kind, scope_id, name in given:
            yield Assignment(
                actor_kind="user", actor_id=actor_id, scope_kind=kind, scope_id=scope_id, role_id=role[name]
            )
