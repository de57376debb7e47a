"""Hypervisors over HTTP: one per host."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from kilostack.compute.api import queries
from kilostack.compute.app.operators import Load, Operators, ServersByHost, is_up, uptime
from kilostack.compute.app.parts import Parts
from kilostack.compute.model.records import Host
from kilostack.core.errors import BadRequest, NotFound, Unsupported
from kilostack.http.messages import Request, Response, Version
from kilostack.http.routes import Route

_RULE = "os-hypervisors:"
_BY_UUID = (2, 53)


class HypervisorsApi:
    """Handlers of /os-hypervisors."""

    def __init__(self, parts: Parts) -> None:
        self._operators, self._now = Operators(parts), parts.world.now

    def routes(self) -> tuple[Route, ...]:
        one = "/os-hypervisors/{hypervisor_id}"
        return (
            Route(method="GET", path="/os-hypervisors", handler=self.index),
            Route(method="GET", path="/os-hypervisors/detail", handler=self.detail),
            Route(method="GET", path="/os-hypervisors/statistics", handler=self.statistics, until="2.87"),
            Route(method="GET", path=one, handler=self.show),
            Route(method="GET", path=one + "/uptime", handler=self.uptime, until="2.87"),
            Route(method="GET", path=one + "/search", handler=self.search, until="2.52"),
            Route(method="GET", path=one + "/servers", handler=self.servers, until="2.52"),
        )

    async def index(self, request: Request) -> Response:
        return await self._list(request, "/os-hypervisors", "list", detail=False)

    async def detail(self, request: Request) -> Response:
        return await self._list(request, "/os-hypervisors/detail", "list-detail", detail=True)

    async def _list(self, request: Request, path: str, rule: str, *, detail: bool) -> Response:
        version = request.version
        pattern, with_servers = None, False
        if version >= _BY_UUID:
            queries.known(request, {"hypervisor_hostname_pattern", "with_servers", "limit", "marker"})
            pattern = request.query.first("hypervisor_hostname_pattern")
            with_servers = bool(queries.boolean(request, "with_servers"))
        hosts = await self._operators.hosts(request.ctx, _RULE + rule)
        links: list[dict[str, str]] = []
        if pattern is not None:
            if "limit" in request.query.names() or queries.marker(request):
                raise BadRequest(
                    "Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported."
                )
            hosts = _matching(hosts, pattern)
        elif version >= (2, 33):
            hosts = _page(request, hosts)
            links = queries.next_link(request, path, hosts, str(_id(hosts[-1], version)) if hosts else "")
        loads = await self._operators.loads(request.ctx) if detail and version < (2, 88) else {}
        on = await self._operators.servers_on(hosts) if with_servers else None
        shown = [_shown(version, host, loads, on, detail=detail) for host in hosts]
        if detail and version >= (2, 88):
            shown = [one | {"uptime": uptime(host, self._now())} for one, host in zip(shown, hosts, strict=True)]
        answer: dict[str, Any] = {"hypervisors": shown}
        if links:
            answer["hypervisors_links"] = links
        return Response(200, answer)

    async def show(self, request: Request) -> Response:
        version = request.version
        hypervisor_id = request.params["hypervisor_id"]
        with_servers = bool(queries.boolean(request, "with_servers")) if version >= _BY_UUID else False
        await self._operators.hosts(request.ctx, _RULE + "show")
        _check_id(hypervisor_id, version)
        host = await self._operators.host(request.ctx, _RULE + "show", hypervisor_id)
        loads = await self._operators.loads(request.ctx) if version < (2, 88) else {}
        on = await self._operators.servers_on([host]) if with_servers else None
        shown = _shown(version, host, loads, on, detail=True)
        if version >= (2, 88):
            shown["uptime"] = uptime(host, self._now())
        return Response(200, {"hypervisor": shown})

    async def uptime(self, request: Request) -> Response:
        hypervisor_id = request.params["hypervisor_id"]
        await self._operators.hosts(request.ctx, _RULE + "uptime")
        _check_id(hypervisor_id, request.version)
        host = await self._operators.host(request.ctx, _RULE + "uptime", hypervisor_id)
        if not is_up(host):
            raise BadRequest(f"Compute service of {host.name} is unavailable at this time.")
        if not (told := uptime(host, self._now())):
            raise Unsupported("Virt driver does not implement uptime function.", name="uptime")
        return Response(200, {"hypervisor": _basic(request.version, host) | {"uptime": told}})

    async def search(self, request: Request) -> Response:
        hosts = await self._operators.hosts(request.ctx, _RULE + "search")
        found = _matching(hosts, request.params["hypervisor_id"])
        return Response(200, {"hypervisors": [_basic(request.version, host) for host in found]})

    async def servers(self, request: Request) -> Response:
        hosts = await self._operators.hosts(request.ctx, _RULE + "servers")
        found = _matching(hosts, request.params["hypervisor_id"])
        on = await self._operators.servers_on(found)
        return Response(200, {"hypervisors": [_basic(request.version, host) | _servers(on, host) for host in found]})

    async def statistics(self, request: Request) -> Response:
        hosts = [host for host in await self._operators.hosts(request.ctx, _RULE + "statistics") if not host.disabled]
        loads = await self._operators.loads(request.ctx)
        totals: dict[str, int] = {"count": len(hosts)}
        for host in hosts:
            for name, value in _usage(host, loads).items():
                totals[name] = totals.get(name, 0) + value
        for name in _usage(hosts[0], loads) if hosts else _NOTHING:
            totals.setdefault(name, 0)
        return Response(200, {"hypervisor_statistics": totals})


_NOTHING = (
    *("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "free_ram_mb"),
    *("free_disk_gb", "disk_available_least", "current_workload", "running_vms"),
)


def _id(host: Host, version: Version) -> int | str:
    return host.id if version >= _BY_UUID else host.number


def _check_id(hypervisor_id: str, version: Version) -> None:
    if version >= _BY_UUID:
        try:
            uuid.UUID(hypervisor_id)
        except ValueError:
            raise BadRequest(f"Invalid uuid {hypervisor_id[:64]}") from None
    elif not hypervisor_id.isdecimal():
        raise NotFound(f"Hypervisor with ID '{hypervisor_id[:64]}' could not be found.")


def _matching(hosts: list[Host], pattern: str) -> list[Host]:
    found = [host for host in hosts if pattern in host.name]
    if not found:
        raise NotFound(f"No hypervisor matching '{pattern[:64]}' could be found.")
    return found


def _page(request: Request, hosts: list[Host]) -> list[Host]:
    if (marker := queries.marker(request)) is not None:
        at = next((at for at, host in enumerate(hosts) if str(_id(host, request.version)) == marker), None)
        if at is None:
            raise BadRequest(f"marker [{marker[:64]}] not found", field="marker")
        hosts = hosts[at + 1 :]
    return hosts[: queries.limit(request)]


def _basic(version: Version, host: Host) -> dict[str, Any]:
    return {
        "id": _id(host, version),
        "hypervisor_hostname": host.name,
        "state": "up" if is_up(host) else "down",
        "status": "disabled" if host.disabled else "enabled",
    }


def _servers(on: ServersByHost, host: Host) -> dict[str, Any]:
    listed = [{"uuid": server_id, "name": name} for server_id, name in on[host.name]]
    return {"servers": listed} if listed else {}


def _usage(host: Host, loads: dict[str, Load]) -> dict[str, int]:
    facts, load = host.facts, loads.get(host.name, Load())
    return {
        "vcpus": facts.vcpus,
        "memory_mb": facts.memory_mib,
        "local_gb": facts.disk_gib,
        "vcpus_used": load.vcpus,
        "memory_mb_used": load.memory_mib,
        "local_gb_used": load.disk_gib,
        "free_ram_mb": facts.memory_mib - load.memory_mib,
        "free_disk_gb": facts.disk_gib - load.disk_gib,
        "disk_available_least": facts.disk_gib - load.disk_gib,
        "current_workload": 0,
        "running_vms": load.servers,
    }


def _shown(
    version: Version, host: Host, loads: dict[str, Load], on: ServersByHost | None, *, detail: bool
) -> dict[str, Any]:
    shown = _basic(version, host)
    if detail:
        facts = host.facts
        shown |= {
            "hypervisor_type": facts.hypervisor_type,
            "hypervisor_version": facts.hypervisor_version,
            "host_ip": facts.address or "127.0.0.1",
            "service": {
                "id": host.service_id if version >= _BY_UUID else host.number,
                "host": host.name,
                "disabled_reason": host.disabled_reason,
            },
        }
        if version < (2, 88):
            cpu = {
                "arch": facts.cpu_arch,
                "model": facts.cpu_model,
                "vendor": "",
                "features": [],
                "topology": {"sockets": 1, "cores": facts.vcpus, "threads": 1},
            }
            shown |= _usage(host, loads)
            shown["cpu_info"] = cpu if version >= (2, 28) else msgspec.json.encode(cpu).decode()
    if on is not None:
        shown |= _servers(on, host) or ({"servers": []} if version >= (2, 75) else {})
    return shown
