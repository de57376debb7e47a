"""What the driver tells the machine's tools, as far as it is a pure function."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from kilostack.drivers.net import dhcp, dnsmasq, links, names, routers, switch
from kilostack.drivers.net.links import Link, SeenLink
from kilostack.wire.network import Network
from tests.drivers.net.site import DHCP_PORT, NET, PUBLIC, Site, mac

SITE = Site(homes={10: "here", 11: "there"})
TUNNELS = {"here": "192.0.2.1", "there": "192.0.2.2"}
UNDERLAY = switch.Underlay(host="here", address="192.0.2.1", external_bridge="brext")


def seen(link: Link, **more: object) -> SeenLink:
    """`link` as it is once all has been done."""
    made = SeenLink(
        name=link.name,
        kind="",
        master=link.master,
        mtu=link.mtu,
        mac=link.mac or "",
        up=link.up,
        carrier=True,
        addresses=frozenset(link.addresses or ()),
        port_options={key: value == "on" for key, value in link.port_options},
    )
    return replace(made, **more)  # type: ignore[arg-type]


LINK = Link(
    name="a",
    make="bridge",
    master="b",
    mac="02:00:00:00:00:01",
    addresses=("10.0.0.1/24",),
    port_options=(("learning", "off"),),
)


def test_a_link_that_is_right_needs_nothing() -> None:
    assert links.changes({"a": seen(LINK)}, [LINK]) == []


def test_a_missing_link_is_made_and_comes_up_last() -> None:
    assert links.changes({}, [LINK]) == [
        "link add a mtu 1500 address 02:00:00:00:00:01 type bridge",
        "link set a master b",
        "link set a type bridge_slave learning off",
        "addr add 10.0.0.1/24 dev a",
        "link set a up",
    ]


def test_each_difference_is_one_line() -> None:
    for wrong, line in (
        ({"mtu": 9000}, "link set a mtu 1500"),
        ({"mac": "02:00:00:00:00:09"}, "link set a address 02:00:00:00:00:01"),
        ({"port_options": {"learning": True}}, "link set a type bridge_slave learning off"),
        ({"up": False}, "link set a up"),
        ({"addresses": frozenset({"10.0.0.1/24", "10.0.0.9/32"})}, "addr del 10.0.0.9/32 dev a"),
    ):
        assert links.changes({"a": seen(LINK, **wrong)}, [LINK]) == [line]


def test_a_link_that_keeps_to_itself_is_silenced_before_it_comes_up() -> None:
    lines = links.changes({}, [Link(name="a", make="bridge", silent=True)])
    assert lines.index("link set a addrgenmode none") < lines.index("link set a up")


def test_forwarding_follows_where_ports_live() -> None:
    network = SITE.network("there")
    away = switch.elsewhere(network, "here", TUNNELS)
    assert {entry.mac for entry in away} == {mac(11), mac(1)}
    lines = switch.forwarding_changes([], "vx1", away, TUNNELS)
    assert f"fdb replace {mac(11)} dev vx1 dst 192.0.2.2 self static" in lines
    assert f"fdb replace {mac(11)} dev vx1 master static" in lines
    have = [{"mac": item, "dst": "192.0.2.2"} for item in (mac(1), mac(11))]
    have += [{"mac": item, "state": "static"} for item in (mac(1), mac(11))]
    assert switch.forwarding_changes(have, "vx1", away, TUNNELS) == []
    assert switch.forwarding_changes(have, "vx1", (), TUNNELS) == [
        f"fdb del {mac(1)} dev vx1 dst 192.0.2.2 self",
        f"fdb del {mac(11)} dev vx1 dst 192.0.2.2 self",
        f"fdb del {mac(1)} dev vx1 master",
        f"fdb del {mac(11)} dev vx1 master",
    ]
    moved = switch.forwarding_changes(have, "vx1", away, {**TUNNELS, "there": "192.0.2.9"})
    assert moved == [f"fdb replace {item} dev vx1 dst 192.0.2.9 self static" for item in (mac(1), mac(11))]


def test_a_host_that_cannot_be_reached_and_the_dhcp_port_have_no_entries() -> None:
    assert switch.elsewhere(SITE.network("there"), "here", {"here": "192.0.2.1"}) == ()
    network = SITE.network()
    assert network.dhcp is not None
    placed = msgspec.structs.replace(network.dhcp, host="there")
    entries = (placed, *network.entries[1:])
    away = switch.elsewhere(msgspec.structs.replace(network, dhcp=placed, entries=entries), "here", TUNNELS)
    assert DHCP_PORT not in {entry.port_id for entry in away}


def test_neighbours_that_have_gone_are_forgotten() -> None:
    have = [{"dst": "10.10.0.11", "lladdr": mac(11)}, {"dst": "10.10.0.12", "lladdr": mac(12)}]
    away = switch.elsewhere(SITE.network("here"), "here", TUNNELS)
    assert switch.neighbour_changes(have, "brq", away, with_six=False) == ["neigh del 10.10.0.12 dev brq"]


def hosts_of(site: Site, before: str = "") -> tuple[str, bool]:
    return dhcp.hosts(site.network(), before)


def test_a_lease_that_goes_is_remembered_until_its_address_comes_back() -> None:
    text, conflict = hosts_of(SITE)
    assert f"{mac(10)},id:*,10.10.0.10,vm-10\n" in text
    assert not conflict
    fewer, conflict = hosts_of(Site(homes={11: "there"}), text)
    assert f"# gone {mac(10)} 10.10.0.10" in fewer
    assert not conflict, "a lease that only goes needs no new start"
    again, conflict = hosts_of(SITE, fewer)
    assert "gone" not in again
    assert not conflict, "the same owner"
    heir = Site(homes={11: "there", 12: "here"}, addresses={12: 10})
    _, conflict = hosts_of(heir, fewer)
    assert conflict
    _, conflict = hosts_of(heir, text)
    assert conflict


def test_names_that_are_no_labels_are_replaced() -> None:
    entry = SITE.network().entries[2]
    for name, label in (("web.example.org", "web"), ("bad_name!", "host-10-10-0-10"), ("", "host-10-10-0-10")):
        assert dhcp.host_name(msgspec.structs.replace(entry, hostname=name), "10.10.0.10") == label


def test_a_subnet_without_gateway_has_no_default_route_but_metadata() -> None:
    text = dhcp.options(Site(homes={}, with_router=False).network())
    assert "option:router\n" in text
    assert "0.0.0.0/0" not in text
    assert "169.254.169.254/32,10.10.0.2" in text


def test_own_name_servers_replace_ours() -> None:
    assert "option:dns-server,192.0.2.53\n" in dhcp.options(Site(nameservers=("192.0.2.53", "2001:db8::1")).network())


def test_each_link_to_the_relay_keeps_its_address() -> None:
    taken = {
        f"kss{number}": seen(Link(name=f"kss{number}", addresses=(f"169.254.255.253 peer 169.254.192.{number}/32",)))
        for number in (1, 3)
    }
    assert dhcp.link_address(taken, "kss3") == "169.254.192.3"
    assert dhcp.link_address(taken, "kssnew") == "169.254.192.2"


def test_a_router_translates_only_where_it_should() -> None:
    router = Site(homes={10: "here"}, floating={10: "172.24.9.60"}).router()
    text = routers.nat(router)
    assert "172.24.9.60 : 10.10.0.10" in text
    assert "10.10.0.10 : 172.24.9.60" in text
    assert f'oifname "qg-{names.short(router.gateway.port_id)}" snat to 172.24.9.50' in text  # type: ignore[union-attr]
    assert router.gateway is not None
    plain = msgspec.structs.replace(router, gateway=msgspec.structs.replace(router.gateway, enable_snat=False))
    assert "oifname" in routers.nat(plain)
    assert f'oifname "qg-{names.short(router.gateway.port_id)}" snat to 172.24.9.50' not in [
        line for line in routers.nat(plain).splitlines() if line.startswith("oifname")
    ]
    inside = msgspec.structs.replace(router, gateway=None, floating_ips=())
    assert "snat" not in routers.nat(inside)


def test_routes_of_a_router() -> None:
    router = msgspec.structs.replace(
        SITE.router(), routes=(("10.9.0.1/32", "10.10.0.7"), ("0.0.0.0/0", "10.10.0.8"), ("10.8.0.0/16", "10.10.0.9"))
    )
    assert routers.routes(router) == {
        ("10.9.0.1", "10.10.0.7"),
        ("10.8.0.0/16", "10.10.0.9"),
        ("default", "172.24.9.1"),
    }


def test_all_names_fit_a_device() -> None:
    network: Network = SITE.network()
    made = [link.name for link in switch.segment_links(network, UNDERLAY)]
    made += [link.name for link in dhcp.outer_links(network, "b", "n", "169.254.192.1")]
    made += [link.name for link in dhcp.inner_links(network, "169.254.192.1")]
    networks = {NET: network, PUBLIC: SITE.public()}
    made += [link.name for link in routers.outer_links(SITE.router(), networks, "n", dict.fromkeys(networks, "b"))]
    made += [link.name for link in routers.inner_links(SITE.router(), networks)]
    made.append(names.vxlan(2**24 - 1))
    assert max(map(len, made)) <= 15
    assert names.shorts_after("tap", frozenset({"tap0005000a-00", "tapped", "brq0005000a-00"})) == {"0005000a-00"}


def test_a_process_id_that_belongs_to_another_is_not_ours(tmp_path: Path) -> None:
    assert dnsmasq.running(tmp_path) is None
    for text in ("1", "", "words", str(2**30)):
        (tmp_path / "pid").write_text(text)
        assert dnsmasq.running(tmp_path) is None
