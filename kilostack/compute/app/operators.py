"""Hosts as administrators know them: hypervisors, services, availability zones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from kilostack.compute.app.parts import Parts, actor, changing, check
from kilostack.compute.model.records import Host
from kilostack.compute.store import operators
from kilostack.compute.store.zones import DEFAULT_ZONE
from kilostack.core.context import Context
from kilostack.core.errors import NotFound
from kilostack.store.database import Tx
from kilostack.wire.hosts import ChangesAsked
from kilostack.wire.placement_calls import PROVIDERS, Provider

ServersByHost = dict[str, list[tuple[str, str]]]


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of a host."""

    vcpus: int = 0
    memory_mib: int = 0
    disk_gib: int = 0
    servers: int = 0


class Operators:
    """Use cases of administrators."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def hosts(self, ctx: Context, rule: str) -> list[Host]:
        """All hosts, in the order in which they came."""
        check(self._parts, ctx, rule)
        return await self._parts.db.read(operators.every)

    async def host(self, ctx: Context, rule: str, number_or_id: str) -> Host:
        """The host whose hypervisor has that number or UUID. Raises `NotFound`."""
        for host in await self.hosts(ctx, rule):
            if number_or_id in (host.id, str(host.number)):
                return host
        raise NotFound(f"Hypervisor with ID '{number_or_id[:64]}' could not be found.")

    async def loads(self, ctx: Context) -> dict[str, Load]:
        """What is used of each host, as placement has it. Raises `Unavailable`."""
        providers = await self._parts.calls.call(PROVIDERS, ChangesAsked(0), actor(ctx))
        counts = await self._parts.db.read(operators.server_counts)
        return {provider.name: _load(provider, counts.get(provider.name, 0)) for provider in providers.providers}

    async def servers_on(self, hosts: list[Host]) -> ServersByHost:
        names = [host.name for host in hosts]
        return await self._parts.db.read(lambda tx: operators.servers_on(tx, names))

    async def set_service(self, ctx: Context, find: dict[str, str], **fields: Any) -> Host:
        """Change the nova-compute service whose host has the given `name` or `service_id`. Raises `NotFound`."""
        check(self._parts, ctx, "os-services:update")
        now = self._parts.world.now()

        async def unit(tx: Tx) -> Host:
            for host in await operators.every(tx):
                if all(getattr(host, key) == value for key, value in find.items()):
                    return await operators.change(tx, host, now, **fields)
            named = next(iter(find.values()))
            raise NotFound(f"Service nova-compute of {named[:64]} could not be found.")

        return await changing(self._parts, unit)

    async def zones(self, ctx: Context, *, detail: bool) -> dict[str, list[Host]]:
        """Zones and the hosts in them; the default zone is there even before its first host."""
        check(self._parts, ctx, "os-availability-zone:detail" if detail else "os-availability-zone:list")
        found: dict[str, list[Host]] = {DEFAULT_ZONE: []}
        for host in await self._parts.db.read(operators.every):
            found.setdefault(host.zone, []).append(host)
        return dict(sorted(found.items()))


def is_up(host: Host) -> bool:
    return host.connected and not host.forced_down


def uptime(host: Host, now: int) -> str:
    """How long the host has been up, in the words of the command `uptime`; "" when that is not known."""
    if host.facts.booted_at is None or not is_up(host):
        return ""
    moment = datetime.fromtimestamp(now // 1_000_000, UTC)
    days, seconds = divmod(max(0, now - host.facts.booted_at) // 1_000_000, 86_400)
    hours, minutes = divmod(seconds // 60, 60)
    since = f"{days} day{'s' if days > 1 else ''}, " if days else ""
    # clients take this apart by its words; hosts tell neither who works on them nor their load
    return f" {moment:%H:%M:%S} up {since}{hours:2}:{minutes:02},  unknown users,  load average: unknown"


def _load(provider: Provider, servers: int) -> Load:
    used = {name: inventory.used for name, inventory in provider.inventories.items()}
    return Load(
        vcpus=used.get("VCPU", 0),
        memory_mib=used.get("MEMORY_MB", 0),
        disk_gib=used.get("DISK_GB", 0),
        servers=servers,
    )
