"""Small worlds of projects, groups, roles and assignments, drawn from a seed; and what follows, the long way."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec

from kilostack.identity.model.assignments import Assignment, Place
from kilostack.identity.model.groups import Member
from kilostack.identity.model.projects import Domain, Project
from kilostack.identity.model.roles import Implication, Role
from kilostack.identity.model.users import User
from kilostack.identity.store.groups import MEMBERS
from kilostack.identity.store.projects import DOMAINS, PROJECTS
from kilostack.identity.store.roles import ASSIGNMENTS, IMPLICATIONS, ROLES
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx

USERS_OF_WORLD = [f"user{at}" for at in range(3)]
GROUPS_OF_WORLD = [f"group{at}" for at in range(3)]
DOMAINS_OF_WORLD = ["domain0", "domain1"]


class World(msgspec.Struct):
    """Everything that roles depend on, drawn from a seed."""

    projects: list[Project] = []
    roles: list[Role] = []
    implications: list[Implication] = []
    members: list[Member] = []
    assignments: list[Assignment] = []


def drawn(seed: int) -> World:
    """The world of a seed."""
    chance = random.Random(seed)
    world = World()
    for at in range(6):
        domain = chance.choice(DOMAINS_OF_WORLD)
        above = [project.id for project in world.projects if project.domain_id == domain]
        parent = chance.choice([domain, *above])
        world.projects.append(Project(id=f"project{at}", name=f"p{at}", domain_id=domain, parent_id=parent))
    world.roles = [
        Role(id=f"role{at}", name=f"r{at}", domain_id=chance.choice(["", "", "", "domain0"])) for at in range(5)
    ]
    ids = [role.id for role in world.roles]
    pairs = {(chance.choice(ids), chance.choice(ids)) for _ in range(chance.randrange(6))}
    world.implications = [Implication(prior_id=prior, implied_id=implied) for prior, implied in sorted(pairs)]
    joined = {(chance.choice(GROUPS_OF_WORLD), chance.choice(USERS_OF_WORLD)) for _ in range(chance.randrange(5))}
    world.members = [Member(group_id=group, user_id=user) for group, user in sorted(joined)]
    given = {msgspec.json.encode(one): one for one in _assigned(chance, world)}
    world.assignments = list(given.values())
    return world


def _assigned(chance: random.Random, world: World) -> Iterator[Assignment]:
    for _ in range(chance.randrange(9)):
        kind = chance.choice(["project", "project", "domain", "system"])
        places = {"project": [project.id for project in world.projects], "domain": DOMAINS_OF_WORLD, "system": ["all"]}
        actor = chance.choice(["user", "group"])
        yield Assignment(
            actor_kind=actor,  # type: ignore[arg-type]
            actor_id=chance.choice(USERS_OF_WORLD if actor == "user" else GROUPS_OF_WORLD),
            scope_kind=kind,  # type: ignore[arg-type]
            scope_id=chance.choice(places[kind]),
            role_id=chance.choice(world.roles).id,
            inherited=kind != "system" and chance.random() < 0.5,
        )


async def fill(tx: Tx, world: World) -> None:
    """Write the world down."""
    for name in DOMAINS_OF_WORLD:
        await DOMAINS.insert(tx, Domain(id=name, name=name))
    for name in USERS_OF_WORLD:
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


def places(world: World) -> list[Place]:
    """Everything that roles can be held on."""
    return [
        Place("system"),
        *(Place("domain", name) for name in DOMAINS_OF_WORLD),
        *(Place("project", project.id) for project in world.projects),
    ]


def holds(world: World, one: Assignment, place: Place) -> bool:
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


def naive(world: World, user_id: str, place: Place, brought: tuple[str, ...] = ()) -> set[str]:
    """The roles of the cloud that a user has on a place, found by looking at every record."""
    groups = {member.group_id for member in world.members if member.user_id == user_id} | set(brought)
    found = {
        one.role_id
        for one in world.assignments
        if (one.actor_id == user_id if one.actor_kind == "user" else one.actor_id in groups)
        and holds(world, one, place)
    }
    for _ in world.implications:
        found |= {pair.implied_id for pair in world.implications if pair.prior_id in found}
    return found - {role.id for role in world.roles if role.domain_id}
