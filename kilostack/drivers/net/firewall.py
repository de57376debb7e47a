"""The host's packet filter as one nftables text: anti-spoofing and security groups of all its guests' ports.

All decisions are taken in the bridge family, where a frame's own ports are known. Connections are tracked in the IP
family, which sees the frames of our bridges by br_netfilter (switched on per bridge, so that nothing else of the
machine is touched). What tracking knows reaches the rules as a packet mark: TRACKED for what belongs to a known
connection, BROKEN for what belongs to none or to one that was cut.

One port's chains are entered by the name of its tap, so a change for one guest never touches the frames of another,
and the whole text is loaded in one transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_network

from kilostack.drivers.net import names
from kilostack.drivers.net.protocols import ICMP_NUMBERS, PORT_NUMBERS, protocol_number
from kilostack.wire.network import Group, Port, Rule, tap_name

TABLE = "kilostack"

TRACKED = 0x10000000
BROKEN = 0x20000000
#: set on a tracked connection that no rule allows any more
CUT = 0x10000000

METADATA_ADDRESS = "169.254.169.254"
#: where the host's name service relay answers the DHCP namespaces
RELAY_ADDRESS = "169.254.255.253"

_FAMILY = {"IPv4": "ip", "IPv6": "ip6"}
_VERSION = {"IPv4": 4, "IPv6": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A bridge with ports of guests: its connections are tracked apart from those of other bridges."""

    bridge: str
    zone: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All that the filter of a host is made from."""

    #: port id -> port, and the segment it is plugged into
    ports: Mapping[str, Port]
    segments: Mapping[str, Segment]
    groups: Mapping[str, Group]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The text for nft, and a digest by which a loaded one is known again."""

    text: str
    digest: str


def zone_of(vni: int | None) -> int:
    """The connection tracking zone of a network: 16 bits; 0 belongs to the machine itself."""
    return 65535 if vni is None else vni % 65534 + 1


def link_local(mac: str) -> str:
    """The IPv6 address that a guest makes for itself from its MAC."""
    octets = [int(part, 16) for part in mac.split(":")]
    half = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + half))


def render(policy: Policy) -> Ruleset:
    """The same policy gives the same text, whatever the order of its parts."""
    ports = [port for _, port in sorted(policy.ports.items())]
    filtered = [port for port in ports if port.port_security]
    used = sorted({group for port in filtered for group in port.security_groups})
    groups = [policy.groups[group] for group in used if group in policy.groups]
    body = [
        *_member_sets(policy, groups),
        *_group_chains(groups),
        *(line for port in filtered for line in _port_chains(policy, port)),
        *_base_chains(filtered, [port for port in ports if not port.port_security]),
    ]
    inet = [*_tracking_chains(policy), *_service_chain()]
    text = "\n".join(body + inet)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Ruleset(_table("bridge", [f"chain {digest_chain(digest)} {{ }}", *body]) + _table("inet", inet), digest)


def digest_chain(digest: str) -> str:
    """An empty chain that tells which text is loaded."""
    return f"digest_{digest}"


def removal() -> str:
    """The text that takes everything away."""
    return "".join(f"table {family} {TABLE}\ndelete table {family} {TABLE}\n" for family in ("bridge", "inet"))


def _table(family: str, lines: Iterable[str]) -> str:
    body = "\n".join(lines)
    return f"table {family} {TABLE}\ndelete table {family} {TABLE}\ntable {family} {TABLE} {{\n{body}\n}}\n"


def _chain(name: str, lines: Iterable[str], hook: str = "") -> list[str]:
    return [f"chain {name} {{", *([f"type filter hook {hook}; policy accept;"] if hook else []), *lines, "}"]


def _word(identifier: str) -> str:
    return identifier.replace("-", "_")


# Connection tracking.


def _tracking_chains(policy: Policy) -> list[str]:
    segments = sorted({(segment.bridge, segment.zone) for segment in policy.segments.values()})
    if not segments:
        return []
    zones = ", ".join(f'"{bridge}" : {zone}' for bridge, zone in segments)
    bridges = ", ".join(f'"{bridge}"' for bridge, _ in segments)
    return [
        *_chain("zone", [f"ct zone set iifname map {{ {zones} }}"], "prerouting priority -310"),
        *_chain(
            "state",
            [
                f"iifname != {{ {bridges} }} return",
                f"ct mark {CUT} meta mark set {BROKEN} return",
                f"ct state established,related meta mark set {TRACKED} return",
                f"ct state invalid meta mark set {BROKEN}",
            ],
            "prerouting priority -150",
        ),
    ]


def _service_chain() -> list[str]:
    """From the DHCP namespaces nothing but questions to the name service relay reaches this host."""
    mine = f'iifname "{names.NAMES}*"'
    return _chain(
        "services",
        [
            f"{mine} ip daddr {RELAY_ADDRESS} meta l4proto {{ tcp, udp }} th dport 53 accept",
            f"{mine} drop",
        ],
        "input priority -10",
    )


# What holds for all ports.


def _base_chains(ports: list[Port], open_ports: list[Port]) -> list[str]:
    own = (names.TAP, names.VXLAN, names.DHCP, names.LEG, names.GATEWAY)
    marks = f"{{ {TRACKED}, {BROKEN} }}"
    return [
        *_chain("spoofing", _dispatch("iifname", "s", ports, open_ports), "prerouting priority -300"),
        *_chain("egress", _dispatch("iifname", "o", ports, open_ports), "forward priority -210"),
        *_chain("ingress", _dispatch("oifname", "i", ports, open_ports), "forward priority -200"),
        # A guest that addresses the bridge itself would reach the host's own addresses.
        *_chain("host", [f'iifname "{name}*" drop' for name in own], "input priority -200"),
        *_chain("unmark", [f"meta mark {marks} meta mark set 0"], "postrouting priority -300"),
    ]


def _dispatch(key: str, kind: str, ports: list[Port], open_ports: list[Port]) -> list[str]:
    """To the chain of each port. A tap of which nothing is known, not yet or no more, is cut off."""
    pairs = [f'"{tap_name(port.id)}" : goto {kind}_{_word(port.id)}' for port in ports]
    pairs += [f'"{tap_name(port.id)}" : accept' for port in open_ports]
    return [*([f"{key} vmap {_set(pairs)}"] if pairs else []), f'{key} "{names.TAP}*" drop']


# What holds for one port.


def _port_chains(policy: Policy, port: Port) -> list[str]:
    name = _word(port.id)
    return [
        *_chain(f"s_{name}", _spoofing(port)),
        *_chain(f"o_{name}", [*_always_out(), *_groups(policy, port, "egress")]),
        *_chain(f"i_{name}", [*_ALWAYS_IN, *_groups(policy, port, "ingress")]),
    ]


def _spoofing(port: Port) -> list[str]:
    addresses = [address for _, address in port.fixed_ips] + [address for address, _ in port.allowed_address_pairs]
    macs = sorted({port.mac.lower(), *(mac.lower() for _, mac in port.allowed_address_pairs if mac)})
    four = sorted(address for address in addresses if ":" not in address)
    six = sorted({*(address for address in addresses if ":" in address), *map(link_local, macs)})
    lines = [
        f"ether saddr != {_set(macs)} drop",
        f"ether type arp arp saddr ether != {_set(macs)} drop",
        f"ether type arp arp saddr ip {_set(_networks([*four, '0.0.0.0']))} return",
        "ip saddr 0.0.0.0 udp sport 68 udp dport 67 return",
        "udp sport { 67, 547 } drop",
    ]
    if four:
        lines.append(f"ip saddr {_set(_networks(four))} return")
    lines += [
        "icmpv6 type nd-router-advert drop",
        *_advertisements(_networks([*six])),
        f"ip6 saddr {_set(_networks([*six, '::']))} return",
        "drop",
    ]
    return lines


def _advertisements(networks: Iterable[str]) -> list[str]:
    """A guest may announce as its neighbours' neighbour only what is its own. The address announced follows the first
    8 bytes of the ICMPv6 header; nft has no name for it."""
    kind = "icmpv6 type nd-neighbor-advert"
    lines = []
    for network in map(IPv6Network, networks):
        bits = network.prefixlen // 8 * 8
        if bits == 0:
            return []
        head = int(network.network_address) >> (128 - bits)
        lines.append(f"{kind} @th,64,{bits} {head:#x} return")
    return [*lines, f"{kind} drop"]


def _networks(addresses: Iterable[str]) -> list[str]:
    """Without those that another contains: nft refuses overlapping intervals."""
    parsed = sorted({ip_network(address, strict=False) for address in addresses}, key=lambda net: net.prefixlen)
    kept: list[str] = []
    seen: list[object] = []
    for network in parsed:
        if not any(network.subnet_of(other) for other in seen):  # type: ignore[arg-type]
            seen.append(network)
            kept.append(str(network) if network.num_addresses > 1 else str(network.network_address))
    return sorted(kept)


def _set(items: Iterable[str]) -> str:
    return f"{{ {', '.join(items)} }}"


def _always_out() -> list[str]:
    return [
        "ether type arp accept",
        "udp sport 68 udp dport 67 accept",
        "udp sport 546 udp dport 547 accept",
        f"ip daddr {METADATA_ADDRESS} tcp dport 80 accept",
        "icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, nd-router-solicit, "
        "nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept",
    ]


_ALWAYS_IN = (
    "ether type arp accept",
    # Only servers of ours can send these: each guest's port refuses them at their source.
    "udp sport 67 udp dport 68 accept",
    "udp sport 547 udp dport 546 accept",
    "icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, nd-router-advert, "
    "nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept",
)


def _groups(policy: Policy, port: Port, direction: str) -> list[str]:
    groups = [policy.groups[group] for group in sorted(port.security_groups) if group in policy.groups]
    stateful = not groups or any(group.stateful for group in groups)
    state = [f"meta mark {TRACKED} accept", f"meta mark {BROKEN} drop"] if stateful else []
    if direction == "ingress" and not stateful:
        state = [f"ip saddr {METADATA_ADDRESS} tcp sport 80 accept"]
    return [*state, *(f"jump {_group_chain(group.id, direction)}" for group in groups), "drop"]


# What holds for one group.


def _group_chain(group_id: str, direction: str) -> str:
    return f"g_{direction}_{_word(group_id)}"


def _members(group_id: str, ethertype: str) -> str:
    return f"m{_VERSION[ethertype]}_{_word(group_id)}"


def _member_sets(policy: Policy, groups: list[Group]) -> list[str]:
    asked = {(rule.remote_group_id, rule.ethertype) for group in groups for rule in group.rules if rule.remote_group_id}
    lines = []
    for group_id, ethertype in sorted(asked):
        group = policy.groups.get(group_id)
        version = _VERSION[ethertype]
        members = _networks(member for member in (group.members if group else ()) if (":" in member) == (version == 6))
        elements = f"elements = {_set(members)};" if members else ""
        lines.append(f"set {_members(group_id, ethertype)} {{ type ipv{version}_addr; flags interval; {elements} }}")
    return lines


def _group_chains(groups: list[Group]) -> list[str]:
    return [
        line
        for group in groups
        for direction in ("ingress", "egress")
        for line in _chain(
            _group_chain(group.id, direction),
            sorted({_rule(rule) for rule in group.rules if rule.direction == direction}),
        )
    ]


def _rule(rule: Rule) -> str:
    family = _FAMILY[rule.ethertype]
    side = "saddr" if rule.direction == "ingress" else "daddr"
    parts = [f"ether type {family}"]
    if rule.remote_group_id:
        parts.append(f"{family} {side} @{_members(rule.remote_group_id, rule.ethertype)}")
    elif rule.remote_ip_prefix and ip_network(rule.remote_ip_prefix, strict=False).prefixlen:
        parts.append(f"{family} {side} {ip_network(rule.remote_ip_prefix, strict=False)}")
    number = protocol_number(rule.protocol, rule.ethertype)
    if number is not None:
        parts.append(f"meta l4proto {number}")
        parts.extend(_ports(rule, number))
    return " ".join([*parts, "accept"])


def _ports(rule: Rule, number: int) -> Iterable[str]:
    low, high = rule.port_range_min, rule.port_range_max
    if number in ICMP_NUMBERS:
        word = ICMP_NUMBERS[number]
        # The API keeps an ICMP rule's type in port_range_min and its code in port_range_max.
        if low is not None:
            yield f"{word} type {low}"
        if high is not None:
            yield f"{word} code {high}"
    elif number in PORT_NUMBERS and low is not None:
        yield f"th dport {low}" if high in (None, low) else f"th dport {low}-{high}"
