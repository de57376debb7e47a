"""What is not a plain collection: router interfaces, quotas, agents, availability zones, IP availability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.network import failures
from kilostack.network.api import listing, views
from kilostack.network.app.agents import Agents
from kilostack.network.app.availability import Availability, Shares
from kilostack.network.app.quotas import Quotas, details
from kilostack.network.app.routers import Routers
from kilostack.network.model import values
from kilostack.network.model.quota import COUNTED, DEFAULTS
from kilostack.network.model.values import Wrong
from kilostack.network.store.projects import limits_of

_LIMIT = values.integer(-1, 2**31 - 1)
_INTERFACE = {"subnet_id", "port_id"}


def router_interfaces(cases: Routers) -> list[Route]:
    async def add(request: Request) -> Response:
        body = await _interface(request)
        router, leg = await cases.add_interface(request.ctx, request.params["id"], body)
        return Response(200, views.router_interface(router, leg, leg.fixed_ips[0][0]))

    async def remove(request: Request) -> Response:
        body = await _interface(request)
        router, leg, subnet = await cases.remove_interface(request.ctx, request.params["id"], body)
        return Response(200, views.router_interface(router, leg, subnet.id))

    path = "/routers/{id}"
    return [
        Route(method="PUT", path=path + "/add_router_interface", handler=add),
        Route(method="PUT", path=path + "/remove_router_interface", handler=remove),
    ]


async def _interface(request: Request) -> dict[str, str]:
    document = await request.json()
    if not isinstance(document, dict):
        raise failures.malformed("Body contains invalid data")
    if unknown := sorted(set(document) - _INTERFACE):
        raise failures.malformed(f"Unrecognized attribute(s) '{values.shown(', '.join(unknown))}'")
    try:
        return {name: values.uuid(value) for name, value in document.items() if value is not None}
    except Wrong as error:
        raise failures.bad("router", str(error)) from None


def quotas(cases: Quotas) -> list[Route]:
    async def many(request: Request) -> Response:
        found = await cases.changed(request.ctx)
        listed = [limits_of(usage) | {"project_id": usage.project_id, "tenant_id": usage.project_id} for usage in found]
        return Response(200, {"quotas": listed})

    async def own_id(request: Request) -> Response:
        """`/quotas/tenant` and `/quotas/project` tell the caller's project."""
        return Response(200, {"tenant": {"tenant_id": request.ctx.project_id, "project_id": request.ctx.project_id}})

    async def show(request: Request) -> Response:
        return Response(200, {"quota": limits_of(await cases.get(request.ctx, request.params["id"]))})

    async def default(request: Request) -> Response:
        await cases.get(request.ctx, request.params["id"])
        return Response(200, {"quota": DEFAULTS})

    async def detail(request: Request) -> Response:
        return Response(200, {"quota": details(await cases.get(request.ctx, request.params["id"]))})

    async def update(request: Request) -> Response:
        given, force = _limits(await request.json())
        return Response(200, {"quota": await cases.update(request.ctx, request.params["id"], given, force=force)})

    async def delete(request: Request) -> Response:
        await cases.reset(request.ctx, request.params["id"])
        return Response(204)

    return [
        Route(method="GET", path="/quotas", handler=many),
        Route(method="GET", path="/quotas/tenant", handler=own_id),
        Route(method="GET", path="/quotas/project", handler=own_id),
        Route(method="GET", path="/quotas/{id}", handler=show),
        Route(method="GET", path="/quotas/{id}/default", handler=default),
        Route(method="GET", path="/quotas/{id}/details", handler=detail),
        Route(method="GET", path="/quotas/{id}/details.json", handler=detail),
        Route(method="PUT", path="/quotas/{id}", handler=update),
        Route(method="DELETE", path="/quotas/{id}", handler=delete),
    ]


def _limits(document: Any) -> tuple[dict[str, int], bool]:
    """The limits of a body, and whether they may be less than what is used."""
    if not isinstance(document, dict) or not isinstance(document.get("quota"), dict):
        raise failures.malformed("Unable to find 'quota' in request body")
    rest = ("project_id", "tenant_id", "force", "check_limit")
    given = {name: value for name, value in document["quota"].items() if name not in rest}
    if unknown := sorted(set(given) - set(COUNTED)):
        raise failures.malformed(f"Unrecognized attribute(s) '{values.shown(', '.join(unknown))}'")
    limits = {}
    for name, value in given.items():
        try:
            limits[name] = _LIMIT(value)
        except Wrong as error:
            raise failures.malformed(f"Invalid input for {name}. Reason: {error}.") from None
    return limits, document["quota"].get("force") is True


def agents(cases: Agents, zone: str) -> list[Route]:
    async def many(request: Request) -> Response:
        found = [views.agent(agent, zone) for agent in await cases.every(request.ctx)]
        return Response(200, {"agents": _chosen(request, found)})

    async def one(request: Request) -> Response:
        view = views.agent(await cases.get(request.ctx, request.params["id"]), zone)
        return Response(200, {"agent": _fields(view, listing.fields(request.query))})

    async def update(request: Request) -> Response:
        document = await request.json()
        if not isinstance(document, dict) or not isinstance(document.get("agent"), dict):
            raise failures.malformed("Unable to find 'agent' in request body")
        readers = {"admin_state_up": values.boolean, "description": values.optional(values.string())}
        try:
            given = values.fields({}, readers)(document["agent"])
        except Wrong as error:
            raise failures.malformed(f"Invalid input for agent. Reason: {error}.") from None
        agent = await cases.update(request.ctx, request.params["id"], given)
        return Response(200, {"agent": views.agent(agent, zone)})

    async def delete(request: Request) -> Response:
        await cases.delete(request.ctx, request.params["id"])
        return Response(204)

    return [
        Route(method="GET", path="/agents", handler=many),
        Route(method="GET", path="/agents/{id}", handler=one),
        Route(method="PUT", path="/agents/{id}", handler=update),
        Route(method="DELETE", path="/agents/{id}", handler=delete),
    ]


_BOOLEAN = {"admin_state_up", "alive"}
_FILTERS = {"id", "agent_type", "binary", "topic", "host", "availability_zone", "description", *_BOOLEAN}


def _chosen(request: Request, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that are made, not stored, filtered as a stored collection would be."""
    chosen = list(found)
    for name in request.query.names() - {"fields", "limit", "marker", "sort_key", "sort_dir", "page_reverse"}:
        if name not in _FILTERS:
            raise failures.malformed(f"{[values.shown(name)]} is invalid attribute for filtering")
        texts = request.query.all(name)
        try:
            wanted = [values.boolean(text) for text in texts] if name in _BOOLEAN else texts
        except Wrong as error:
            raise failures.invalid(str(error)) from None
        chosen = [row for row in chosen if row[name] in wanted]
    return [_fields(row, listing.fields(request.query)) for row in chosen]


def _fields(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row} if names else row


def availability_zones(cases: Agents, zone: str) -> list[Route]:
    async def many(request: Request) -> Response:
        is_up = await cases.any_alive()
        state = "available" if is_up else "unavailable"
        kinds = request.query.all("resource") or ["network", "router"]
        names = request.query.all("name") or [zone]
        found = [
            {"name": zone, "resource": kind, "state": state}
            for kind in ("network", "router")
            if kind in kinds and zone in names and state in (request.query.all("state") or [state])
        ]
        return Response(200, {"availability_zones": found})

    return [Route(method="GET", path="/availability_zones", handler=many)]


def ip_availability(cases: Availability) -> list[Route]:
    async def many(request: Request) -> Response:
        found = [_shares(shares) for shares in await cases.every(request.ctx)]
        for name in ("network_id", "network_name", "project_id", "tenant_id"):
            if wanted := request.query.all(name):
                found = [row for row in found if row[name] in wanted]
        if versions := request.query.all("ip_version"):
            found = [row for row in found if any(str(s["ip_version"]) in versions for s in row[_SUBNETS])]
        return Response(200, {"network_ip_availabilities": found})

    async def one(request: Request) -> Response:
        for shares in await cases.every(request.ctx):
            if shares.network.id == request.params["id"]:
                return Response(200, {"network_ip_availability": _shares(shares)})
        raise failures.network_not_found(request.params["id"])

    return [
        Route(method="GET", path="/network-ip-availabilities", handler=many),
        Route(method="GET", path="/network-ip-availabilities/{id}", handler=one),
    ]


_SUBNETS = "subnet_ip_availability"


def _shares(shares: Shares) -> dict[str, Any]:
    subnets = [
        {
            "subnet_id": subnet.id,
            "subnet_name": subnet.name,
            "cidr": subnet.cidr,
            "ip_version": subnet.ip_version,
            "total_ips": total,
            "used_ips": used,
        }
        for subnet, total, used in shares.subnets
    ]
    return {
        "network_id": shares.network.id,
        "network_name": shares.network.name,
        "project_id": shares.network.project_id,
        "tenant_id": shares.network.project_id,
        "total_ips": sum(total for _, total, _ in shares.subnets),
        "used_ips": sum(used for _, _, used in shares.subnets),
        _SUBNETS: subnets,
    }
