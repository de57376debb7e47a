"""The extensions that upstream's parts of this API once were: those that exist here, and no others."""

from __future__ import annotations

from typing import Any

from kilostack.compute.app.parts import Parts, check
from kilostack.core.errors import NotFound
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route

#: alias -> (name, description)
_EXTENSIONS = {
    "OS-DCF": ("DiskConfig", "Disk management of servers."),
    "OS-EXT-AZ": ("ExtendedAvailabilityZone", "The availability zone of servers."),
    "OS-EXT-IPS": ("ExtendedIps", "The type of each address."),
    "OS-EXT-IPS-MAC": ("ExtendedIpsMac", "The MAC address of each address."),
    "OS-EXT-SRV-ATTR": ("ExtendedServerAttributes", "Where servers are, for administrators."),
    "OS-EXT-STS": ("ExtendedStatus", "Task, machine and power state of servers."),
    "OS-FLV-DISABLED": ("FlavorDisabled", "Whether flavors are disabled."),
    "OS-FLV-EXT-DATA": ("FlavorExtraData", "Ephemeral disks of flavors."),
    "OS-SRV-USG": ("ServerUsage", "When servers were launched."),
    "flavors": ("Flavors", "Flavors."),
    "ips": ("Ips", "Addresses of servers."),
    "limits": ("Limits", "Limits of projects."),
    "os-availability-zone": ("AvailabilityZone", "Availability zones."),
    "os-console-output": ("ConsoleOutput", "What guests write to their consoles."),
    "os-flavor-access": ("FlavorAccess", "Who may use flavors that are not public."),
    "os-flavor-extra-specs": ("FlavorExtraSpecs", "Extra specs of flavors."),
    "os-flavor-manage": ("FlavorManage", "Making and deleting flavors."),
    "os-flavor-rxtx": ("FlavorRxtx", "The receive and transmit factor of flavors."),
    "os-hypervisors": ("Hypervisors", "Hypervisors, for administrators."),
    "os-instance-actions": ("InstanceActions", "What has been done to servers."),
    "os-keypairs": ("Keypairs", "Key pairs of users."),
    "os-lock-server": ("LockServer", "Locking servers."),
    "os-multiple-create": ("MultipleCreate", "Several servers by one request."),
    "os-quota-sets": ("Quotas", "Quotas of projects."),
    "os-security-groups": ("SecurityGroups", "Security groups of servers."),
    "os-services": ("Services", "Services, for administrators."),
    "os-used-limits": ("UsedLimits", "What projects use of their limits."),
    "os-user-data": ("UserData", "Data given to servers at create."),
    "server-metadata": ("ServerMetadata", "Metadata of servers."),
    "servers": ("Servers", "Servers."),
    "versions": ("Versions", "Version documents."),
}


class ExtensionsApi:
    """Handlers of /extensions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(method="GET", path="/extensions", handler=self.index),
            Route(method="GET", path="/extensions/{alias}", handler=self.show),
        )

    async def index(self, request: Request) -> Response:
        check(self._parts, request.ctx, "extensions")
        return Response(200, {"extensions": [_shown(alias) for alias in _EXTENSIONS]})

    async def show(self, request: Request) -> Response:
        check(self._parts, request.ctx, "extensions")
        alias = request.params["alias"]
        if alias not in _EXTENSIONS:
            raise NotFound("The resource could not be found.")
        return Response(200, {"extension": _shown(alias)})


def _shown(alias: str) -> dict[str, Any]:
    name, description = _EXTENSIONS[alias]
    return {
        "alias": alias,
        "name": name,
        "description": description,
        "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
        "updated": "2014-12-03T00:00:00Z",
        "links": [],
    }
