"""Security group rules: which make sense, which are the same, and those that a group starts with."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network
from typing import Any

from kilostack.core.errors import BadRequest, Conflict
from kilostack.core.protocols import NUMBERS
from kilostack.network.model import values
from kilostack.network.model.records import SecurityGroupRule

_WITH_PORTS = {"dccp", "sctp", "tcp", "udp", "udplite", "33", "132", "6", "17", "136"}
_ICMP = {"icmp", "icmpv6", "ipv6-icmp", "1", "58"}
_IPV6_ONLY = {"icmpv6", "ipv6-encap", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt", "ipv6-opts", "ipv6-route"}


def protocol(value: Any) -> str | None:
    """The protocol's name or number as text; None for any."""
    if value is None or value in ("", "any", "0", 0):
        return None
    if isinstance(value, int | str) and not isinstance(value, bool):
        text = str(value).lower()
        if text in NUMBERS or (text.isascii() and text.isdigit() and int(text) <= 255):
            return text
    raise BadRequest(
        f"Security group rule protocol {values.shown(value)} not supported. Only protocol values "
        f"{[None, 'any', *sorted(NUMBERS)]} and integer representations [0 to 255] are supported.",
        kind="SecurityGroupRuleInvalidProtocol",
    )


def port_value(value: Any) -> int | None:
    if value is None:
        return None
    try:
        number = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else -1
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise BadRequest(f"Invalid value for port {values.shown(value)}", kind="SecurityGroupInvalidPortValue")
    return number


def ethertype(value: Any) -> str:
    for known in ("IPv4", "IPv6"):
        if isinstance(value, str) and value.lower() == known.lower():
            return known
    raise BadRequest(
        f"Security group rule for ethertype '{values.shown(value)}' not supported. "
        "Allowed values are ['IPv4', 'IPv6'].",
        kind="SecurityGroupRuleInvalidEtherType",
    )


def remote_prefix(value: Any) -> str | None:
    if value in (None, ""):
        return None
    try:
        return values.prefix(value)
    except values.Wrong:
        raise BadRequest(f"Invalid CIDR {values.shown(value)} given as IP prefix.", kind="InvalidCIDR") from None


def normalized(prefix: str | None) -> str | None:
    """The network that a prefix stands for."""
    return None if prefix is None else str(ip_network(prefix, strict=False))


def canonical(protocol: str | None, ethertype: str) -> str | None:
    """ICMP of IPv6 has one name (and number), however it was spelt."""
    if ethertype != "IPv6" or protocol not in ("icmp", "icmpv6", "1"):
        return protocol
    return "58" if protocol == "1" else "ipv6-icmp"


def check(rule: SecurityGroupRule) -> None:
    """Raise, in neutron's words, unless the fields of a rule go together."""
    if rule.remote_ip_prefix and rule.remote_group_id:
        raise BadRequest(
            "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.",
            kind="SecurityGroupMultipleRemoteEntites",
        )
    if rule.remote_ip_prefix and f"IPv{ip_interface(rule.remote_ip_prefix).version}" != rule.ethertype:
        raise BadRequest(
            f"Conflicting value ethertype {rule.ethertype} for CIDR {rule.remote_ip_prefix}",
            kind="SecurityGroupRuleParameterConflict",
        )
    if rule.protocol in _IPV6_ONLY and rule.ethertype == "IPv4":
        raise BadRequest(
            f"Invalid ethertype {rule.ethertype} for protocol {rule.protocol}.",
            kind="SecurityGroupEthertypeConflictWithProtocol",
        )
    _check_ports(rule)


def _check_ports(rule: SecurityGroupRule) -> None:
    low, high = rule.port_range_min, rule.port_range_max
    if low is None and high is None:
        return
    if rule.protocol is None:
        raise BadRequest(
            "Must also specify protocol if port range is given.", kind="SecurityGroupProtocolRequiredWithPorts"
        )
    if rule.protocol in _ICMP:
        for field, value in (("type (port_range_min)", low), ("code (port_range_max)", high)):
            if value is not None and value > 255:
                raise BadRequest(
                    f"Invalid value for ICMP {field} {value}. It must be 0 to 255.",
                    kind="SecurityGroupInvalidIcmpValue",
                )
        if low is None:
            raise BadRequest(
                f"ICMP code (port-range-max) {high} is provided but ICMP type (port-range-min) is missing.",
                kind="SecurityGroupMissingIcmpType",
            )
        return
    if rule.protocol not in _WITH_PORTS:
        raise BadRequest(
            f"Ports cannot be specified for protocol {rule.protocol}. "
            f"Ports are only supported for {', '.join(sorted(_WITH_PORTS))}.",
            kind="SecurityGroupInvalidProtocolForPort",
        )
    if low is None or high is None or low > high or low == 0:
        raise BadRequest(
            "For TCP/UDP protocols, port_range_min must be <= port_range_max", kind="SecurityGroupInvalidPortRange"
        )


def sameness(rule: SecurityGroupRule) -> tuple[Any, ...]:
    """Two rules with the same value let the same traffic through: the second is a duplicate."""
    number = rule.protocol if rule.protocol is None else str(NUMBERS.get(rule.protocol, rule.protocol))
    return (
        rule.security_group_id,
        rule.direction,
        rule.ethertype,
        number,
        rule.port_range_min,
        rule.port_range_max,
        normalized(rule.remote_ip_prefix),
        rule.remote_group_id,
    )


def check_new(rules: list[SecurityGroupRule], existing: list[SecurityGroupRule]) -> None:
    """Raise when one of `rules` is there already, or twice among them."""
    known = {sameness(rule): rule.id for rule in existing}
    seen = set()
    for rule in rules:
        if (same := sameness(rule)) in known:
            raise Conflict(
                f"Security group rule already exists. Rule id is {known[same]}.", kind="SecurityGroupRuleExists"
            )
        if same in seen:
            raise Conflict("Duplicate Security Group Rule in POST.", kind="DuplicateSecurityGroupRuleInPost")
        seen.add(same)


#: rules that a new group has: everything out; the default group also lets its members in
_OUT = (("egress", "IPv4"), ("egress", "IPv6"))
_IN = (("ingress", "IPv4"), ("ingress", "IPv6"))
#: how many ids `first_rules` needs at most
FIRST_RULES = 4


def first_rules(
    group_id: str, project_id: str, ids: tuple[str, ...], now: int, *, default: bool
) -> list[SecurityGroupRule]:
    """The rules that a group is made with."""
    wanted = _OUT + (_IN if default else ())
    return [
        SecurityGroupRule(
            id=rule_id,
            project_id=project_id,
            security_group_id=group_id,
            direction=direction,
            ethertype=ethertype,
            remote_group_id=group_id if direction == "ingress" else None,
            created_at=now,
            updated_at=now,
        )
        for rule_id, (direction, ethertype) in zip(ids, wanted, strict=False)
    ]
