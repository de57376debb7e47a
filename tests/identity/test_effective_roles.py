"""Effective roles on both databases: the same as by walking every record, in three statements whatever there is."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.core.context import internal
from kilostack.core.vault import Vault
from kilostack.identity.app.assignments import (
    domains_with_roles,
    effective_roles,
    projects_with_roles,
)
from kilostack.identity.app.ground import Ground, IdentityParts
from kilostack.identity.app.proof import Named, Proof, Scope
from kilostack.identity.app.role_assignments import Names, RoleAssignments, Wanted
from kilostack.identity.app.signing import Signing
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.model.assignments import Assignment, Effective
from kilostack.identity.model.groups import Member
from kilostack.identity.model.projects import Project
from kilostack.identity.model.roles import Implication, Role
from kilostack.identity.store.groups import MEMBERS
from kilostack.identity.store.projects import PROJECTS
from kilostack.identity.store.roles import ASSIGNMENTS, IMPLICATIONS, ROLES
from kilostack.store.database import Database, Tx
from tests.counting import CountingDatabase
from tests.identity.conftest import Site
from tests.identity.role_worlds import USERS_OF_WORLD, World, drawn, fill, naive, places


@pytest.mark.parametrize("seed", range(25))
async def test_the_same_as_walking_every_record(site: Site, seed: int) -> None:
    world = drawn(seed)
    await site.db.write(lambda tx: fill(tx, world))

    async def look(tx: Tx) -> None:
        for user_id in USERS_OF_WORLD:
            for brought in ((), ("group0",)):
                held = {place: naive(world, user_id, place, brought) for place in places(world)}
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


@pytest.mark.parametrize("seed", range(10))
async def test_the_effective_list_holds_what_tokens_would(site: Site, seed: int) -> None:
    world = drawn(seed)
    await site.db.write(lambda tx: fill(tx, world))
    assignments = RoleAssignments(_ground(site.db, site))

    async def asked(**wanted: Any) -> list[Effective]:
        found: tuple[list[Effective], Names] = await assignments.page(internal("r"), Wanted(effective=True, **wanted))
        return found[0]

    everything = await asked()
    for place in places(world):
        there = await asked(place=place)
        for user_id in USERS_OF_WORLD:
            wanted = naive(world, user_id, place)
            assert {each.role_id for each in there if each.actor_id == user_id} == wanted
            alone = await asked(place=place, user_id=user_id)
            assert {each.role_id for each in alone} == wanted
            if place.kind != "system":
                all_of = [each for each in everything if (each.actor_id, each.place) == (user_id, place)]
                assert {each.role_id for each in all_of} == wanted
        assert all(each.place == place and each.actor_kind == "user" for each in there)
    assert not [each for each in everything if each.place.kind == "system"]


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
    await site.db.write(lambda tx: fill(tx, World()))
    await site.db.write(lambda tx: _deep(tx, width, depth))
    counting = CountingDatabase(site.db)
    ground = _ground(counting, site)
    signing = Signing(ground)
    await signing.prepare()
    scope = Scope(project=Named(id=f"project{depth - 1}"))

    async def issue() -> None:
        issued = await Tokens(ground, signing).issue(Proof(methods=("password",), user_id="user0"), scope)
        assert len(issued.claims.roles) == width

    assert await counting.cost(issue()) <= 9
