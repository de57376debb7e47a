"""What is taken away ends exactly the tokens with a role that their user has no longer, on both databases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from kilostack.core.token import Claims
from kilostack.identity.app.taking import made_of, made_of_implication, made_of_roles
from kilostack.identity.model.assignments import Assignment, Place
from kilostack.identity.store import tokens
from kilostack.store.database import Tx
from tests.identity.conftest import Site
from tests.identity.role_worlds import USERS_OF_WORLD, World, drawn, fill, holds, naive, places

_replace = msgspec.structs.replace
_BROUGHT: tuple[tuple[str, ...], ...] = ((), ("group0",))


def _subjects(world: World, user_id: str, place: Place, role_ids: Iterable[str], brought: tuple[str, ...]) -> set[str]:
    """Those of a token for a place with these roles."""
    fields: dict[str, Any] = {"system": True}
    if place.kind == "domain":
        fields = {"domain_id": place.id}
    elif place.kind == "project":
        (project,) = (project for project in world.projects if project.id == place.id)
        fields = {"project_id": project.id, "project_domain_id": project.domain_id}
    claims = Claims(
        number=0,
        issued_at=0,
        expires_at=0,
        audit_ids=("a",),
        methods=("password",),
        user_id=user_id,
        user_name="",
        user_domain_id="",
        user_domain_name="",
        roles=tuple((role_id, "") for role_id in sorted(role_ids)),
        group_ids=brought,
        **fields,
    )
    return set(claims.subjects())


def _check(before: World, after: World, ended: set[str], given: Iterable[Assignment]) -> None:
    """Tokens with any one role and with all of them: those with a role that was lost end.

    Two may end although nothing was lost, because the role came by another way, too: of who brings a group with them,
    and one by what a whole domain's projects inherit.
    """
    listed = list(given)
    for user_id in USERS_OF_WORLD:
        for brought in _BROUGHT:
            groups = {member.group_id for member in before.members if member.user_id == user_id} | set(brought)
            for place in places(before):
                had = naive(before, user_id, place, brought)
                lost = had - naive(after, user_id, place, brought)
                ways = [
                    one
                    for one in listed
                    if (one.actor_id == user_id or one.actor_id in groups) and holds(before, one, place)
                ]
                coarse = brought or any(one.inherited and one.scope_kind == "domain" for one in ways)
                for roles in [had, *({role_id} for role_id in had)]:
                    ends = bool(_subjects(before, user_id, place, roles, brought) & ended)
                    told = (user_id, brought, place, roles, lost, ways)
                    assert ends or not roles & lost, told
                    if ends and not roles & lost:
                        assert coarse and ways, told


@pytest.mark.parametrize("seed", range(25))
async def test_assignments(site: Site, seed: int) -> None:
    world = drawn(seed)
    await site.db.write(lambda tx: fill(tx, world))
    for at in range(len(world.assignments) + 1):
        # each alone, and the first half together
        taken = world.assignments[at : at + 1] or world.assignments[: at // 2]
        ended = set(await site.db.read(lambda tx, taken=taken: made_of(tx, taken)))
        left = [one for one in world.assignments if one not in taken]
        _check(world, _replace(world, assignments=left), ended, taken)


@pytest.mark.parametrize("seed", range(25))
async def test_implications_and_roles(site: Site, seed: int) -> None:
    world = drawn(seed)
    await site.db.write(lambda tx: fill(tx, world))
    for gone in world.implications:
        ended = set(await site.db.read(lambda tx, gone=gone: made_of_implication(tx, gone)))
        left = [one for one in world.implications if one != gone]
        _check(world, _replace(world, implications=left), ended, world.assignments)
    for role in world.roles:
        ended = set(await site.db.read(lambda tx, role=role: made_of_roles(tx, [role.id])))
        after = _replace(
            world,
            assignments=[one for one in world.assignments if one.role_id != role.id],
            implications=[one for one in world.implications if role.id not in (one.prior_id, one.implied_id)],
        )
        _check(world, after, ended, world.assignments)


async def test_many_at_once_are_written_by_few_statements(site: Site) -> None:
    subjects = [f"user {at}" for at in range(3000)]

    async def unit(tx: Tx) -> None:
        await tokens.revoke(tx, subjects, 2_000_000_000_000_000)

    before = await site.db.read(tokens.number)
    await site.db.write(unit)
    await site.db.write(unit)
    assert await site.db.read(lambda tx: tokens.is_void(tx, ["user 2999"], before))
    rules = await site.db.read(lambda tx: tokens.rules(tx, before, 1))
    assert {one.subject for one in rules.revocations} == set(subjects)
    assert {one.before for one in rules.revocations} == {before + 2}
