"""Servers as JSON: what each microversion and each reader is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote

from kilostack.compute.api.formats import time_fraction, time_z
from kilostack.compute.model.naming import host_id
from kilostack.compute.model.server import Server, ServerState, vm_state
from kilostack.compute.model.status import POWER_STATES, status
from kilostack.compute.store.server_lists import HostSeen, Line
from kilostack.http.fragments import Fragments
from kilostack.http.messages import Version

#: microversions at which what is shown of a server changed
_CHANGES = (1, 3, 9, 16, 19, 26, 47, 63, 71, 73, 75, 90, 96)
_PROGRESS = frozenset({"ACTIVE", "BUILD"})


class View(NamedTuple):
    """What a reader gets to see; two equal views of one revision are the same bytes."""

    #: "basic", "detail", "show" or "update"
    kind: str
    #: the newest change at or below the microversion asked for
    minor: int
    #: the fields of administrators
    extended: bool = False
    extra_specs: bool = False
    host_status: bool = False
    fault_details: bool = False


def window(version: Version) -> int:
    """The newest change of what is shown, at or below a microversion."""
    return max(minor for minor in _CHANGES if minor <= version[1])


class ServerViews:
    """Renders servers once per revision, view and state of their host."""

    def __init__(self, fragments: Fragments, prefix: str) -> None:
        self._fragments = fragments
        self._hole = fragments.hole
        self._prefix = prefix
        self._variants: dict[tuple[View, HostSeen | str | None], int] = {}

    def found(self, view: View, lines: Iterable[Line], root: str) -> list[bytes | None]:
        """What is remembered of each line in its present revision, ready to be sent."""
        variants: dict[Any, int] = {}
        fragments, find = [], self._fragments.find
        for line in lines:
            seen = line.host if view.host_status else line.zone
            if (variant := variants.get(seen)) is None:
                variant = variants[seen] = self._variant(view, seen)
            fragments.append(find((line.id, variant), line.revision, root))
        return fragments

    def _variant(self, view: View, seen: HostSeen | str | None) -> int:
        """A short name of a view and of what it shows of the host."""
        return self._variants.setdefault((view, seen), len(self._variants))

    def made(self, view: View, server: Server, host: HostSeen, root: str) -> bytes:
        """The server as JSON, remembered for `found`."""
        key = (server.id, self._variant(view, host if view.host_status else host.zone))
        return self._fragments.keep(key, server.revision, self.shown(view, server, host), root)

    def _links(self, server_id: str) -> list[dict[str, str]]:
        return _links(self._hole + self._prefix, server_id)

    def shown(self, view: View, server: Server, host: HostSeen) -> dict[str, Any]:
        """The server as a document."""
        if view.kind == "basic":
            return {"id": server.id, "name": server.name, "links": self._links(server.id)}
        # an update showed less until 2.75
        whole = view.kind != "update" or view.minor >= 75
        shown = self._core(view, server, whole=whole)
        if whole:
            shown |= _extensions(server, host)
            if view.extended:
                shown |= _extended(view, server)
        shown |= _later(view, server, host, whole=whole)
        return shown

    def _core(self, view: View, server: Server, *, whole: bool) -> dict[str, Any]:
        state = status(server)
        shown: dict[str, Any] = {
            "id": server.id,
            "name": server.name,
            "status": state,
            "tenant_id": server.project_id,
            "user_id": server.user_id,
            "metadata": server.metadata,
            "hostId": host_id(server.project_id, server.host),
            "image": {
                "id": server.image_id,
                "links": [{"rel": "bookmark", "href": f"{self._hole}/compute/images/{server.image_id}"}],
            },
            "flavor": self._flavor(view, server),
            "created": time_z(server.created_at),
            "updated": time_z(server.updated_at),
            "addresses": addresses(server, extended=whole),
            "accessIPv4": server.access_ip_v4,
            "accessIPv6": server.access_ip_v6,
            "links": self._links(server.id),
            "OS-DCF:diskConfig": server.disk_config,
        }
        if state in _PROGRESS:
            shown["progress"] = 0
        if state == "ERROR" and server.fault is not None:
            shown["fault"] = _fault(view, server)
        return shown

    def _flavor(self, view: View, server: Server) -> dict[str, Any]:
        flavor = server.flavor
        if view.minor < 47:
            href = f"{self._hole}/compute/flavors/{quote(flavor.id)}"
            return {"id": flavor.id, "links": [{"rel": "bookmark", "href": href}]}
        shown: dict[str, Any] = {
            "vcpus": flavor.vcpus,
            "ram": flavor.memory_mib,
            "disk": flavor.disk_gib,
            "ephemeral": flavor.ephemeral_gib,
            "swap": flavor.swap_mib,
            "original_name": flavor.name,
        }
        if view.extra_specs:
            shown["extra_specs"] = flavor.extra_specs
        return shown


def _links(base: str, server_id: str) -> list[dict[str, str]]:
    return [
        {"rel": "self", "href": f"{base}/servers/{server_id}"},
        {"rel": "bookmark", "href": f"{base.rpartition('/')[0]}/servers/{server_id}"},
    ]


def created(server: Server, groups: list[dict[str, str]], password: str, base: str) -> dict[str, Any]:
    """The answer to a create."""
    shown = {
        "id": server.id,
        "links": _links(base, server.id),
        "OS-DCF:diskConfig": server.disk_config,
        "security_groups": groups,
        "adminPass": password,
    }
    return {"server": shown}


def addresses(server: Server, *, extended: bool) -> dict[str, list[dict[str, Any]]]:
    """Addresses by network; none while the server is being built."""
    if server.state is ServerState.BUILD:
        return {}
    shown: dict[str, list[dict[str, Any]]] = {}
    for address in server.networking.addresses:
        entry: dict[str, Any] = {"version": address.version, "addr": address.address}
        if extended:
            entry |= {"OS-EXT-IPS:type": address.type, "OS-EXT-IPS-MAC:mac_addr": address.mac}
        shown.setdefault(address.network, []).append(entry)
    return shown


def _fault(view: View, server: Server) -> dict[str, Any]:
    fault = server.fault
    assert fault is not None
    shown = {"code": fault.code, "created": time_z(fault.created_at), "message": fault.message[:255]}
    if fault.details and (view.fault_details or fault.code != 500):
        shown["details"] = fault.details
    return shown


def _extensions(server: Server, host: HostSeen) -> dict[str, Any]:
    """What were extensions of 2.0, for every reader."""
    shown: dict[str, Any] = {
        "OS-EXT-AZ:availability_zone": (host.zone or "") if server.host else (server.wanted_zone or ""),
        "config_drive": "True" if server.config_drive else "",
        "key_name": server.key_name,
        "OS-SRV-USG:launched_at": time_fraction(server.launched_at),
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:vm_state": vm_state(server.state),
        "OS-EXT-STS:power_state": POWER_STATES[server.state] if server.host else 0,
        "os-extended-volumes:volumes_attached": [],
    }
    if server.networking.security_groups:
        shown["security_groups"] = [{"name": name} for name in server.networking.security_groups]
    return shown


def _extended(view: View, server: Server) -> dict[str, Any]:
    """The fields of administrators."""
    prefix = "OS-EXT-SRV-ATTR:"
    shown: dict[str, Any] = {
        prefix + "host": server.host,
        prefix + "instance_name": f"instance-{server.id[:8]}",
        prefix + "hypervisor_hostname": server.host,
    }
    if view.minor >= 3:
        shown |= {
            prefix + "hostname": server.hostname,
            prefix + "kernel_id": "",
            prefix + "launch_index": server.launch_index,
            prefix + "ramdisk_id": "",
            prefix + "reservation_id": server.reservation_id,
            prefix + "root_device_name": "/dev/vda",
            prefix + "user_data": server.user_data,
        }
    return shown


def _later(view: View, server: Server, host: HostSeen, *, whole: bool) -> dict[str, Any]:
    """What microversions added for every reader."""
    minor = view.minor
    shown: dict[str, Any] = {}
    if minor >= 9:
        shown["locked"] = server.locked
    if minor >= 16 and whole and view.host_status:
        shown["host_status"] = host_status(server, host)
    if minor >= 19:
        shown["description"] = server.description
    if minor >= 26:
        shown["tags"] = server.tags
    if minor >= 63:
        shown["trusted_image_certificates"] = None
    if minor >= 71 and view.kind != "detail":
        shown["server_groups"] = []
    if minor >= 73:
        shown["locked_reason"] = server.locked_reason
    if minor >= 90:
        shown["OS-EXT-SRV-ATTR:hostname"] = server.hostname
    if minor >= 96 and whole:
        shown["pinned_availability_zone"] = server.wanted_zone
    return shown


def host_status(server: Server, host: HostSeen) -> str:
    """UP, DOWN (forced), MAINTENANCE (disabled), UNKNOWN (not heard of), or nothing without a host."""
    if server.host is None:
        return ""
    if host.forced_down:
        return "DOWN"
    if host.disabled:
        return "MAINTENANCE"
    return "UP" if host.connected else "UNKNOWN"
