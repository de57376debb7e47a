"""Effective roles on both databases: the same as by walking every record, in three statements whatever there is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from kilostack.core.context import internal
from kilostack.core.token import Claims
from kilostack.core.vault import Vault
from kilostack.identity.app.assignments import (
    domains_with_roles,
    effective_roles,
    made_of,
    made_of_membership,
    projects_with_roles,
)
from kilostack.identity.app.ground import Ground, IdentityParts
from kilostack.identity.app.proof import Named, Proof, Scope
from kilostack.identity.app.role_assignments import Names, RoleAssignments, Wanted
from kilostack.identity.app.signing import Signing
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.model.assignments import Assignment, Effective, Place
from kilostack.identity.model.groups import Member
from kilostack.identity.model.projects import Domain, Project
from kilostack.identity.model.roles import Implication, Role
from kilostack.identity.model.users import User
from kilostack.identity.store.groups import MEMBERS
from kilostack.identity.store.projects import DOMAINS, PROJECTS
from kilostack.identity.store.roles import ASSIGNMENTS, IMPLICATIONS, ROLES
from kilostack.identity.store.users import USERS
from kilostack.store.database import Database, T, Tx, Unit
from kilostack.store.sql import Query
from tests.identity.conftest import Site

_USERS = [f"user{at}" for at in range(3)]
_GROUPS = [f"group{at}" for at in range(3)]
_DOMAINS = ["domain0", "domain1"]


class _World(msgspec.Struct):
    """Everything that roles depend on, drawn from a seed."""

    projects: list[Project] = []
    roles: list[Role] = []
    implications: list[Implication] = []
    members: list[Member] = []
    assignments: list[Assignment] = []


def _drawn(seed: int) -> _World:
    chance = random.Random(seed)
    world = _World()
    for at in range(6):
        domain = chance.choice(_DOMAINS)
        above = [project.id for project in world.projects if project.domain_id == domain]
        parent = chance.choice([domain, *above])
        world.projects.append(Project(id=f"project{at}", name=f"p{at}", domain_id=domain, parent_id=parent))
    world.roles = [
        Role(id=f"role{at}", name=f"r{at}", domain_id=chance.choice(["", "", "", "domain0"])) for at in range(5)
    ]
    ids = [role.id for role in world.roles]
    pairs = {(chance.choice(ids), chance.choice(ids)) for _ in range(chance.randrange(6))}
    world.implications = [Implication(prior_id=prior, implied_id=implied) for prior, implied in sorted(pairs)]
    joined = {(chance.choice(_GROUPS), chance.choice(_USERS)) for _ in range(chance.randrange(5))}
    world.members = [Member(group_id=group, user_id=user) for group, user in sorted(joined)]
    given = {msgspec.json.encode(one): one for one in _assigned(chance, world)}
    world.assignments = list(given.values())
    return world


def _assigned(chance: random.Random, world: _World) -> Iterator[Assignment]:
    for _ in range(chance.randrange(9)):
        kind = chance.choice(["project", "project", "domain", "system"])
        places = {"project": [project.id for project in world.projects], "domain": _DOMAINS, "system": ["all"]}
        actor = chance.choice(["user", "group"])
        yield Assignment(
            actor_kind=actor,  # type: ignore[arg-type]
            actor_id=chance.choice(_USERS if actor == "user" else _GROUPS),
            scope_kind=kind,  # type: ignore[arg-type]
            scope_id=chance.choice(places[kind]),
            role_id=chance.choice(world.roles).id,
            inherited=kind != "system" and chance.random() < 0.5,
        )


async def _fill(tx: Tx, world: _World) -> None:
    for name in _DOMAINS:
        await DOMAINS.insert(tx, Domain(id=name, name=name))
    for name in _USERS:
        await USERS.insert(tx, User(id=name, name=name, domain_id="domain0"))
    for project in world.projects:
        await PROJECTS.insert(tx, project)
    for role in world.roles:
        await ROLES.insert(tx, role)
    for implication in world.implications:
        await IMPLICATIONS.insert(tx, implication)
    for member in world.members:
        await MEMBERS.insert(tx, member)
    for assignment in world.assignments:
        await ASSIGNMENTS.insert(tx, assignment)


def _places(world: _World) -> list[Place]:
    return [
        Place("system"),
        *(Place("domain", name) for name in _DOMAINS),
        *(Place("project", project.id) for project in world.projects),
    ]


def _holds(world: _World, one: Assignment, place: Place) -> bool:
    """Whether an assignment holds on a place, found by walking up from it."""
    if not one.inherited:
        return (one.scope_kind, one.scope_id) == (place.kind, place.id)
    if place.kind != "project":
        return False
    by_id = {project.id: project for project in world.projects}
    at = by_id[place.id].parent_id
    while at in by_id:
        if (one.scope_kind, one.scope_id) == ("project", at):
            return True
        at = by_id[at].parent_id
    return (one.scope_kind, one.scope_id) == ("domain", at)


def _naive(world: _World, user_id: str, place: Place, brought: tuple[str, ...] = ()) -> set[str]:
    groups = {member.group_id for member in world.members if member.user_id == user_id} | set(brought)
    found = {
        one.role_id
        for one in world.assignments
        if (one.actor_id == user_id if one.actor_kind == "user" else one.actor_id in groups)
        and _holds(world, one, place)
    }
    for _ in world.implications:
        found |= {pair.implied_id for pair in world.implications if pair.prior_id in found}
    return found - {role.id for role in world.roles if role.domain_id}


@pytest.mark.parametrize("seed", range(25))
async def test_the_same_as_walking_every_record(site: Site, seed: int) -> None:
    world = _drawn(seed)
    await site.db.write(lambda tx: _fill(tx, world))

    async def look(tx: Tx) -> None:
        for user_id in _USERS:
            for brought in ((), ("group0",)):
                held = {place: _naive(world, user_id, place, brought) for place in _places(world)}
                for place, wanted in held.items():
                    found = await effective_roles(tx, user_id, place, brought)
                    assert {role.id for role in found} == wanted, (user_id, place, brought)
                    assert [role.name for role in found] == sorted(role.name for role in found)
                projects = await projects_with_roles(tx, user_id, brought)
                assert {project.id for project in projects} == {
                    place.id for place, roles in held.items() if roles and place.kind == "project"
                }
                domains = await domains_with_roles(tx, user_id, brought)
                assert {domain.id for domain in domains} == {
                    place.id for place, roles in held.items() if roles and place.kind == "domain"
                }

    await site.db.read(look)


def _claims(world: _World, user_id: str, place: Place, brought: tuple[str, ...]) -> Claims:
    """A token for a place, as far as revocations look at it."""
    fields: dict[str, Any] = {"system": True}
    if place.kind == "domain":
        fields = {"domain_id": place.id}
    elif place.kind == "project":
        (project,) = (project for project in world.projects if project.id == place.id)
        fields = {"project_id": project.id, "project_domain_id": project.domain_id}
    return Claims(
        number=0,
        issued_at=0,
        expires_at=0,
        audit_ids=("a",),
        methods=("password",),
        user_id=user_id,
        user_name="",
        user_domain_id="",
        user_domain_name="",
        group_ids=brought,
        **fields,
    )


@pytest.mark.parametrize("seed", range(25))
async def test_what_is_taken_ends_exactly_the_tokens_made_of_it(site: Site, seed: int) -> None:
    world = _drawn(seed)
    await site.db.write(lambda tx: _fill(tx, world))
    subjects = [(one, set(await site.db.read(lambda tx, one=one: made_of(tx, [one])))) for one in world.assignments]
    for user_id in _USERS:
        for brought in ((), ("group0",)):
            groups = {member.group_id for member in world.members if member.user_id == user_id} | set(brought)
            for place in _places(world):
                held_by = set(_claims(world, user_id, place, brought).subjects())
                for one, ended in subjects:
                    actors = {user_id} if one.actor_kind == "user" else groups
                    made = one.actor_id in actors and _holds(world, one, place)
                    assert bool(held_by & ended) is made, (user_id, brought, place, one)


@pytest.mark.parametrize("seed", range(10))
async def test_leaving_a_group_ends_exactly_the_tokens_made_of_its_roles(site: Site, seed: int) -> None:
    world = _drawn(seed)
    await site.db.write(lambda tx: _fill(tx, world))
    for member in world.members:
        ended = set(await site.db.read(lambda tx, one=member: made_of_membership(tx, one.group_id, [one.user_id])))
        given = [one for one in world.assignments if one.actor_id == member.group_id]
        for user_id in _USERS:
            for place in _places(world):
                made = user_id == member.user_id and any(_holds(world, one, place) for one in given)
                assert bool(set(_claims(world, user_id, place, ()).subjects()) & ended) is made


@pytest.mark.parametrize("seed", range(10))
async def test_the_effective_list_holds_what_tokens_would(site: Site, seed: int) -> None:
    world = _drawn(seed)
    await site.db.write(lambda tx: _fill(tx, world))
    assignments = RoleAssignments(_ground(site.db, site))

    async def asked(**wanted: Any) -> list[Effective]:
        found: tuple[list[Effective], Names] = await assignments.page(internal("r"), Wanted(effective=True, **wanted))
        return found[0]

    everything = await asked()
    for place in _places(world):
        there = await asked(place=place)
        for user_id in _USERS:
            wanted = _naive(world, user_id, place)
            assert {each.role_id for each in there if each.actor_id == user_id} == wanted
            alone = await asked(place=place, user_id=user_id)
            assert {each.role_id for each in alone} == wanted
            if place.kind != "system":
                all_of = [each for each in everything if (each.actor_id, each.place) == (user_id, place)]
                assert {each.role_id for each in all_of} == wanted
        assert all(each.place == place and each.actor_kind == "user" for each in there)
    assert not [each for each in everything if each.place.kind == "system"]


class _Counting:
    """A database that counts statements."""

    def __init__(self, db: Database) -> None:
        self._db, self.count = db, 0

    async def read(self, unit: Unit[T]) -> T:
        return await self._db.read(lambda tx: unit(_CountingTx(tx, self)))

    async def write(self, unit: Unit[T]) -> T:
        return await self._db.write(lambda tx: unit(_CountingTx(tx, self)))

    async def close(self) -> None:
        """The other one is closed by whoever opened it."""


class _CountingTx:
    def __init__(self, tx: Tx, counting: _Counting) -> None:
        self._tx, self._counting, self.dialect = tx, counting, tx.dialect

    async def one(self, query: Query, /, **params: Any) -> tuple[Any, ...] | None:
        self._counting.count += 1
        return await self._tx.one(query, **params)

    async def all(self, query: Query, /, **params: Any) -> list[tuple[Any, ...]]:
        self._counting.count += 1
        return await self._tx.all(query, **params)

    async def run(self, query: Query, /, **params: Any) -> int:
        self._counting.count += 1
        return await self._tx.run(query, **params)

    def hint(self, topic: str) -> None:
        self._tx.hint(topic)


def _ground(db: Database, site: Site) -> Ground:
    return Ground(IdentityParts(db=db, world=site.world, vault=Vault(b"m" * 32)))


async def _deep(tx: Tx, width: int, depth: int) -> None:
    """A user in `width` groups, who reaches the lowest of `depth` projects by each of them, and the role by a chain."""
    for level in range(depth):
        parent = f"project{level - 1}" if level else "domain0"
        project = Project(id=f"project{level}", name=f"p{level}", domain_id="domain0", parent_id=parent)
        await PROJECTS.insert(tx, project)
    for at in range(width):
        await ROLES.insert(tx, Role(id=f"role{at}", name=f"r{at}"))
        await IMPLICATIONS.insert(tx, Implication(prior_id=f"role{at}", implied_id=f"role{(at + 1) % width}"))
        await MEMBERS.insert(tx, Member(group_id=f"group{at}", user_id="user0"))
        kind, scope_id = ("project", f"project{at % depth}") if at else ("domain", "domain0")
        given = Assignment(
            actor_kind="group",
            actor_id=f"group{at}",
            scope_kind=kind,  # type: ignore[arg-type]
            scope_id=scope_id,
            role_id=f"role{at}",
            inherited=True,
        )
        await ASSIGNMENTS.insert(tx, given)


@pytest.mark.parametrize(("width", "depth"), [(1, 1), (40, 5)])
async def test_a_token_takes_as_many_statements_whatever_there_is(site: Site, width: int, depth: int) -> None:
    await site.db.write(lambda tx: _fill(tx, _World()))
    await site.db.write(lambda tx: _deep(tx, width, depth))
    counting = _Counting(site.db)
    ground = _ground(counting, site)
    signing = Signing(ground)
    await signing.prepare()
    counting.count = 0
    scope = Scope(project=Named(id=f"project{depth - 1}"))
    issued = await Tokens(ground, signing).issue(Proof(methods=("password",), user_id="user0"), scope)
    assert len(issued.claims.roles) == width
    assert counting.count <= 9
