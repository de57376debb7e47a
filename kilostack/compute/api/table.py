"""The public route table of compute: every operation, with its window of microversions."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kilostack.compute.api.aggregates import AggregatesApi
from kilostack.compute.api.extensions import ExtensionsApi
from kilostack.compute.api.flavor_items import FlavorItemsApi
from kilostack.compute.api.flavors import FlavorsApi
from kilostack.compute.api.hypervisors import HypervisorsApi
from kilostack.compute.api.instance_actions import InstanceActionsApi
from kilostack.compute.api.keypairs import KeypairsApi
from kilostack.compute.api.quotas import QuotasApi
from kilostack.compute.api.server_actions import ServerActionsApi
from kilostack.compute.api.server_items import ServerItemsApi
from kilostack.compute.api.server_network import ServerNetworkApi
from kilostack.compute.api.server_views import ServerViews
from kilostack.compute.api.servers import ServersApi
from kilostack.compute.api.services import ServicesApi
from kilostack.compute.api.why import own_api
from kilostack.compute.api.zones import ZonesApi
from kilostack.compute.app.parts import Parts
from kilostack.core.errors import BadRequest
from kilostack.http import discovery
from kilostack.http.dialects import NOVA
from kilostack.http.fragments import Fragments
from kilostack.http.messages import Request, Response
from kilostack.http.microversions import Microversions
from kilostack.http.routes import Api, Handler, Route

VERSIONS = Microversions("compute", (2, 1), (2, 96), "x-openstack-nova-api-version")
PREFIX = "/compute/v2.1"
OLD_PREFIX = "/compute/v2"


def api(parts: Parts) -> tuple[Api, ...]:
    """The APIs that compute serves: version documents, the OpenStack API in its two versions, and our own."""
    routes = _routes(parts, PREFIX)
    compute = Api(
        name="compute",
        prefix=PREFIX,
        dialect=NOVA,
        microversions=VERSIONS,
        request_id_header="x-compute-request-id",
        routes=(*discovery.compute_version(VERSIONS), *routes, *_with_project(routes)),
    )
    old = [_as_old(route) for route in _routes(parts, OLD_PREFIX) if route.offers(VERSIONS.minimum)]
    compute_old = Api(
        name="compute",
        prefix=OLD_PREFIX,
        dialect=NOVA,
        request_id_header="x-compute-request-id",
        routes=(*discovery.compute_old_version(), *old, *_with_project(old)),
    )
    return discovery.compute_root(VERSIONS), compute, compute_old, own_api(parts)


def _routes(parts: Parts, prefix: str) -> list[Route]:
    views = ServerViews(Fragments(parts.world.new_id()), prefix)
    return [
        *ServersApi(parts, views).routes(),
        *ServerActionsApi(parts).routes(),
        *ServerItemsApi(parts).routes(),
        *ServerNetworkApi(parts).routes(),
        *InstanceActionsApi(parts).routes(),
        *FlavorsApi(parts).routes(),
        *FlavorItemsApi(parts).routes(),
        *KeypairsApi(parts).routes(),
        *QuotasApi(parts).routes(),
        *ZonesApi(parts).routes(),
        *HypervisorsApi(parts).routes(),
        *AggregatesApi(parts).routes(),
        *ServicesApi(parts).routes(),
        *ExtensionsApi(parts).routes(),
    ]


def _as_old(route: Route) -> Route:
    """The same operation in version 2.0: microversions do not exist there, and keys that nobody knows do no harm."""
    handler = route.handler

    async def handle(request: Request) -> Response:
        request.version, request.lenient = VERSIONS.minimum, True
        return await handler(request)

    return msgspec.structs.replace(route, since="", until="", body=route.schema(VERSIONS.minimum), handler=handle)


def _with_project(routes: Iterable[Route]) -> Iterable[Route]:
    """The same operations below a project's id, as old catalogs have them."""
    for route in routes:
        path = "/{project_id:uuid}" + route.path
        yield msgspec.structs.replace(route, path=path, handler=_of_project(route.handler))


def _of_project(handler: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        named = str(request.params.pop("project_id")).replace("-", "")
        if request.ctx.project_id and named != request.ctx.project_id.replace("-", ""):
            raise BadRequest(
                f"Malformed request URL: URL's project_id '{named}' doesn't match Context's project_id "
                f"'{request.ctx.project_id}'"
            )
        return await handler(request)

    return handle
