"""Unified limits: the order that the two-level model keeps, and counts that hold when many change them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.core.context import Context, internal
from kilostack.core.errors import Conflict, Error, Forbidden, NotFound
from kilostack.core.vault import Vault
from kilostack.identity.app.ground import Ground, IdentityParts
from kilostack.identity.app.limits import Limits, RegisteredLimits
from kilostack.identity.app.settings import IdentitySettings
from kilostack.identity.model.catalog import Service
from kilostack.identity.model.limits import UNLIMITED, Limit, ModelName, TreeTooDeep, check_two_levels
from kilostack.identity.model.projects import Domain, Project
from kilostack.identity.store.catalog import SERVICES
from kilostack.identity.store.limits import LIMITS, REGISTERED_LIMITS
from kilostack.identity.store.projects import DOMAINS, PROJECTS
from kilostack.store.database import Tx
from kilostack.store.lists import Ask
from tests.identity.conftest import Site

_DOMAIN_OF = {"p1": "d1", "p2": "d1", "p3": "d2"}
_OWNERS = st.sampled_from([*_DOMAIN_OF, "d1", "d2"])
_VALUES = st.integers(UNLIMITED, 6)
#: (what to do, whose limit, the value)
_STEPS = st.lists(st.tuples(st.sampled_from(["set", "set", "remove"]), _OWNERS, _VALUES), max_size=25)


def _limit(owner: str, value: int) -> Limit:
    limit = Limit(id=owner, registered_limit_id="r", service_id="s", resource_name="n", resource_limit=value)
    if owner in _DOMAIN_OF:
        return msgspec.structs.replace(limit, project_id=owner)
    return msgspec.structs.replace(limit, domain_id=owner)


def _allows(one: int, other: int) -> bool:
    """Whether a limit of `one` lets everything through that one of `other` does."""
    return one == UNLIMITED or (other != UNLIMITED and other <= one)


@given(_STEPS, _VALUES)
def test_no_project_is_ever_above_its_domain(steps: list[tuple[str, str, int]], default: int) -> None:
    held: dict[str, Limit] = {}
    for what, owner, value in steps:
        if what == "remove":
            held.pop(owner, None)
            continue
        wanted = _limit(owner, value)
        others = [limit for limit in held.values() if limit.id != owner]
        with suppress(Forbidden):
            check_two_levels(wanted, default, others, _DOMAIN_OF)
            held[owner] = wanted
            if owner in _DOMAIN_OF and _DOMAIN_OF[owner] not in held:
                assert _allows(default, value)
        for project, domain in _DOMAIN_OF.items():
            if project in held and domain in held:
                assert _allows(held[domain].resource_limit, held[project].resource_limit)


@given(_VALUES, _VALUES, _VALUES)
def test_a_limit_is_refused_only_for_what_is_above_or_below_it(own: int, other: int, default: int) -> None:
    beside = [_limit("p3", other), _limit("d2", other), _limit("p2", other)]
    if _allows(default, own):
        check_two_levels(_limit("p1", own), default, beside, _DOMAIN_OF)
    else:
        with pytest.raises(Forbidden):
            check_two_levels(_limit("p1", own), default, beside, _DOMAIN_OF)
    if _allows(own, other):
        check_two_levels(_limit("d1", own), default, beside, _DOMAIN_OF)
    else:
        with pytest.raises(Forbidden):
            check_two_levels(_limit("d1", own), default, beside, _DOMAIN_OF)


_CTX = internal("req-1")
_ABOUT: dict[str, Any] = {"service_id": "s", "resource_name": "n"}


class _Made(msgspec.Struct):
    """A domain with projects, and one registered limit of 10."""

    site: Site
    limits: Limits
    registered: RegisteredLimits
    registered_id: str

    async def create(self, value: int, **owner: str) -> str:
        (made,) = await self.limits.create_all(_CTX, [_ABOUT | {"resource_limit": value} | owner])
        return made.id

    async def uses(self) -> tuple[int, int]:
        """How many limits there are as counted, and as they are."""

        async def unit(tx: Tx) -> tuple[int, int]:
            registered = await REGISTERED_LIMITS.get(tx, id=self.registered_id)
            return registered.uses, await LIMITS.count(tx, registered_limit_id=self.registered_id)

        return await self.site.db.read(unit)


async def _made(site: Site, model: ModelName = "strict_two_level", depth: int = 1) -> _Made:
    settings = IdentitySettings(limit_model=model)
    ground = Ground(IdentityParts(db=site.db, world=site.world, vault=Vault(b"m" * 32), settings=settings))

    async def unit(tx: Tx) -> None:
        await SERVICES.insert(tx, Service(id="s", type="t"))
        await DOMAINS.insert(tx, Domain(id="d", name="d"))
        for project in ("p1", "p2", "p3"):
            await PROJECTS.insert(tx, Project(id=project, name=project, domain_id="d", parent_id="d"))
        above = "d"
        for level in range(depth):
            deep = Project(id=f"deep{level}", name=f"deep{level}", domain_id="d", parent_id=above)
            await PROJECTS.insert(tx, deep)
            above = deep.id

    await site.db.write(unit)
    registered = RegisteredLimits(ground)
    (first,) = await registered.create_all(_CTX, [_ABOUT | {"default_limit": 10}])
    return _Made(site, Limits(ground), registered, first.id)


async def test_projects_stay_within_their_domain(site: Site) -> None:
    made = await _made(site)
    with pytest.raises(Forbidden, match="doesn't satisfy current hierarchy model"):
        await made.create(11, project_id="p1")
    limit = await made.create(10, project_id="p1")
    with pytest.raises(Forbidden):
        await made.create(9, domain_id="d")
    domain = await made.create(20, domain_id="d")
    assert (await made.limits.update(_CTX, limit, {"resource_limit": 20})).resource_limit == 20
    for wrong in (21, UNLIMITED):
        with pytest.raises(Forbidden):
            await made.limits.update(_CTX, limit, {"resource_limit": wrong})
    with pytest.raises(Forbidden):
        await made.limits.update(_CTX, domain, {"resource_limit": 19})
    assert (await made.limits.update(_CTX, domain, {"resource_limit": UNLIMITED})).resource_limit == UNLIMITED
    assert await made.create(UNLIMITED, project_id="p2")
    assert await made.uses() == (3, 3)


async def test_a_domain_sees_its_own_limits_and_those_of_its_projects(site: Site) -> None:
    made = await _made(site, "flat")
    own = {await made.create(1, domain_id="d"), await made.create(1, project_id="p1")}

    async def other(tx: Tx) -> None:
        await DOMAINS.insert(tx, Domain(id="e", name="e"))
        await PROJECTS.insert(tx, Project(id="q", name="q", domain_id="e", parent_id="e"))

    await site.db.write(other)
    others = {await made.create(1, domain_id="e"), await made.create(1, project_id="q")}
    for domain_id, wanted in (("d", own), ("e", others), ("f", set())):
        reader = Context(request_id="", user_id="u", domain_id=domain_id, roles=("reader",))
        assert {limit.id for limit in await made.limits.page(reader, Ask())} == wanted
    assert {limit.id for limit in await made.limits.page(_CTX, Ask())} == own | others


async def test_what_comes_together_is_compared_whatever_its_order(site: Site) -> None:
    made = await _made(site)
    project, domain = {"project_id": "p1", "resource_limit": 15}, {"domain_id": "d", "resource_limit": 15}
    with pytest.raises(Forbidden):
        await made.limits.create_all(_CTX, [_ABOUT | project, _ABOUT | domain | {"resource_limit": 14}])
    assert await made.uses() == (0, 0)
    assert len(await made.limits.create_all(_CTX, [_ABOUT | project, _ABOUT | domain])) == 2
    assert await made.uses() == (2, 2)


async def test_the_flat_model_compares_nothing(site: Site) -> None:
    made = await _made(site, "flat", depth=4)
    await made.create(1, domain_id="d")
    await made.create(1000, project_id="p1")
    await made.limits.check_depth()


@pytest.mark.parametrize(("depth", "fits"), [(0, True), (2, True), (3, False)])
async def test_two_levels_are_no_more_than_two(site: Site, depth: int, fits: bool) -> None:
    made = await _made(site, depth=depth)
    if fits:
        await made.limits.check_depth()
        return
    with pytest.raises(TreeTooDeep, match="deep2 is at level 3"):
        await made.limits.check_depth()


async def test_a_domain_sinks_while_its_projects_rise(site: Site) -> None:
    """Whoever is second is refused, so that no project ends above its domain."""
    made = await _made(site)
    domain, limit = await made.create(10, domain_id="d"), await made.create(1, project_id="p1")

    async def change(limit_id: str, value: int) -> None:
        with suppress(Forbidden, Conflict):
            await made.limits.update(_CTX, limit_id, {"resource_limit": value})

    for _ in range(5):
        await asyncio.gather(change(domain, 1), change(limit, 10), change(domain, 10), change(limit, 1))
        shown = {one.id: one.resource_limit for one in await site.db.read(LIMITS.where)}
        assert shown[limit] <= shown[domain]


async def test_counts_hold_when_many_come_and_go_at_once(site: Site) -> None:
    made = await _made(site, "flat")

    async def come_and_go(project: str) -> None:
        for _ in range(4):
            with suppress(Conflict, NotFound):
                await made.limits.delete(_CTX, await made.create(1, project_id=project))

    await asyncio.gather(*(come_and_go(project) for project in _owners()))
    assert await made.uses() == (0, 0)
    await asyncio.gather(*(made.create(1, project_id=project) for project in ("p1", "p2", "p3")))
    assert await made.uses() == (3, 3)
    with pytest.raises(Forbidden, match="there are project limits"):
        await made.registered.delete(_CTX, made.registered_id)


def _owners() -> Iterator[str]:
    for project in ("p1", "p2", "p3"):
        yield from (project, project)


async def test_a_limit_never_outlives_what_it_stands_for(site: Site) -> None:
    """One of the two loses: the limit that is being made, or the registered limit that is being removed."""
    made = await _made(site)

    async def attempt(work: Any) -> bool:
        try:
            await work
        except Error:
            return False
        return True

    for _ in range(4):
        created, removed = await asyncio.gather(
            attempt(made.create(1, project_id="p1")), attempt(made.registered.delete(_CTX, made.registered_id))
        )
        assert created is not removed
        rows = await site.db.read(LIMITS.where)
        assert len(rows) == int(created)
        if created:
            await made.limits.delete(_CTX, rows[0].id)
        else:
            (again,) = await made.registered.create_all(_CTX, [_ABOUT | {"default_limit": 10}])
            made.registered_id = again.id
