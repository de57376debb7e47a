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
    if asked is None:
        return await _any(tx, network_id, subnets, port_id)
    if len(asked) > MOST_FIXED_IPS:
        raise failures.invalid("Exceeded maximum amount of fixed ips per port.")
    named = {item["ip_address"] for item in asked if "ip_address" in item}
    spare = [fixed for fixed in had if fixed[1] not in named]
    chosen: list[FixedIp] = []
    for item in asked:
        if "ip_address" in item:
            chosen.append(await _this(tx, network_id, subnets, item, port_id, had))
        elif "subnet_id" in item:
            kept = next((fixed for fixed in spare if fixed[0] == item["subnet_id"]), None)
            if kept is not None:
                spare.remove(kept)
                chosen.append(kept)
            else:
                chosen.append(await _on(tx, network_id, [_named(network_id, subnets, item["subnet_id"])], port_id))
        else:
            raise failures.invalid("IP allocation requires subnet_id or ip_address")
    return tuple(chosen)


async def _any(tx: Tx, network_id: str, subnets: Sequence[Subnet], port_id: str) -> tuple[FixedIp, ...]:
    chosen = []
    for version in (4, 6):
        if offered := [subnet for subnet in subnets if subnet.ip_version == version]:
            chosen.append(await _on(tx, network_id, offered, port_id))
    return tuple(chosen)


async def _on(tx: Tx, network_id: str, subnets: Sequence[Subnet], port_id: str) -> FixedIp:
    for subnet in subnets:
        if (taken := await ports.allocate(tx, subnet, port_id)) is not None:
            return taken
    raise failures.no_address_left(network_id)


def _named(network_id: str, subnets: Sequence[Subnet], subnet_id: str) -> Subnet:
    for subnet in subnets:
        if subnet.id == subnet_id:
            return subnet
    raise failures.invalid(
        f"Failed to create port on network {network_id}, because fixed_ips included invalid subnet {subnet_id}"
    )


async def _this(
    tx: Tx,
    network_id: str,
    subnets: Sequence[Subnet],
    item: dict[str, Any],
    port_id: str,
    had: Sequence[FixedIp],
) -> FixedIp:
    address = item["ip_address"]
    if "subnet_id" in item:
        subnet = _named(network_id, subnets, item["subnet_id"])
        if ip_address(address) not in ip_network(subnet.cidr):
            raise BadRequest(
                f"IP address {address} is not a valid IP for the specified subnet.", kind="InvalidIpForSubnet"
            )
    else:
        inside = [subnet for subnet in subnets if ip_address(address) in ip_network(subnet.cidr)]
        if not inside:
            raise BadRequest(
                f"IP address {address} is not a valid IP for any of the subnets on the specified network.",
                kind="InvalidIpForNetwork",
            )
        subnet = inside[0]
    if not addressing.is_usable(subnet.cidr, address):
        raise BadRequest(f"IP address {address} is not a valid IP for the specified subnet.", kind="InvalidIpForSubnet")
    if (subnet.id, address) not in had:
        await addresses.take(tx, subnet, address, port_id)
    return subnet.id, address
