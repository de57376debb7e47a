"""Which actions are left, and when a port is ready: pure decisions of the network part."""

from __future__ import annotations

from dataclasses import replace

from kilostack.agents.network.plan import Action, Desired, Progress, Verb, is_routing, plan, ready_ports
from kilostack.drivers.net import names
from kilostack.drivers.net.port import Observed
from kilostack.wire.network import Fabric
from tests.drivers.net.site import GROUP, NET, PUBLIC, ROUTER, Site

SITE = Site(homes={10: "here", 11: "there"})
PORT = SITE.port(10).id
OBJECTS: dict[str, object] = {
    f"network/{NET}": SITE.network("here"),
    f"network/{PUBLIC}": SITE.public(),
    f"port/{PORT}": SITE.port(10),
    f"group/{GROUP}": SITE.group(),
    f"router/{ROUTER}": SITE.router(),
    "fabric": Fabric(revision=1, tunnels={"here": "192.0.2.1", "there": "192.0.2.2", "far": "192.0.2.3"}),
}
THERE = Observed(
    networks=frozenset({names.short(NET)}),
    dhcp=frozenset({names.short(NET)}),
    routers=frozenset({names.short(ROUTER)}),
    ports={names.short(PORT): True},
)


def finished(desired: Desired) -> Progress:
    return Progress(done={action.name: action.basis for action in plan(desired, Observed(), Progress())})


def verbs(actions: list[Action]) -> list[Verb]:
    return [action.verb for action in actions]


def test_a_new_host_is_built_from_below() -> None:
    assert verbs(plan(Desired.of(OBJECTS), Observed(), Progress())) == [
        Verb.ENSURE_HOST,
        Verb.ENSURE_NETWORK,
        Verb.ENSURE_PORT,
        Verb.ENSURE_FILTER,
        Verb.ENSURE_DHCP,
        Verb.ENSURE_ROUTER,
    ]


def test_what_is_done_and_there_is_not_done_again() -> None:
    desired = Desired.of(OBJECTS)
    assert plan(desired, THERE, finished(desired)) == []


def test_a_new_process_does_all_once_and_removes_nothing() -> None:
    assert not [action for action in plan(Desired.of(OBJECTS), THERE, Progress()) if "remove" in action.verb.value]


def test_what_has_vanished_is_made_again() -> None:
    desired = Desired.of(OBJECTS)
    gone = replace(THERE, dhcp=frozenset())
    assert verbs(plan(desired, gone, finished(desired))) == [Verb.ENSURE_DHCP]


def test_an_object_waits_for_its_network() -> None:
    desired = Desired.of({key: item for key, item in OBJECTS.items() if not key.startswith("network/")})
    assert verbs(plan(desired, Observed(), Progress())) == [Verb.ENSURE_HOST, Verb.ENSURE_FILTER]
    assert ready_ports(desired, finished(desired)) == frozenset()


def test_what_is_not_wanted_goes_and_a_tap_in_use_waits_for_its_guest() -> None:
    nothing = Desired()
    progress = finished(nothing)
    assert verbs(plan(nothing, THERE, progress)) == [Verb.REMOVE_ROUTER, Verb.REMOVE_DHCP, Verb.REMOVE_NETWORK]
    released = replace(progress, released=frozenset({names.short(PORT)}))
    assert Verb.REMOVE_PORT in verbs(plan(nothing, THERE, released))
    closed = replace(THERE, ports={names.short(PORT): False})
    assert Verb.REMOVE_PORT in verbs(plan(nothing, closed, progress))


def test_a_tunnel_that_the_network_does_not_use_is_no_change() -> None:
    desired = Desired.of(OBJECTS)
    progress = finished(desired)
    tunnels = {"here": "192.0.2.1", "there": "192.0.2.2"}
    assert plan(replace(desired, tunnels=tunnels), THERE, progress) == []
    moved = replace(desired, tunnels={**tunnels, "there": "192.0.2.9"})
    assert verbs(plan(moved, THERE, progress)) == [Verb.ENSURE_NETWORK]


def test_a_port_is_ready_when_plugged_filtered_and_served() -> None:
    desired = Desired.of(OBJECTS)
    progress = finished(desired)
    assert ready_ports(desired, progress) == {PORT}
    for verb in (Verb.ENSURE_PORT, Verb.ENSURE_FILTER, Verb.ENSURE_DHCP):
        without = {name: basis for name, basis in progress.done.items() if name[0] is not verb}
        assert ready_ports(desired, Progress(done=without)) == frozenset(), verb


def test_a_router_that_is_switched_off_is_not_there() -> None:
    down = Site(homes=SITE.homes).router()
    off = type(down)(**{**{name: getattr(down, name) for name in down.__struct_fields__}, "admin_state_up": False})
    desired = Desired.of({**OBJECTS, f"router/{ROUTER}": off})
    assert verbs(plan(desired, THERE, finished(desired))) == [Verb.REMOVE_ROUTER]
    assert not is_routing(off, desired, finished(desired))
