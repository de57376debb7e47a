"""The packet filter's text and the judgement of running connections, for whatever rules the API lets through."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kilostack.drivers.net import command
from kilostack.drivers.net.firewall import Policy, Segment, link_local, render, zone_of
from kilostack.drivers.net.flows import Flow, is_allowed, is_narrower
from kilostack.drivers.net.protocols import protocol_number
from kilostack.wire.network import Group, Port, Rule
from tests.drivers.net.site import egress, identifier, mac

ZONE = 7

protocols = st.sampled_from([None, "any", "tcp", "udp", "icmp", "icmpv6", "sctp", "gre", "vrrp", "50", "255", "0"])
addresses = st.sampled_from(
    ["10.0.0.1", "10.0.0.2", "10.0.1.0/24", "10.0.0.0/16", "fd00::1", "fd00::/64", "0.0.0.0/0", "::/0"]
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    ethertype = draw(st.sampled_from(["IPv4", "IPv6"]))
    low, high = sorted((draw(st.integers(0, 255)), draw(st.integers(0, 255))))
    has_range = draw(st.booleans())
    remote = draw(st.sampled_from(["any", "prefix", "group"]))
    prefix = draw(st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "10.0.0.7/32"]))
    prefix_six = draw(st.sampled_from(["::/0", "fd00::/8", "fd00::7/128"]))
    return Rule(
        id=draw(st.uuids()).hex,
        direction=draw(st.sampled_from(["ingress", "egress"])),
        ethertype=ethertype,
        protocol=draw(protocols),
        port_range_min=low if has_range else None,
        port_range_max=high if has_range else None,
        remote_ip_prefix=(prefix if ethertype == "IPv4" else prefix_six) if remote == "prefix" else None,
        remote_group_id=draw(st.sampled_from([identifier(4, 1), identifier(4, 9)])) if remote == "group" else None,
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    groups = {
        identifier(4, number): Group(
            id=identifier(4, number),
            revision=1,
            stateful=draw(st.booleans()),
            rules=tuple(draw(st.lists(rules(), max_size=5))),
            members=tuple(draw(st.lists(addresses, max_size=4))),
        )
        for number in range(1, draw(st.integers(1, 3)) + 1)
    }
    ports = {}
    for number in range(1, draw(st.integers(0, 3)) + 1):
        ports[identifier(5, number)] = Port(
            id=identifier(5, number),
            revision=1,
            network_id=identifier(1, 1),
            mac=mac(number),
            fixed_ips=tuple((identifier(2, 1), f"10.0.0.{number}") for _ in range(draw(st.integers(0, 1))))
            + tuple((identifier(2, 2), f"fd00::{number}") for _ in range(draw(st.integers(0, 1)))),
            device_id="",
            security_groups=tuple(draw(st.lists(st.sampled_from([*groups, identifier(4, 8)]), unique=True))),
            port_security=draw(st.booleans()),
            allowed_address_pairs=tuple(
                (pair, draw(st.sampled_from(["", mac(99)]))) for pair in draw(st.lists(addresses))
            ),
        )
    segments = {key: Segment(bridge="brq1", zone=ZONE) for key in ports}
    return Policy(ports=ports, segments=segments, groups=groups)


@pytest.mark.root
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policies())
def test_the_machine_takes_whatever_the_api_lets_through(policy: Policy) -> None:
    command.run(("unshare", "--net", "nft", "-f", "-"), stdin=render(policy).text)


@given(policies(), st.randoms())
def test_the_same_policy_gives_the_same_text(policy: Policy, chance: random.Random) -> None:
    keys = list(policy.ports)
    chance.shuffle(keys)
    shuffled = Policy(
        ports={key: policy.ports[key] for key in keys},
        segments=policy.segments,
        groups=dict(sorted(policy.groups.items(), reverse=True)),
    )
    assert render(shuffled) == render(policy)


flow_strategy = st.builds(
    Flow,
    source=st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.7", "10.0.1.9"]),
    target=st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.7"]),
    protocol=st.sampled_from([1, 6, 17, 47]),
    port=st.integers(0, 300),
    icmp=st.tuples(st.integers(0, 255), st.integers(0, 255)),
)


@given(policies(), policies(), st.lists(flow_strategy, min_size=20, max_size=20))
def test_what_is_not_narrower_refuses_nothing_that_was_allowed(
    before: Policy, after: Policy, tried: list[Flow]
) -> None:
    kept = Policy(ports=before.ports, segments=before.segments, groups={**before.groups, **after.groups})
    for policy in (kept, before):
        if not is_narrower(policy, before):
            for flow in tried:
                assert is_allowed(policy, ZONE, flow) or not is_allowed(before, ZONE, flow)


def port(**more: object) -> Port:
    values: dict[str, object] = {
        "id": identifier(5, 1),
        "revision": 1,
        "network_id": identifier(1, 1),
        "mac": mac(1),
        "fixed_ips": ((identifier(2, 1), "10.0.0.1"),),
        "device_id": "",
        "security_groups": (identifier(4, 1),),
    }
    return Port(**{**values, **more})  # type: ignore[arg-type]


def policy_with(*rule: Rule, **more: object) -> Policy:
    made = port(**more)
    return Policy(
        ports={made.id: made},
        segments={made.id: Segment(bridge="brq1", zone=ZONE)},
        groups={
            identifier(4, 1): Group(
                id=identifier(4, 1), revision=1, rules=(*egress(), *rule), members=("10.0.0.1", "10.0.0.2")
            )
        },
    )


def ingress(**more: object) -> Rule:
    return Rule(**{"id": "r", "direction": "ingress", "ethertype": "IPv4", **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "flow", "allowed"),
    [
        ({"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}, {"protocol": 6, "port": 22}, True),
        ({"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}, {"protocol": 6, "port": 23}, False),
        ({"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}, {"protocol": 17, "port": 22}, False),
        ({"protocol": "icmp", "port_range_min": 8}, {"protocol": 1, "icmp": (8, 0)}, True),
        ({"protocol": "icmp", "port_range_min": 8}, {"protocol": 1, "icmp": (0, 0)}, False),
        ({"protocol": "47"}, {"protocol": 47}, True),
        ({"remote_group_id": identifier(4, 1)}, {"protocol": 6, "source": "10.0.0.2"}, True),
        ({"remote_group_id": identifier(4, 1)}, {"protocol": 6, "source": "10.0.0.3"}, False),
        ({"remote_group_id": identifier(4, 7)}, {"protocol": 6, "source": "10.0.0.2"}, False),
        ({"remote_ip_prefix": "192.0.2.0/24"}, {"protocol": 6, "source": "192.0.2.9"}, True),
        ({"ethertype": "IPv6"}, {"protocol": 6}, False),
    ],
)
def test_a_connection_is_judged_by_the_rules(rule: dict[str, object], flow: dict[str, object], allowed: bool) -> None:
    tried = Flow(**{"source": "10.0.0.2", "target": "10.0.0.1", **flow})  # type: ignore[arg-type]
    assert is_allowed(policy_with(ingress(**rule)), ZONE, tried) is allowed
    assert is_allowed(policy_with(port_security=False), ZONE, tried)
    assert is_allowed(policy_with(), ZONE + 1, tried), "another network's connection"


def test_a_guest_without_groups_gets_and_sends_nothing() -> None:
    alone = policy_with(security_groups=())
    assert not is_allowed(alone, ZONE, Flow(source="10.0.0.1", target="10.0.0.9", protocol=6, port=80))
    assert is_allowed(alone, ZONE, Flow(source="10.0.0.1", target="169.254.169.254", protocol=6, port=80))


def test_names_and_numbers() -> None:
    assert link_local("52:54:00:12:34:56") == "fe80::5054:ff:fe12:3456"
    assert protocol_number("icmp", "IPv6") == 58
    assert protocol_number("any", "IPv4") is None
    assert len({zone_of(vni) for vni in range(1, 60000)}) == 59999
    assert 0 < zone_of(2**24 - 1) < 2**16
