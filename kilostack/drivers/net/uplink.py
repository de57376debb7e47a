"""The way out of a cloud on this machine: NAT and forwarding for its uplink alone, beside what others have set up.

Our rules are in nftables tables of our own. Where another program lets the kernel drop what it does not know (Docker's
and ufw's policy on FORWARD), rules that accept our uplink are put where that program lets others put theirs. All of it
is found again by name or comment, so that it can be taken away after a crash.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from kilostack.drivers.net import command, links

#: Is there while forwarding is on because of us; tells which links must not be forwarded between.
_FORWARDING = "kilostack_forwarding"
_FORWARD = "net/ipv4/ip_forward"
_LEGACY_TABLES = Path("/proc/net/ip_tables_names")


def ensure(identifier: str, uplink: str, public: str) -> None:
    """Let what comes by `uplink` from `public` reach what this machine reaches."""
    tables, chains = _observe()
    rules = ""
    if _table(identifier) not in tables:
        rules += _rules(identifier, uplink, public)
    turned_on = Path("/proc/sys", _FORWARD).read_text(encoding="ascii").strip() == "0"
    if turned_on:
        rules += _guard()
    if rules:
        command.nft(rules)
    if turned_on:
        command.set_sysctls({_FORWARD: "1"})
    for tool in _tools(chains):
        _ensure_accepted(tool, identifier, uplink)


def remove(identifier: str, uplink: str) -> None:
    """Take all of it away. Forwarding goes off again if we turned it on and no other cloud of ours needs it."""
    tables, chains = _observe()
    rules = f"delete table ip {_table(identifier)}\n" if _table(identifier) in tables else ""
    others = [name for name in tables if name.startswith("kilostack_up_") and name != _table(identifier)]
    turn_off = _FORWARDING in tables and not others
    if turn_off:
        rules += f"delete table ip {_FORWARDING}\n"
        command.set_sysctls({_FORWARD: "0"})
    if rules:
        command.nft(rules)
    for tool in _tools(chains):
        for chain in _CHAINS:
            for rule in _present(tool, chain, identifier):
                command.run((tool, "-w", "5", "-D", *rule))


def is_present(identifier: str) -> bool:
    """Whether the cloud's rules are there."""
    return _table(identifier) in _observe()[0]


def _table(identifier: str) -> str:
    return f"kilostack_up_{identifier}"


def _observe() -> tuple[frozenset[str], frozenset[tuple[str, str, str]]]:
    """Our IPv4 tables, and (table, chain, policy) of all IPv4 chains."""
    items = json.loads(command.run(("nft", "-j", "list", "ruleset", "ip")))["nftables"] if _has_nft() else []
    tables = frozenset(item["table"]["name"] for item in items if "table" in item)
    chains = frozenset(
        (item["chain"]["table"], item["chain"]["name"], item["chain"].get("policy", ""))
        for item in items
        if "chain" in item
    )
    return tables, chains


def _has_nft() -> bool:
    return shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin") is not None


def _rules(identifier: str, uplink: str, public: str) -> str:
    return f"""table ip {_table(identifier)} {{
chain way_out {{
type nat hook postrouting priority 100; policy accept;
ip saddr {public} oifname != "{uplink}" masquerade
}}
chain forward {{
type filter hook forward priority 0; policy accept;
iifname "{uplink}" ip saddr != {public} drop
oifname "{uplink}" ct state established,related accept
oifname "{uplink}" drop
}}
}}
"""


def _guard() -> str:
    """The links that the machine had when it forwarded nothing: between them it still forwards nothing."""
    had = ", ".join(f'"{name}"' for name in sorted(links.observe()) if name != "lo" and not name.startswith("ks"))
    if not had:
        return f"table ip {_FORWARDING} {{ }}\n"
    return f"""table ip {_FORWARDING} {{
chain forward {{
type filter hook forward priority 0; policy accept;
iifname {{ {had} }} oifname {{ {had} }} drop
}}
}}
"""


# Beside other programs' rules.

_CHAINS = ("DOCKER-USER", "FORWARD", "INPUT")


def _tools(chains: Iterable[tuple[str, str, str]]) -> list[str]:
    """The iptables flavours in whose tables others filter."""
    path = "/usr/sbin:/sbin:/usr/bin:/bin"
    found = []
    if any(table == "filter" for table, _, _ in chains):
        found.append("iptables-nft" if shutil.which("iptables-nft", path=path) else "iptables")
    try:
        if "filter" in _LEGACY_TABLES.read_text(encoding="ascii").split():
            found.append("iptables-legacy")
    except (FileNotFoundError, PermissionError):
        pass
    return [tool for tool in found if shutil.which(tool, path=path)]


def _ensure_accepted(tool: str, identifier: str, uplink: str) -> None:
    try:
        listing = command.run((tool, "-w", "5", "-S")).splitlines()
    except command.CommandFailed:
        # A table of that name which iptables did not make; what filters there is not known to us.
        return
    forwarded = (
        ("-i", uplink, "-j", "ACCEPT"),
        ("-o", uplink, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"),
    )
    asked = tuple(("-i", uplink, "-p", protocol, "--dport", "53", "-j", "ACCEPT") for protocol in ("udp", "tcp"))
    chain = "DOCKER-USER" if "-N DOCKER-USER" in listing else "FORWARD"
    if chain == "DOCKER-USER" or "-P FORWARD DROP" in listing:
        _insert(tool, chain, identifier, forwarded)
    if "-P INPUT DROP" in listing:
        _insert(tool, "INPUT", identifier, asked)


def _insert(tool: str, chain: str, identifier: str, rules: tuple[tuple[str, ...], ...]) -> None:
    have = _present(tool, chain, identifier)
    if len(have) == len(rules):
        return
    for rule in have:
        command.run((tool, "-w", "5", "-D", *rule))
    for rule in rules:
        command.run((tool, "-w", "5", "-I", chain, "-m", "comment", "--comment", _table(identifier), *rule))


def _present(tool: str, chain: str, identifier: str) -> list[tuple[str, ...]]:
    """Our rules of a chain, as arguments after -D."""
    try:
        listing = command.run((tool, "-w", "5", "-S", chain))
    except command.CommandFailed:
        return []
    mark = _table(identifier)
    lines = [line.split() for line in listing.splitlines() if line.startswith("-A ") and mark in line]
    return [tuple(word.strip('"') for word in line[1:]) for line in lines]
