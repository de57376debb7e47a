"""Links and addresses of one namespace: what is there, what should be, and the `ip` lines between the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_interface
from typing import Any

from kilostack.drivers.net import command


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link that should be. Links that nobody asks for are left alone."""

    name: str
    #: what follows `type` when it has to be made; None for one that is made with its peer
    make: str | None = None
    master: str | None = None
    mtu: int = 1500
    mac: str | None = None
    #: "10.0.0.1/24" or "10.0.0.1 peer 10.0.0.2/32"; all others of global scope are taken away. None leaves them alone.
    addresses: tuple[str, ...] | None = None
    #: options as a port of a bridge; "on" and "off" as words
    port_options: tuple[tuple[str, str], ...] = ()
    #: no address of its own making (IPv6 link-local) on it
    silent: bool = False
    up: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLink:
    """A link that is."""

    name: str
    kind: str
    master: str | None
    mtu: int
    mac: str
    up: bool
    #: something is connected: for a tap, a process has it open
    carrier: bool
    addresses: frozenset[str]
    port_options: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)


def observe(namespace: str | None = None) -> dict[str, SeenLink]:
    """The links of a namespace by name."""
    return {seen.name: seen for seen in map(_parse, command.ask(("ip", "-j", "-d", "addr"), namespace=namespace))}


def _parse(item: Mapping[str, Any]) -> SeenLink:
    info = item.get("linkinfo", {})
    flags = item.get("flags", [])
    return SeenLink(
        name=item["ifname"],
        kind=info.get("info_kind", ""),
        master=item.get("master"),
        mtu=item["mtu"],
        mac=item.get("address", ""),
        up="UP" in flags,
        carrier="LOWER_UP" in flags,
        addresses=frozenset(_address(entry) for entry in item.get("addr_info", ()) if entry.get("scope") == "global"),
        port_options=info.get("info_slave_data", {}),
        info=info.get("info_data", {}),
    )


def _address(entry: Mapping[str, Any]) -> str:
    if "address" in entry:
        return f"{entry['local']} peer {entry['address']}/{entry['prefixlen']}"
    return f"{entry['local']}/{entry['prefixlen']}"


def changes(seen: Mapping[str, SeenLink], wanted: Iterable[Link]) -> list[str]:
    """The lines for `ip -batch` that make `wanted` so; none when they are."""
    lines: list[str] = []
    for link in wanted:
        lines.extend(_changes(seen.get(link.name), link))
    return lines


def _changes(seen: SeenLink | None, link: Link) -> Iterable[str]:
    name = link.name
    if seen is None and link.make is not None:
        mac = f" address {link.mac}" if link.mac else ""
        yield f"link add {name} mtu {link.mtu}{mac} type {link.make}"
    elif seen is None or seen.mtu != link.mtu:
        yield f"link set {name} mtu {link.mtu}"
    if link.silent and (seen is None or not seen.up):
        # On a line of its own and before it comes up: together with `up` the kernel gives it an address first.
        yield f"link set {name} addrgenmode none"
    if link.mac and seen is not None and seen.mac != link.mac.lower():
        yield f"link set {name} address {link.mac}"
    if link.master != (seen.master if seen else None):
        yield f"link set {name} master {link.master}" if link.master else f"link set {name} nomaster"
    if options := _missing_options(seen, link):
        yield f"link set {name} type bridge_slave {options}"
    yield from _address_changes(seen, link)
    if link.up != (seen.up if seen else False):
        yield f"link set {name} {'up' if link.up else 'down'}"


def _missing_options(seen: SeenLink | None, link: Link) -> str:
    have = seen.port_options if seen and seen.master == link.master else {}
    return " ".join(f"{key} {value}" for key, value in link.port_options if have.get(key) is not (value == "on"))


def _address_changes(seen: SeenLink | None, link: Link) -> Iterable[str]:
    if link.addresses is None:
        return
    have = seen.addresses if seen else frozenset()
    want = {_normal(text): text for text in link.addresses}
    for text in sorted(have - want.keys()):
        yield f"addr del {text} dev {link.name}"
    for normal, text in want.items():
        if normal not in have:
            # No duplicate address detection: the control plane gives each address once, and a tentative one is deaf.
            yield f"addr add {text} dev {link.name}{' nodad' if ':' in text else ''}"


def _normal(text: str) -> str:
    return text if " " in text else str(ip_interface(text))
