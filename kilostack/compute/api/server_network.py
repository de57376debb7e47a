"""A server's interfaces and security groups over HTTP."""

from __future__ import annotations

from typing import Any

from kilostack.compute.app.parts import Parts
from kilostack.compute.app.server_network import describe, groups
from kilostack.core.errors import NotFound
from kilostack.http.messages import Request, Response, Version
from kilostack.http.routes import Route
from kilostack.wire.network_calls import ServerGroup, ServerGroupRule, ServerPort

#: the last version with compute's proxy of network's security groups, of which reading is offered
_PROXY = "2.35"


class ServerNetworkApi:
    """Handlers of /servers/{server_id}/os-interface, its os-security-groups, and those of the project."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> tuple[Route, ...]:
        one = "/servers/{server_id}"
        return (
            Route(method="GET", path=one + "/os-interface", handler=self.interfaces),
            Route(method="GET", path=one + "/os-interface/{port_id}", handler=self.interface),
            Route(method="GET", path=one + "/os-security-groups", handler=self.groups),
            Route(method="GET", path="/os-security-groups", handler=self.project_groups, until=_PROXY),
            # what Debian 12's client asks for when it looks for a group by its name
            Route(method="GET", path="/os-security-groups/detail", handler=self.project_groups, until=_PROXY),
            Route(method="GET", path="/os-security-groups/{group_id}", handler=self.project_group, until=_PROXY),
        )

    async def interfaces(self, request: Request) -> Response:
        rule = "os-attach-interfaces:list"
        detail = await describe(self._parts, request.ctx, request.params["server_id"], rule)
        shown = [_port(port, request.version) for port in detail.ports]
        return Response(200, {"interfaceAttachments": shown})

    async def interface(self, request: Request) -> Response:
        server_id, port_id = request.params["server_id"], request.params["port_id"]
        detail = await describe(self._parts, request.ctx, server_id, "os-attach-interfaces:show")
        for port in detail.ports:
            if port.port_id == port_id:
                return Response(200, {"interfaceAttachment": _port(port, request.version)})
        raise NotFound(f"Instance {server_id[:64]} does not have a port with id {port_id[:64]}")

    async def groups(self, request: Request) -> Response:
        rule = "os-security-groups:list"
        detail = await describe(self._parts, request.ctx, request.params["server_id"], rule)
        found = sorted(detail.groups, key=lambda group: (group.project_id, group.name))
        return Response(200, {"security_groups": [_group(group) for group in found]})

    async def project_groups(self, request: Request) -> Response:
        found = await groups(self._parts, request.ctx)
        return Response(200, {"security_groups": [_group(group) for group in found]})

    async def project_group(self, request: Request) -> Response:
        for group in await groups(self._parts, request.ctx):
            if group.id == request.params["group_id"]:
                return Response(200, {"security_group": _group(group)})
        raise NotFound(f"Security group {request.params['group_id'][:64]} not found.")


def _port(port: ServerPort, version: Version) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "port_id": port.port_id,
        "net_id": port.network_id,
        "mac_addr": port.mac,
        "port_state": port.status,
        "fixed_ips": [{"subnet_id": subnet, "ip_address": address} for subnet, address in port.fixed_ips],
    }
    if version >= (2, 70):
        shown["tag"] = None
    return shown


def _group(group: ServerGroup) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "tenant_id": group.project_id,
        "rules": [_rule(group, rule) for rule in group.rules],
    }


def _rule(group: ServerGroup, rule: ServerGroupRule) -> dict[str, Any]:
    first, last = rule.port_range_min, rule.port_range_max
    if rule.protocol is None:
        first = last = None
    elif first is None:
        # the old form has no "all": it spells the range
        first, last = (-1, -1) if rule.protocol.startswith("icmp") else (1, 65535)
    remote: dict[str, Any] = {"group": {}, "ip_range": {}}
    if rule.remote_group is not None:
        name, project_id = rule.remote_group
        remote["group"] = {"name": name, "tenant_id": project_id}
    else:
        remote["ip_range"] = {"cidr": rule.remote_ip_prefix or "0.0.0.0/0"}
    return {
        "id": rule.id,
        "parent_group_id": group.id,
        "ip_protocol": rule.protocol,
        "from_port": first,
        "to_port": last,
        **remote,
    }
