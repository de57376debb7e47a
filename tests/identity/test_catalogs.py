"""Catalogs as they are kept between requests, on both databases: never older than what the transaction sees."""

from __future__ import annotations

import msgspec

from kilostack.identity.app.rendered_catalogs import RenderedCatalogs
from kilostack.identity.model.catalog import Endpoint, Service
from kilostack.identity.model.endpoint_filter import EndpointGroup, ProjectEndpoint, ProjectEndpointGroup
from kilostack.identity.store import endpoint_filter, tokens
from kilostack.identity.store.catalog import ENDPOINTS, SERVICES
from kilostack.identity.store.endpoint_filter import ENDPOINT_GROUPS, PROJECT_ENDPOINT_GROUPS, PROJECT_ENDPOINTS
from kilostack.identity.store.tables.meta import FEED
from kilostack.store.database import Tx
from tests.identity.conftest import Site

_ROOT = "https://cloud"


class _Seen:
    """Looks at catalogs, and changes what they are made of."""

    def __init__(self, site: Site) -> None:
        self._site, self._catalogs = site, RenderedCatalogs()

    async def urls(self, project_id: str = "", user_id: str = "") -> list[str]:
        raw = await self.raw(project_id, user_id)
        return [one["url"] for service in msgspec.json.decode(bytes(raw)) for one in service["endpoints"]]

    async def raw(self, project_id: str = "", user_id: str = "") -> msgspec.Raw:
        return await self._site.db.read(lambda tx: self._catalogs.get(tx, _ROOT, project_id, user_id))

    async def add(self, endpoint_id: str, url: str) -> None:
        async def unit(tx: Tx) -> None:
            if await SERVICES.find(tx, id="s") is None:
                await SERVICES.insert(tx, Service(id="s", type="t"))
            await ENDPOINTS.insert(tx, Endpoint(id=endpoint_id, service_id="s", interface="public", url=url))
            await FEED.append(tx, ["catalog"])

        await self._site.db.write(unit)

    async def cut(self, project_id: str, endpoint_id: str) -> None:
        async def unit(tx: Tx) -> None:
            await PROJECT_ENDPOINTS.insert(tx, ProjectEndpoint(project_id=project_id, endpoint_id=endpoint_id))
            await FEED.append(tx, ["catalog"])

        await self._site.db.write(unit)

    async def revoke(self) -> None:
        async def unit(tx: Tx) -> None:
            await tokens.revoke(tx, ["user u"], 2_000_000_000_000_000)

        await self._site.db.write(unit)


async def test_a_catalog_is_made_once_whatever_else_happens(site: Site) -> None:
    seen = _Seen(site)
    await seen.add("e1", "/one")
    first = await seen.raw("p1", "u1")
    await seen.revoke()
    assert await seen.raw("p2", "u2") is first
    await seen.add("e2", "/two")
    assert await seen.urls("p1") == ["https://cloud/one", "https://cloud/two"]
    assert await seen.raw("p1", "u1") is not first


async def test_projects_and_users_have_their_own_only_where_they_must(site: Site) -> None:
    seen = _Seen(site)
    await seen.add("e1", "http://x/$(tenant_id)s")
    assert await seen.urls("p1") == ["http://x/p1"]
    assert await seen.urls("p2") == ["http://x/p2"]
    assert await seen.urls() == []
    assert await seen.raw("p1", "u1") is await seen.raw("p1", "u2")
    await seen.add("e2", "http://y/%(user_id)s")
    assert await seen.urls("p1", "u1") == ["http://x/p1", "http://y/u1"]
    assert await seen.urls("p1", "u2") == ["http://x/p1", "http://y/u2"]


async def test_a_project_that_is_cut_is_cut_at_once(site: Site) -> None:
    seen = _Seen(site)
    await seen.add("e1", "/one")
    await seen.add("e2", "/two")
    assert len(await seen.urls("p1")) == 2
    await seen.cut("p1", "e2")
    assert await seen.urls("p1") == ["https://cloud/two"]
    assert len(await seen.urls("p2")) == 2
    assert len(await seen.urls()) == 2


async def test_a_process_that_has_missed_much_reads_everything(site: Site) -> None:
    seen, other = _Seen(site), _Seen(site)
    await seen.add("e1", "/one")
    assert await seen.urls("p") == await other.urls("p") == ["https://cloud/one"]
    await other.add("e2", "/two")
    for _ in range(3):
        await other.revoke()
    assert len(await seen.urls("p")) == 2


async def test_what_a_project_has_of_its_own_goes_with_it(site: Site) -> None:
    seen = _Seen(site)
    await seen.add("e1", "/one")
    await seen.add("e2", "/two")
    await seen.cut("p", "e1")

    async def group(tx: Tx) -> None:
        await ENDPOINT_GROUPS.insert(tx, EndpointGroup(id="g", name="g", filters={"interface": "public"}))
        await PROJECT_ENDPOINT_GROUPS.insert(tx, ProjectEndpointGroup(project_id="p", endpoint_group_id="g"))

    async def own(tx: Tx) -> list[str]:
        return [one.id for one in await endpoint_filter.endpoints_of(tx, "p", await ENDPOINTS.where(tx))]

    assert await site.db.read(own) == ["e1"]
    await site.db.write(group)
    assert await site.db.read(own) == ["e1", "e2"]
    assert await site.db.read(endpoint_filter.is_any_cut)

    async def forget(tx: Tx) -> None:
        await endpoint_filter.forget_projects(tx, ["p"])

    await site.db.write(forget)
    assert await site.db.read(own) == []
    assert not await site.db.read(endpoint_filter.is_any_cut)
