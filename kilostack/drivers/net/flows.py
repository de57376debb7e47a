"""Which tracked connections the security groups allow: what is left of a rule after it has been removed is cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from kilostack.drivers.net.firewall import METADATA_ADDRESS, Policy
from kilostack.drivers.net.protocols import ICMP_NUMBERS, PORT_NUMBERS, protocol_number
from kilostack.wire.network import Port, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A connection as its first packet was."""

    source: str
    target: str
    protocol: int
    #: destination port, or ICMP type and code
    port: int = 0
    icmp: tuple[int, int] = (0, 0)


def is_allowed(policy: Policy, zone: int, flow: Flow) -> bool:
    """Whether every port of this host that `flow` passes would let its first packet through now."""
    for port in _ports_with(policy, zone, flow.source):
        if not _is_exempt(flow) and not _matches(policy, port, "egress", flow.target, flow):
            return False
    return all(_matches(policy, port, "ingress", flow.source, flow) for port in _ports_with(policy, zone, flow.target))


def is_narrower(policy: Policy, before: Policy) -> bool:
    """Whether something that `before` allowed on a port may be refused by `policy`. May say yes too often, never no."""
    return any(
        not _covers(policy, port, before, before.ports[key])
        for key, port in policy.ports.items()
        if key in before.ports and port.port_security
    )


def _covers(policy: Policy, port: Port, before: Policy, old: Port) -> bool:
    if not old.port_security or port.fixed_ips != old.fixed_ips:
        return False
    if port.security_groups == old.security_groups and all(
        policy.groups.get(group) == before.groups.get(group) for group in _involved(before, old)
    ):
        return True
    return _rules(before, old) <= _rules(policy, port) and all(
        set(before.groups[group].members) <= set(policy.groups[group].members if group in policy.groups else ())
        for group in _involved(before, old)
        if group in before.groups
    )


def _involved(policy: Policy, port: Port) -> set[str]:
    own = set(port.security_groups)
    return own | {rule.remote_group_id for rule in _rules(policy, port) if rule.remote_group_id}


def _rules(policy: Policy, port: Port) -> set[Rule]:
    return {rule for group in port.security_groups if group in policy.groups for rule in policy.groups[group].rules}


def _ports_with(policy: Policy, zone: int, address: str) -> Iterable[Port]:
    for port in policy.ports.values():
        segment = policy.segments.get(port.id)
        if segment is None or segment.zone != zone or not port.port_security:
            continue
        if any(fixed == address for _, fixed in port.fixed_ips) or any(
            ip_address(address) in ip_network(pair, strict=False) for pair, _ in port.allowed_address_pairs
        ):
            yield port


def _is_exempt(flow: Flow) -> bool:
    return flow.target == METADATA_ADDRESS or (flow.protocol == 17 and flow.port in (67, 547))


def _matches(policy: Policy, port: Port, direction: str, remote: str, flow: Flow) -> bool:
    rules: Sequence[Rule] = [
        rule
        for group in port.security_groups
        if group in policy.groups
        for rule in policy.groups[group].rules
        if rule.direction == direction
    ]
    return any(_rule_matches(policy, rule, remote, flow) for rule in rules)


def _rule_matches(policy: Policy, rule: Rule, remote: str, flow: Flow) -> bool:
    address = ip_address(remote)
    if (address.version == 6) != (rule.ethertype == "IPv6"):
        return False
    if rule.remote_group_id:
        group = policy.groups.get(rule.remote_group_id)
        if group is None or not any(address in ip_network(member, strict=False) for member in group.members):
            return False
    elif rule.remote_ip_prefix and address not in ip_network(rule.remote_ip_prefix, strict=False):
        return False
    number = protocol_number(rule.protocol, rule.ethertype)
    if number is None:
        return True
    return number == flow.protocol and _ports_match(rule, number, flow)


def _ports_match(rule: Rule, number: int, flow: Flow) -> bool:
    low, high = rule.port_range_min, rule.port_range_max
    if number in ICMP_NUMBERS:
        return low in (None, flow.icmp[0]) and high in (None, flow.icmp[1])
    if number in PORT_NUMBERS and low is not None:
        return low <= flow.port <= (low if high is None else high)
    return True
