"""Which addresses a port gets: those asked for, or one of each IP version that its network has."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from kilostack.core.errors import BadRequest
from kilostack.network import failures
from kilostack.network.model import addressing
from kilostack.network.model.records import FixedIp, Subnet
from kilostack.network.store import addresses, ports
from kilostack.store.database import Tx

MOST_FIXED_IPS = 5


async def choose(
    tx: Tx,
    network_id: str,
    subnets: Sequence[Subnet],
    asked: Sequence[dict[str, Any]] | None,
    *,
    port_id: str,
    had: Sequence[FixedIp] = (),
) -> tuple[FixedIp, ...]:
    """Take addresses for a port; the network's pools are locked.

    `asked` None takes one address per IP version. What the port `had` already is kept where it is asked for again.
    """
    choice = _Choice(tx, network_id, subnets, port_id)
    if asked is None:
        return await choice.any()
    if len(asked) > MOST_FIXED_IPS:
        raise failures.invalid("Exceeded maximum amount of fixed ips per port.")
    named = {item["ip_address"] for item in asked if "ip_address" in item}
    spare = [fixed for fixed in had if fixed[1] not in named]
    chosen: list[FixedIp] = []
    for item in asked:
        if "ip_address" in item:
            chosen.append(await choice.this(item, had))
        elif "subnet_id" in item:
            kept = next((fixed for fixed in spare if fixed[0] == item["subnet_id"]), None)
            if kept is not None:
                spare.remove(kept)
                chosen.append(kept)
            else:
                chosen.append(await choice.one_of([choice.named(item["subnet_id"])]))
        else:
            raise failures.invalid("IP allocation requires subnet_id or ip_address")
    return tuple(chosen)


class _Choice:
    """Addresses of one network for one port."""

    def __init__(self, tx: Tx, network_id: str, subnets: Sequence[Subnet], port_id: str) -> None:
        self._tx, self._network_id, self._subnets, self._port_id = tx, network_id, subnets, port_id

    async def any(self) -> tuple[FixedIp, ...]:
        chosen = []
        for version in (4, 6):
            if offered := [subnet for subnet in self._subnets if subnet.ip_version == version]:
                chosen.append(await self.one_of(offered))
        return tuple(chosen)

    async def one_of(self, subnets: Sequence[Subnet]) -> FixedIp:
        for subnet in subnets:
            if (taken := await ports.allocate(self._tx, subnet, self._port_id)) is not None:
                return taken
        raise failures.no_address_left(self._network_id)

    def named(self, subnet_id: str) -> Subnet:
        for subnet in self._subnets:
            if subnet.id == subnet_id:
                return subnet
        raise failures.invalid(
            f"Failed to create port on network {self._network_id}, because fixed_ips included invalid subnet "
            f"{subnet_id}"
        )

    async def this(self, item: dict[str, Any], had: Sequence[FixedIp]) -> FixedIp:
        """The very address that `item` names, unless another port has it."""
        address = item["ip_address"]
        inside = [subnet for subnet in self._subnets if ip_address(address) in ip_network(subnet.cidr)]
        if "subnet_id" in item:
            subnet = self.named(item["subnet_id"])
        elif inside:
            subnet = inside[0]
        else:
            raise BadRequest(
                f"IP address {address} is not a valid IP for any of the subnets on the specified network.",
                kind="InvalidIpForNetwork",
            )
        if not addressing.is_usable(subnet.cidr, address):
            raise BadRequest(
                f"IP address {address} is not a valid IP for the specified subnet.", kind="InvalidIpForSubnet"
            )
        if (subnet.id, address) not in had:
            await addresses.take(self._tx, subnet, address, self._port_id)
        return subnet.id, address
