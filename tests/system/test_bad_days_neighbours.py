"""A hostile guest: what it may reach is what any machine of the network may, and nothing of its neighbours."""

from __future__ import annotations

import base64
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kilostack.drivers.net import fabric
from tests.clouds import SSH
from tests.http.whole.simulated import COMPUTE, NETWORK, Login, wait_until
from tests.http.whole.things import new_network, public_network
from tests.system.test_bad_days import RealCloud

#: the same for both tenants: only what keeps networks apart keeps these apart
CIDR = "10.66.0.0/24"
#: says "open" or "shut" of an address and a port
_TRY = 'try() {{ nc -w 2 "$1" "$2" </dev/null >/dev/null 2>&1 && echo "open $1 $2" || echo "shut $1 $2"; }}\n{}'


class Tenant:
    """A project with one server, a floating IP on it, and a secret in its user data."""

    def __init__(self, cloud: RealCloud, name: str, key: Path) -> None:
        self.name, self._key = name, key
        self.login: Login = cloud.new_project(name, "member")
        self.network, subnet = new_network(self.login, CIDR, name)
        gateway = {"external_gateway_info": {"network_id": public_network(self.login)}}
        self.router = self.login.make(f"{NETWORK}/routers", {"router": gateway})
        path = f"{NETWORK}/routers/{self.router['id']}/add_router_interface"
        assert self.login.ask("PUT", path, {"subnet_id": subnet}).status == 200
        group = self.login.get(f"{NETWORK}/security-groups?name=default")["security_groups"][0]["id"]
        for rule in ({"protocol": "icmp"}, {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}):
            wanted = {"security_group_id": group, "direction": "ingress"} | rule
            self.login.make(f"{NETWORK}/security-group-rules", {"security_group_rule": wanted})
        public = {"name": name, "public_key": key.with_suffix(".pub").read_text()}
        self.login.make(f"{COMPUTE}/os-keypairs", {"keypair": public})
        self.server = self.boot("first")
        self.address = self._floating(self.server)

    @property
    def gateway(self) -> str:
        return str(self.router["external_gateway_info"]["external_fixed_ips"][0]["ip_address"])

    def boot(self, name: str, **more: object) -> str:
        data = base64.b64encode(f"#!/bin/sh\necho secret of {self.name}\n".encode()).decode()
        wanted = {"networks": [{"uuid": self.network}], "key_name": self.name, "user_data": data} | more
        return str(self.login.server(name, **wanted)["id"])

    def port(self, server: str) -> dict[str, object]:
        return dict(self.login.get(f"{NETWORK}/ports?device_id={server}")["ports"][0])

    def _floating(self, server: str) -> str:
        wanted = {"floating_network_id": public_network(self.login), "port_id": self.port(server)["id"]}
        return str(self.login.make(f"{NETWORK}/floatingips", {"floatingip": wanted})["floating_ip_address"])

    def run(self, command: str) -> str:
        """What a command in the guest says."""
        way = (*SSH, "-o", "ConnectTimeout=5", "-i", str(self._key), f"root@{self.address}", command)
        return subprocess.run(way, capture_output=True, text=True, timeout=120).stdout

    def opens(self, *targets: tuple[str, int]) -> set[tuple[str, int]]:
        """Those of the targets to which the guest can connect."""
        said = self.run(_TRY.format("\n".join(f"try {address} {port}" for address, port in targets)))
        lines = [line.split() for line in said.splitlines()]
        assert len(lines) == len(targets), said
        return {(address, int(port)) for state, address, port in lines if state == "open"}


def _machine_opens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCloud]:
    made = RealCloud(tmp_path_factory.mktemp("hostile"), "hostile", "--hosts", "2")
    made.up()
    yield made
    made.down("--wipe")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def victim(cloud: RealCloud, key: Path) -> Tenant:
    return Tenant(cloud, "victim", key)


@pytest.fixture(scope="module")
def attacker(cloud: RealCloud, key: Path, victim: Tenant) -> Tenant:
    made = Tenant(cloud, "attacker", key)
    wait_until(lambda: "in" in made.run("echo in"), "the attacker's guest lets us in", 120)
    wait_until(lambda: "in" in victim.run("echo in"), "the victim's guest lets us in", 120)
    return made


def test_the_machine_shows_a_guest_what_it_shows_its_network(cloud: RealCloud, attacker: Tenant) -> None:
    plan = fabric.plan(cloud.name, 2, None, fabric.machine_routes())
    uplink = attacker.login.get(f"{NETWORK}/subnets?name=public-subnet")["subnets"][0]["gateway_ip"]
    assert attacker.opens((uplink, cloud.port), (uplink, 80), ("127.0.0.1", cloud.port), ("169.254.77.1", 53)) == set()
    # where this machine reaches these, they are somebody's outside: its own hosts' are in namespaces
    under = [(host.address, port) for host in plan.hosts for port in (22, 80, 4789)]
    assert attacker.opens(*under) <= {target for target in under if _machine_opens(*target)}
    # what it does get: names, and its own metadata
    assert attacker.opens((uplink, 53), ("169.254.169.254", 80)) == {(uplink, 53), ("169.254.169.254", 80)}


def test_its_own_networks_servers_are_closed_but_for_their_service(attacker: Tenant) -> None:
    dhcp = "10.66.0.2"
    ports = (22, 53, 67, 80, 111, 4789, 8080)
    assert attacker.opens(*[(dhcp, port) for port in ports]) <= {(dhcp, 53)}
    assert attacker.opens(*[("10.66.0.1", port) for port in ports]) == set()
    # the way between a DHCP namespace and its host carries names, and only from there
    script = "ip route replace 169.254.192.0/19 via 10.66.0.2; ip route replace 100.127.0.0/16 via 10.66.0.2"
    attacker.run(script)
    links = [("169.254.192.1", 53), ("169.254.192.2", 53), ("169.254.192.1", 80), ("100.127.0.1", 22)]
    assert attacker.opens(*links) == set()
    attacker.run("ip route del 169.254.192.0/19; ip route del 100.127.0.0/16")


def test_metadata_is_for_whom_it_is(attacker: Tenant) -> None:
    def ask(path: str, *headers: str) -> str:
        lines = "".join(f"{header}\\r\\n" for header in ("Host: x", *headers))
        return attacker.run(f'printf "GET {path} HTTP/1.1\\r\\n{lines}\\r\\n" | nc -w 3 169.254.169.254 80')

    assert "secret of attacker" in ask("/latest/user-data")
    for forged in (("X-Forwarded-For: 10.66.0.3",), ("X-Instance-ID: 1", "X-Tenant-ID: 2")):
        assert "secret of victim" not in ask("/latest/user-data", *forged)
    for path in ("/../../etc/passwd", "/latest/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/latest/user-data/../.."):
        assert "root:" not in ask(path)
    flood = "i=0; while [ $i -lt 150 ]; do nc 169.254.169.254 80 </dev/zero >/dev/null 2>&1 & i=$((i+1)); done; "
    attacker.run(f"({flood} sleep 1; killall nc) >/dev/null 2>&1 </dev/null")
    wait_until(lambda: "secret of attacker" in ask("/latest/user-data"), "it answers again", 30)


def test_a_metadata_flood_is_not_felt_next_door(attacker: Tenant, victim: Tenant) -> None:
    flood = "i=0; while [ $i -lt 100 ]; do sleep 9 | nc 169.254.169.254 80 >/dev/null 2>&1 & i=$((i+1)); done; sleep 9"
    attacker.run(f"({flood}) >/dev/null 2>&1 </dev/null &")
    said = victim.run("wget -q -O - http://169.254.169.254/latest/user-data")
    assert "secret of victim" in said


def test_it_speaks_with_its_own_addresses_only(attacker: Tenant) -> None:
    assert "1 packets received" in attacker.run("ping -c 1 -W 3 10.66.0.1")
    said = attacker.run(
        "ip addr add 10.66.0.77/24 dev eth0; ping -c 1 -W 2 -I 10.66.0.77 10.66.0.1; ip addr del 10.66.0.77/24 dev eth0"
    )
    assert " 0 packets received" in said, said
    said = attacker.run(
        "mac=$(cat /sys/class/net/eth0/address); "
        "(ip link set eth0 address 02:00:00:00:00:01; ping -c 1 -W 2 10.66.0.1 > /tmp/said; "
        "ip link set eth0 address $mac) </dev/null >/dev/null 2>&1; cat /tmp/said"
    )
    assert " 0 packets received" in said, said


def test_a_route_to_a_neighbours_router_leads_nowhere(attacker: Tenant, victim: Tenant) -> None:
    login = victim.login
    wanted = {"network_id": victim.network, "ip_version": 4, "cidr": "10.67.0.0/24"}
    subnet = login.make(f"{NETWORK}/subnets", {"subnet": wanted})["id"]
    path = f"{NETWORK}/routers/{victim.router['id']}/add_router_interface"
    assert login.ask("PUT", path, {"subnet_id": subnet}).status == 200
    hidden = victim.boot("hidden", networks=[{"uuid": victim.network, "fixed_ip": "10.67.0.9"}])
    wait_until(lambda: "1 packets received" in victim.run("ping -c 1 -W 2 10.67.0.9"), "it is there", 120)
    route = {"destination": "10.67.0.0/24", "nexthop": victim.gateway}
    changed = attacker.login.ask("PUT", f"{NETWORK}/routers/{attacker.router['id']}", {"router": {"routes": [route]}})
    assert changed.status == 200
    assert attacker.opens((victim.address, 22)) == {(victim.address, 22)}
    for _ in range(3):
        assert "1 packets received" not in attacker.run("ping -c 1 -W 2 10.67.0.9")
    assert attacker.opens(("10.67.0.9", 22)) == set()
    login.remove(f"{COMPUTE}/servers/{hidden}")
    login.server_gone(hidden)


def test_what_a_neighbour_is_told_of_a_host(attacker: Tenant, victim: Tenant) -> None:
    own = attacker.login.get(f"{COMPUTE}/servers/{attacker.server}")["server"]
    theirs = victim.login.get(f"{COMPUTE}/servers/{victim.server}")["server"]
    # on one host or not, the two cannot tell
    assert own["hostId"] != theirs["hostId"]
    for text in (str(own), attacker.login.ask("GET", f"/kilostack/v1/servers/{attacker.server}/why").body.decode()):
        assert "-host-" not in text
        assert "100.127." not in text


def test_nobody_else_on_the_machine_reads_what_hosts_keep(cloud: RealCloud) -> None:
    for path in cloud.state_dir.rglob("*"):
        chain = [path, *path.parents]
        assert any(not part.stat().st_mode & 0o007 for part in chain if part.is_relative_to(cloud.state_dir)), path
    for server, pid in cloud.qemus().items():
        status = Path(f"/proc/{pid}/status").read_text()
        uid = int(next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1])
        assert uid >= 0x70000000, f"QEMU of {server} runs as {uid}"
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status or "Seccomp:\t2" in status
    users = [Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[0] for pid in cloud.qemus().values()]
    assert len(set(users)) == len(users)
