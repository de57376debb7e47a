"""What the kernel of this machine can do, found by doing it in a network namespace that is thrown away."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from kilostack.cli.checks import Finding, System
from kilostack.cli.supervisor.spawn import PATH

#: Kind of link -> what follows `ip link add probe type`.
LINKS = {"bridge": "bridge", "veth": "veth", "vxlan": "vxlan id 1 dstport 4789 local 192.0.2.1"}

NFT = """table inet probe {
chain c {
type nat hook postrouting priority 100;
masquerade
}
}
"""
NFT_BRIDGE = """table bridge probe {
chain c {
type filter hook forward priority 0;
ct state established accept
}
}
"""

_NO_KERNEL = "This kernel was built without it: boot the kernel of the distribution."


def all_of_them(system: System, is_root: bool) -> list[Finding]:
    """Everything that is asked of the kernel."""
    unknown = Finding("network", "note", "not looked at", "Ask as root to have it tried.")
    return [
        *(about_network() if is_root else (unknown,)),
        _about_tun(),
        _about_kvm(),
        *about_other_firewalls(Path("/etc/ufw/ufw.conf")),
    ]


def about_network() -> Iterable[Finding]:
    """Namespaces, links and rules."""
    if not _works("true"):
        yield Finding("namespaces", "missing", "no network namespace can be made", _NO_KERNEL)
        return
    yield Finding("namespaces", "ok", "can be made")
    lacks = [kind for kind, rest in LINKS.items() if not _works("ip", "link", "add", "probe", "type", *rest.split())]
    yield (
        Finding("links", "missing", "no " + ", ".join(lacks), _NO_KERNEL)
        if lacks
        else Finding("links", "ok", ", ".join(LINKS))
    )
    if _works("nft", "-f", "-", stdin=NFT):
        yield Finding("nftables", "ok", "rules and NAT")
    else:
        yield Finding("nftables", "missing", "nft cannot set rules", _NO_KERNEL)
    if _works("nft", "-f", "-", stdin=NFT_BRIDGE):
        yield Finding("security groups", "ok", "connection tracking on bridges")
    elif _works("sh", "-c", "echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables") or _works(
        "modprobe", "--dry-run", "br_netfilter"
    ):
        yield Finding("security groups", "ok", "by br_netfilter")
    else:
        yield Finding("security groups", "missing", "neither nf_conntrack_bridge nor br_netfilter", _NO_KERNEL)


def _about_tun() -> Finding:
    if Path("/dev/net/tun").exists():
        return Finding("tun", "ok", "/dev/net/tun")
    return Finding("tun", "missing", "no /dev/net/tun", "Load it: sudo modprobe tun")


def _about_kvm() -> Finding:
    """Whether guests can be accelerated: told by booting one, for a device that opens may still hang its guests."""
    device = Path("/dev/kvm")
    if not device.exists():
        remedy = "Switch on virtualization in the firmware, or nested virtualization where this is a guest itself."
        return Finding("kvm", "note", "no /dev/kvm: guests run, five to ten times slower", remedy)
    if not os.access(device, os.R_OK | os.W_OK):
        return Finding("kvm", "note", "/dev/kvm may not be opened by this user; the agent, as root, may")
    if shutil.which("qemu-system-x86_64", path=PATH) is None:
        return Finding("kvm", "note", "/dev/kvm opens; not tried, for there is no QEMU")
    if asyncio.run(_kvm_boots()):
        return Finding("kvm", "ok", "a guest was booted")
    return Finding("kvm", "note", "/dev/kvm opens, but a guest does not start: they run without, more slowly")


async def _kvm_boots() -> bool:
    from kilostack.core.world import RealWorld
    from kilostack.drivers.guests.accelerator import boots

    world = RealWorld()
    try:
        return await boots(world, ["-accel", "kvm", "-cpu", "host"])
    finally:
        await world.close()


def about_other_firewalls(ufw: Path) -> list[Finding]:
    """Who else says what this machine forwards. Nothing to do: our rules are put beside theirs."""
    found = []
    if ufw.exists() and "ENABLED=yes" in ufw.read_text():
        found.append("ufw is on")
    listing = _output("iptables", "-S")
    if "-N DOCKER-USER" in listing:
        found.append("Docker filters what is forwarded")
    elif "-P FORWARD DROP" in listing:
        found.append("the policy of FORWARD is DROP")
    if not found:
        return []
    return [Finding("firewall", "ok", "; ".join(found) + ": rules for the cloud's uplink are put beside")]


def _works(*command: str, stdin: str = "") -> bool:
    """Whether a command succeeds in a new network namespace."""
    argv = ["unshare", "--net", "--", *command]
    try:
        done = subprocess.run(
            argv, input=stdin.encode(), capture_output=True, env={"PATH": PATH}, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _output(*command: str) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, env={"PATH": PATH}, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
