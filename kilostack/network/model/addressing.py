"""What makes a subnet sound, and how its addresses are counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from kilostack.core.errors import BadRequest, Conflict
from kilostack.network import failures

Pools = tuple[tuple[str, str], ...]


def check_cidr(cidr: str, ip_version: int, *, enable_dhcp: bool) -> None:
    """Raise unless a network of guests can live in `cidr`."""
    net = ip_network(cidr)
    if net.version != ip_version:
        raise failures.invalid(f"cidr '{cidr}' does not match the ip_version '{ip_version}'")
    if net.prefixlen == 0:
        raise failures.invalid("0 is not allowed as CIDR prefix length")
    if net.version == 6 and int(net.network_address) == 0:
        raise failures.invalid("IPv6 subnet '::' is not supported")
    if not enable_dhcp:
        return
    if net.prefixlen > (30 if net.version == 4 else 126):
        raise failures.invalid("Subnet has a prefix length that is incompatible with DHCP service enabled")
    if net.is_multicast:
        raise failures.invalid("Multicast IP subnet is not supported if enable_dhcp is True")
    if net.is_loopback:
        raise failures.invalid("Loopback IP subnet is not supported if enable_dhcp is True")
    if net.version == 4 and int(net.network_address) == 0:
        raise failures.invalid("First IP '0.0.0.0' of network is not supported if enable_dhcp is True.")


def check_overlap(cidr: str, network_id: str, others: Iterable[str]) -> None:
    """Raise when another subnet of the network has a part of `cidr`."""
    if any(overlap(cidr, other) for other in others):
        raise failures.invalid(
            f"Requested subnet with cidr: {cidr} for network: {network_id} overlaps with another subnet"
        )


def overlap(one: str, other: str) -> bool:
    left, right = ip_network(one), ip_network(other)
    if isinstance(left, IPv4Network) and isinstance(right, IPv4Network):
        return left.overlaps(right)
    if isinstance(left, IPv6Network) and isinstance(right, IPv6Network):
        return left.overlaps(right)
    return False


def default_gateway(cidr: str) -> str | None:
    """The first address, unless there is but one."""
    net = ip_network(cidr)
    return None if net.num_addresses == 1 else str(net.network_address + 1)


def check_gateway(cidr: str, gateway: str, ip_version: int) -> None:
    address, net = ip_address(gateway), ip_network(cidr)
    if address.version != ip_version:
        raise failures.invalid(f"gateway_ip '{gateway}' does not match the ip_version '{ip_version}'")
    ends = (net.network_address, net.broadcast_address)
    if net.version == 4 and net.prefixlen < 31 and address in ends:
        raise failures.invalid("Gateway is not valid on subnet")


def usable(cidr: str) -> tuple[int, int]:
    """The first and the last address that a port may have."""
    net = ip_network(cidr)
    first, last = int(net.network_address), int(net.broadcast_address)
    if first == last:
        return first, last
    if net.version == 6:
        return first + 1, last
    return (first + 1, last - 1) if net.prefixlen < 31 else (first, last)


def is_usable(cidr: str, address: str) -> bool:
    net, found = ip_network(cidr), ip_address(address)
    first, last = usable(cidr)
    return found.version == net.version and first <= int(found) <= last


def default_pools(cidr: str, gateway: str | None) -> Pools:
    """All usable addresses but the gateway's."""
    first, last = usable(cidr)
    net = ip_network(cidr)
    hole = int(ip_address(gateway)) if gateway and ip_address(gateway) in net else -1
    parts = [(first, last)] if not first <= hole <= last else [(first, hole - 1), (hole + 1, last)]
    return tuple((shown(low, net.version), shown(high, net.version)) for low, high in parts if low <= high)


def check_pools(pools: Pools, cidr: str, gateway: str | None) -> Pools:
    """The pools in rising order; raises when one is outside the subnet, overlaps another or holds the gateway."""
    net = ip_network(cidr)
    first, last = usable(cidr)
    ranges: list[tuple[int, int]] = []
    for start, end in pools:
        low, high = ip_address(start), ip_address(end)
        named = f"{start}-{end}"
        if low.version != net.version or high.version != net.version or int(low) > int(high):
            raise BadRequest(f"The allocation pool {named} is not valid.", kind="InvalidAllocationPool")
        if int(low) < first or int(high) > last:
            raise BadRequest(
                f"The allocation pool {named} spans beyond the subnet cidr {cidr}.", kind="OutOfBoundsAllocationPool"
            )
        ranges.append((int(low), int(high)))
    ranges.sort()
    texts = [(shown(low, net.version), shown(high, net.version)) for low, high in ranges]
    for at in range(1, len(ranges)):
        if ranges[at][0] <= ranges[at - 1][1]:
            one, other = ("-".join(texts[at - 1]), "-".join(texts[at]))
            raise Conflict(
                f"Found overlapping allocation pools: {one} {other} for subnet {cidr}.",
                kind="OverlappingAllocationPools",
            )
    check_gateway_outside(tuple(texts), gateway)
    return tuple(texts)


def check_gateway_outside(pools: Pools, gateway: str | None) -> None:
    """Raise when a pool could hand out the gateway's address."""
    for start, end in pools:
        if gateway and number(start) <= number(gateway) <= number(end):
            raise Conflict(
                f"Gateway ip {gateway} conflicts with allocation pool {start}-{end}.",
                kind="GatewayConflictWithAllocationPools",
            )


def number(address: str) -> str:
    """The address as 32 hexadecimal digits, which sort as the addresses do (within one version)."""
    return f"{int(ip_address(address)):032x}"


def shown(value: int, version: int) -> str:
    """The address of an integer."""
    from_int = ip_address(value) if version == 4 else ip_address(value.to_bytes(16, "big"))
    return str(from_int)


def searched(pools: Pools, cursor: str) -> list[tuple[int, int]]:
    """The ranges in which to look for a free address: what lies behind the cursor first, then the rest."""
    start = int(cursor, 16) if cursor else 0
    ranges = [(int(ip_address(low)), int(ip_address(high))) for low, high in pools]
    behind = [(max(low, start), high) for low, high in ranges if high >= start]
    before = [(low, min(high, start - 1)) for low, high in ranges if low < start]
    return behind + before


def first_gap(low: int, taken: Sequence[int]) -> int:
    """The first number from `low` on that is not in `taken`, which is sorted and begins at `low` or later."""
    for value in taken:
        if value != low:
            break
        low += 1
    return low


def capacity(pools: Pools) -> int:
    """How many addresses the pools hold."""
    return sum(int(number(high), 16) - int(number(low), 16) + 1 for low, high in pools)
