"""The hosts of one machine as network namespaces."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from kilostack.cli.failure import Failure
from kilostack.core.settings import Settings
from kilostack.drivers.net import fabric
from kilostack.drivers.net.command import CommandFailed

#: Where `ip netns` keeps its names.
_NAMESPACES = Path("/run/netns")


class NamespaceFabric:
    """The fabric that follows from the settings of a cloud and the routes of this machine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _plan(self) -> fabric.FabricPlan:
        settings = self._settings
        try:
            return fabric.plan(settings.name, settings.hosts, settings.public_cidr, fabric.machine_routes())
        except fabric.FabricRefused as refusal:
            raise Failure(str(refusal)) from None
        except (CommandFailed, OSError) as error:
            raise Failure(f"the routes of this machine cannot be read: {error}", "See `kilostack doctor`.") from None

    def public_cidr(self) -> str:
        return str(self._plan.public)

    def ensure(self) -> None:
        fabric.ensure(self._plan)

    def remove(self) -> None:
        fabric.remove(self._settings.name)

    def is_present(self) -> bool:
        return fabric.is_present(self._settings.name)

    def namespace(self, host: str) -> Path:
        return _NAMESPACES / self._host(host).namespace

    def address(self, host: str) -> str:
        return self._host(host).address

    def _host(self, name: str) -> fabric.HostPlan:
        return next(host for host in self._plan.hosts if host.name == name)


def simulated_public_cidr(settings: Settings) -> str:
    """The range of `public` where no machine's routes stand in its way."""
    if settings.public_cidr is not None:
        return settings.public_cidr
    return str(fabric.plan(settings.name, 1, None, ()).public)
